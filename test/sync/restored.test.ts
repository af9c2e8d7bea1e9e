import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../src/discovery/discovery.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventHandler } from "../../src/sync/handler.ts";
import { KVEventManager } from "../../src/sync/manager.ts";
import { RestoredStreams } from "../../src/sync/restored.ts";
import type { StreamState } from "../../src/sync/stream-state.ts";
import { memory } from "../../transports/memory/index.ts";
import { match, source, stored, tokens } from "../indexer/support.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const POD: Pod = {
  key: "a",
  modelName: "llama",
  loraId: -1,
  routingGroup: "default",
  topic: "",
  ranks: [{ rank: 0, endpoint: "tcp://10.0.0.1:5557", replayEndpoint: "tcp://10.0.0.1:5558" }],
};

const STATE: StreamState = {
  pod: POD,
  rank: 0,
  firstSequence: 0,
  lastSequence: 7,
  fingerprint: 1,
  sources: [source("a", 0), source("a", 1)],
};

/** An index in which both ranks have a hidden block, and the stream that told of them. */
function restored(state: StreamState = STATE): { indexer: SyncPrefixHashTable; streams: RestoredStreams } {
  const indexer = new SyncPrefixHashTable({ seed: 1n });
  const other = new SyncPrefixHashTable({ seed: 1n });
  for (const each of state.sources) {
    other.processBlockStored(each, stored([1n], null, tokens(1)));
    indexer.importSource(each, other.exportSource(each));
  }
  const streams = new RestoredStreams(indexer);
  streams.add(state);
  return { indexer, streams };
}

test("a stream is taken once, by its own pod and rank", () => {
  const { indexer, streams } = restored();
  assert.equal(streams.take({ ...POD, key: "b" }, 0), undefined);
  assert.equal(streams.take(POD, 1), undefined);
  assert.equal(streams.take(POD, 0), STATE);
  assert.equal(streams.take(POD, 0), undefined);
  assert.equal(indexer.stats().holders, 2);
});

test("a rank that has an endpoint of its own by now does not keep what another one told for it", () => {
  const { indexer, streams } = restored();
  const ranks = [...POD.ranks, { rank: 1, endpoint: "tcp://10.0.0.1:5559" }];
  assert.equal(streams.take({ ...POD, ranks }, 0), undefined);
  assert.equal(indexer.stats().holders, 0);
});

test("what is of another incarnation of the pod is cleared", () => {
  for (const change of [{ uid: "u" }, { restartCount: 1 }, { loraId: 2 }, { topic: "kv" }]) {
    const { indexer, streams } = restored();
    assert.equal(streams.take({ ...POD, ...change }, 0), undefined);
    assert.equal(indexer.stats().holders, 0);
  }
});

test("what was taken over of every rank is shown together, and purged together", () => {
  const { indexer } = restored();
  const subject = { model: "llama", pod: "a", rank: 0, loraId: -1, isForeignRank: () => false };
  const handler = new KVEventHandler(indexer, subject);
  handler.restore(STATE.sources);
  assert.deepEqual(handler.sources, STATE.sources);
  assert.equal(match(indexer, tokens(1)), "");
  handler.reveal();
  const [found] = indexer.matchPrefix("llama", -1, tokens(1));
  assert.deepEqual(
    found?.ranks.map(({ rank }) => rank),
    [0, 1],
  );
  handler.purge();
  assert.equal(indexer.stats().holders, 0);
});

test("what no pod is announced for is dropped some minutes after the start", async () => {
  const clock = virtualClock();
  const { indexer, streams } = restored();
  const manager = new KVEventManager({ transport: memory({ clock }), indexer, clock });
  manager.restore(streams);
  await manager.start();
  await clock.advance(299_000);
  assert.equal(indexer.stats().holders, 2);
  await clock.advance(2_000);
  assert.equal(indexer.stats().holders, 0);
  assert.equal(clock.pending, 0);
  await clock.run(manager.stop());
});

test("a manager that stops drops what no pod was announced for", async () => {
  const clock = virtualClock();
  const { indexer, streams } = restored();
  const manager = new KVEventManager({ transport: memory({ clock }), indexer, clock });
  manager.restore(streams);
  await manager.start();
  await clock.run(manager.stop());
  assert.deepEqual([indexer.stats().holders, clock.pending], [0, 0]);
});

test("a pod that goes takes what was restored of it along", async () => {
  const clock = virtualClock();
  const { indexer, streams } = restored();
  const manager = new KVEventManager({ transport: memory({ clock }), indexer, clock });
  manager.restore(streams);
  await manager.start();
  manager.onPodAdd(POD);
  assert.equal(manager.pods()[0]?.streams[0]?.lastSequence, 7);
  manager.onPodDelete(POD);
  assert.equal(indexer.stats().holders, 0);
  await clock.run(manager.stop());
});
