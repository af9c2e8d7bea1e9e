import assert from "node:assert/strict";
import { test } from "node:test";
import { Story } from "../../src/demo/story.ts";
import { TransportError } from "../../src/errors.ts";
import type { StreamId } from "../../src/sync/status.ts";

const STREAM: StreamId = { pod: "default/a", model: "m", rank: 0 };
const LOST = new TransportError("disconnected", "the peer closed the connection");

function tell(happen: (story: Story) => void): readonly string[] {
  const told: string[] = [];
  const story = new Story(
    ({ seconds, subject, text }) => told.push(`${seconds} ${subject}: ${text}`),
    () => 1.5,
  );
  happen(story);
  return told;
}

test("a connection is told when it is made and when it is lost, not at every attempt", () => {
  const told = tell((story) => {
    story.onConnection(STREAM, { status: "connecting", attempt: 1 });
    story.onConnection(STREAM, { status: "ready", connectionId: 1 });
    for (let attempt = 1; attempt < 4; attempt++) {
      story.onConnection(STREAM, { status: "waiting", cause: LOST, attempt, retryInMs: 1 });
      story.onConnection(STREAM, { status: "connecting", attempt });
    }
  });
  assert.deepEqual(told, ["1.5 a: connected, the handshake is done", "1.5 a: connection lost (disconnected)"]);
});

test("a replay is told with what it brought", () => {
  const told = tell((story) => {
    story.onReplayRequested(STREAM, 7);
    story.onBatch(STREAM);
    story.onBatch(STREAM);
    story.onReplayEnded(STREAM, true, 0.0123);
  });
  assert.deepEqual(told, ["1.5 a: replay from 7: 2 batches in 12 ms"]);
});

test("a replay that brought nothing new is not worth a line, one that failed is", () => {
  const told = tell((story) => {
    story.onReplayRequested(STREAM, 7);
    story.onReplayEnded(STREAM, true, 0.01);
    story.onBatch(STREAM);
    story.onReplayRequested(STREAM, 8);
    story.onReplayEnded(STREAM, false, 5);
  });
  assert.deepEqual(told, ["1.5 a: replay from 8 failed after 5000 ms"]);
});

test("a restart, missed batches and a stream that is live again are told", () => {
  const told = tell((story) => {
    story.onMissed(STREAM, 1);
    story.onPurge(STREAM, "restart");
    story.onStatus(STREAM, "catching-up");
    story.onStatus(STREAM, "live");
  });
  assert.deepEqual(told, [
    "1.5 a: 1 batch did not come live",
    "1.5 a: another process answers there: its old blocks are forgotten",
    "1.5 a: live",
  ]);
});

test("a replay that found another process there is told as that, not as one that failed", () => {
  const told = tell((story) => {
    story.onReplayRequested(STREAM, 7);
    story.onPurge(STREAM, "restart");
    story.onReplayEnded(STREAM, false, 0.01);
  });
  assert.deepEqual(told, ["1.5 a: another process answers there: its old blocks are forgotten"]);
});
