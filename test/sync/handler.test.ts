import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeEventBatch } from "../../src/events/encode.ts";
import type { BlockStored, KVEvent } from "../../src/events/event.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventHandler } from "../../src/sync/handler.ts";

function stored(blockHash: bigint): BlockStored {
  return {
    type: "BlockStored",
    blockHashes: [blockHash],
    parentBlockHash: null,
    tokenIds: Uint32Array.of(Number(blockHash), 2),
    blockSize: 2,
    loraId: null,
    loraName: null,
    medium: null,
    extraKeys: null,
    groupIdx: null,
    kvCacheSpecKind: null,
    kvCacheSpecSlidingWindow: null,
    cacheSalt: null,
  };
}

function setUp(otherRanks: readonly number[] = []) {
  const indexer = new SyncPrefixHashTable();
  const subject = { model: "m", pod: "p", rank: 0, loraId: -1 };
  const handler = new KVEventHandler(indexer, { ...subject, isForeignRank: (rank) => otherRanks.includes(rank) });
  const handle = (dataParallelRank: number | null, ...events: KVEvent[]) =>
    handler.handle(encodeEventBatch({ ts: 1, events, dataParallelRank }, { encoding: "map" }));
  const held = (rank: number): bigint[] =>
    [...indexer.heldBlocks({ ...subject, rank })].map(({ blockHash }) => blockHash);
  return { handler, handle, held };
}

test("events are applied in order, and counted by type", () => {
  const { handle, held } = setUp();
  const removed: KVEvent = { type: "BlockRemoved", blockHashes: [1n], medium: null, groupIdx: null };
  const { events, eventCount, errors } = handle(0, stored(1n), stored(2n), removed);
  assert.deepEqual({ ...events }, { BlockStored: 2, BlockRemoved: 1 });
  assert.deepEqual([eventCount, errors], [3, []]);
  assert.deepEqual(held(0), [2n]);
  handle(0, { type: "AllBlocksCleared" });
  assert.deepEqual(held(0), []);
});

test("a batch that names no rank is of the endpoint's, one that names another is of that", () => {
  const { handle, held } = setUp();
  handle(null, stored(1n));
  handle(3, stored(2n));
  assert.deepEqual([held(0), held(3)], [[1n], [2n]]);
});

test("a batch that names the rank of another endpoint is of its own endpoint all the same", () => {
  const { handle, held } = setUp([1]);
  handle(1, stored(1n));
  assert.deepEqual([held(0), held(1)], [[1n], []]);
});

test("a purge forgets all ranks that the endpoint spoke for", () => {
  const { handler, handle, held } = setUp();
  handle(0, stored(1n));
  handle(3, stored(2n));
  handler.purge();
  assert.deepEqual([held(0), held(3)], [[], []]);
});

test("a payload that cannot be read is one error and no event", () => {
  const { handler } = setUp();
  const { eventCount, errors } = handler.handle(Buffer.from("GET / HTTP/1.1"));
  assert.deepEqual([eventCount, errors.map(({ code }) => code)], [0, ["batch"]]);
});
