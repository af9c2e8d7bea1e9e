import assert from "node:assert/strict";
import { test } from "node:test";
import { laggingStreams } from "../../src/demo/quiet.ts";
import type { Pod } from "../../src/discovery/discovery.ts";
import type { PodInfo, StreamInfo } from "../../src/sync/status.ts";

const POD: Pod = { key: "default/a", modelName: "m", loraId: -1, routingGroup: "default", topic: "", ranks: [] };
const STREAM: StreamInfo = {
  pod: "default/a",
  model: "m",
  rank: 0,
  endpoint: "tcp://127.0.0.1:1",
  status: "live",
  firstSequence: 0,
  lastSequence: 4,
  idleMs: 0,
  batches: 5,
  events: 5,
  missedBatches: 0,
  duplicateBatches: 0,
  decodeErrors: 0,
  replays: 0,
  replaySuccesses: 0,
  replayFailures: 0,
  restarts: 0,
  purges: 0,
  heldBatches: 0,
  heldBytes: 0,
};

function lagging(nextSequence: number, stream: Partial<StreamInfo> = {}): readonly string[] {
  const pods: readonly PodInfo[] = [{ pod: POD, streams: [{ ...STREAM, ...stream }] }];
  return laggingStreams([{ pod: "default/a", rank: 0, nextSequence }], pods);
}

test("a live stream that has the engine's last batch is quiet", () => {
  assert.deepEqual(lagging(5), []);
});

test("a live stream of an engine that has published nothing is quiet", () => {
  assert.deepEqual(lagging(0, { lastSequence: null }), []);
});

test("a stream that is behind is named, with both sequences", () => {
  assert.deepEqual(lagging(9), ["default/a rank 0 is live at sequence 4, its engine at sequence 8"]);
});

test("a stream that is ahead, since its engine started over, is not quiet", () => {
  assert.deepEqual(lagging(0), ["default/a rank 0 is live at sequence 4, its engine at nothing"]);
});

test("a stream that is not live is not quiet", () => {
  assert.deepEqual(lagging(5, { status: "catching-up" }), [
    "default/a rank 0 is catching-up at sequence 4, its engine at sequence 4",
  ]);
});

test("an engine without a stream is named", () => {
  assert.deepEqual(laggingStreams([{ pod: "default/b", rank: 1, nextSequence: 0 }], []), [
    "default/b rank 1 has no stream",
  ]);
});
