import assert from "node:assert/strict";
import { test } from "node:test";
import { printLine } from "../../src/demo/text.ts";
import { bar, type DemoFrame, type PodRow, renderFrame, renderHappening } from "../../src/demo/view.ts";

const LIVE: PodRow = {
  name: "engine-0",
  status: "live",
  lastSequence: 131,
  publishedSequence: 131,
  indexBlocks: 408,
  engineBlocks: 408,
  eventsPerSecond: 24.4,
  replays: 1,
  restarts: 0,
};
const DOWN: PodRow = { ...LIVE, name: "engine-1", status: "connecting", publishedSequence: null, engineBlocks: null };
const NEW: PodRow = {
  ...LIVE,
  name: "engine-2",
  status: "catching-up",
  lastSequence: null,
  publishedSequence: -1,
  indexBlocks: 0,
  engineBlocks: 0,
  eventsPerSecond: 0,
};
const FRAME: DemoFrame = {
  seconds: 3,
  totalSeconds: 12,
  phase: "conversations run",
  pods: [LIVE, DOWN, NEW],
  happenings: [
    { seconds: 0.04, subject: "engine-0", text: "live" },
    { seconds: 12.34, subject: "engine-1", text: "connection lost (disconnected)" },
  ],
};

function print(frame: DemoFrame): string {
  return renderFrame(frame)
    .map((line) => printLine(line, { columns: 80, colours: false }))
    .join("\n");
}

test("the live view shows pods, states, sequences, blocks and rates, and what happened", () => {
  assert.equal(
    print(FRAME),
    `kv-event-sync demo  █████░░░░░░░░░░░░░░░  conversations run
Engines tell over ZeroMQ which blocks their caches hold; the index follows.

  POD       STATE          SEQUENCE      BLOCKS  EVENTS/S  REPLAYS  RESTARTS
  engine-0  live            131/131     408/408        24        1         0
  engine-1  connecting     131/down    408/down        24        1         0
  engine-2  catching-up         –/–         0/0         0        1         0
  sequence and blocks: in the index / in the engine

   0.0 s  engine-0  live
  12.3 s  engine-1  connection lost (disconnected)





`,
  );
});

test("the view keeps its height, whatever happened", () => {
  const happenings = Array.from({ length: 30 }, (_, second) => ({ seconds: second, subject: "e", text: `${second}` }));
  const frames = [FRAME, { ...FRAME, happenings: [] }, { ...FRAME, happenings }].map(renderFrame);
  assert.deepEqual(new Set(frames.map((lines) => lines.length)), new Set([17]));
  assert.match(print({ ...FRAME, happenings }), /29\.0 s {2}e {9}29$/);
});

test("no line of the view is wider than 80 columns, with names and numbers as long as they get", () => {
  const wide: PodRow = {
    ...LIVE,
    name: "a-very-long-name-of-a-pod",
    status: "catching-up",
    lastSequence: 99_999,
    publishedSequence: 99_999,
    indexBlocks: 99_999,
    engineBlocks: 99_999,
    eventsPerSecond: 123_456,
  };
  for (const line of renderFrame({ ...FRAME, pods: [wide] })) {
    assert.ok(line.reduce((columns, { text }) => columns + text.length, 0) <= 80);
  }
});

test("a happening alone is a line with its time", () => {
  const line = renderHappening({ seconds: 4.26, subject: "engine-1", text: "is stopped" });
  assert.equal(printLine(line, { columns: 80, colours: false }), "   4.3 s  engine-1  is stopped");
});

test("a bar is as long as it should be, whatever the share", () => {
  for (const share of [-1, 0, 0.31, 1, 7]) {
    const text = bar(share, 10)
      .map((span) => span.text)
      .join("");
    assert.equal(text.length, 10);
    assert.equal(text.indexOf("░") === -1 ? 10 : text.indexOf("░"), Math.round(Math.min(1, Math.max(0, share)) * 10));
  }
});
