import assert from "node:assert/strict";
import { test } from "node:test";
import { comparePool, type Difference } from "../../src/demo/compare.ts";
import type { KVEvent } from "../../src/events/event.ts";
import type { BlockSource } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { type EngineOptions, SimulatedEngine } from "../../src/simulator/engine.ts";

const SOURCE: BlockSource = { model: "m", pod: "default/a", rank: 0, loraId: -1 };
const PROMPT = { tokens: [1, 2, 3, 4, 5, 6, 7] };
const STORE_HASH = 0xabcn;

/** An engine, and an index that hears of its events, but for those that are dropped. */
class Pair {
  readonly engine: SimulatedEngine;
  readonly index = new SyncPrefixHashTable();

  constructor(options: EngineOptions = {}) {
    this.engine = new SimulatedEngine({ blockSize: 2, ...options });
  }

  run(tokens: readonly number[], keep: (event: KVEvent) => boolean = () => true): void {
    for (const event of this.engine.run({ tokens }).events) if (keep(event)) this.apply(event);
  }

  apply(event: KVEvent): void {
    if (event.type === "BlockStored") this.index.processBlockStored(SOURCE, event);
    else if (event.type === "BlockRemoved") this.index.processBlockRemoved(SOURCE, event);
    else this.index.processAllBlocksCleared(SOURCE);
  }

  kinds(): readonly Difference["kind"][] {
    return comparePool(this.index, SOURCE, this.engine.pool()).differences.map(({ kind }) => kind);
  }
}

test("an index that heard of everything agrees in each block", () => {
  const pair = new Pair({ capacityBlocks: 8, cpuCapacityBlocks: 5 });
  for (let first = 0; first < 9; first++) pair.run([first, 2, 3, 4, 5, 6, 7]);
  const { blocks, differences } = comparePool(pair.index, SOURCE, pair.engine.pool());
  assert.deepEqual([blocks, differences], [[...pair.engine.pool()].length, []]);
  assert.ok(blocks > 5);
});

test("blocks with an adapter and a salt are compared under them", () => {
  const pair = new Pair();
  for (const event of pair.engine.run({ ...PROMPT, loraName: "sql", cacheSalt: "tenant" }).events) pair.apply(event);
  const { blocks, differences } = comparePool(pair.index, SOURCE, pair.engine.pool());
  assert.deepEqual([blocks, differences], [3, []]);
});

test("a block that the index did not hear of is missing", () => {
  const pair = new Pair();
  pair.run(PROMPT.tokens, () => false);
  assert.deepEqual(pair.kinds(), ["missing", "missing", "missing"]);
});

test("a block of which the index did not hear that it went is extra", () => {
  const pair = new Pair();
  pair.run(PROMPT.tokens);
  pair.engine.reset();
  assert.deepEqual(pair.kinds(), ["extra", "extra", "extra"]);
});

test("a tier of which the index did not hear is a difference", () => {
  const pair = new Pair({ cpuCapacityBlocks: 8 });
  pair.run([1, 2], (event) => event.type !== "BlockStored" || event.medium !== "CPU");
  const [difference] = comparePool(pair.index, SOURCE, pair.engine.pool()).differences;
  assert.equal(difference?.kind, "tiers");
  assert.equal(difference.detail, "the engine holds it in cpu, gpu, the index in gpu");
});

test("a block that is held and cannot be reached from the start of its prompt is unmatched", () => {
  const pair = new Pair();
  pair.run(PROMPT.tokens);
  const [first] = pair.engine.pool();
  pair.apply({ type: "BlockRemoved", blockHashes: [first!.blockHash], medium: null, groupIdx: null });
  assert.deepEqual(pair.kinds(), ["missing", "unmatched", "unmatched"]);
});

test("a name under which the index knows other tokens is unmatched", () => {
  const pair = new Pair();
  const [stored] = pair.engine.run({ tokens: [1, 2] }).events;
  assert.ok(stored?.type === "BlockStored");
  pair.apply({ ...stored, tokenIds: Uint32Array.of(8, 9) });
  assert.deepEqual(pair.kinds(), ["unmatched"]);
});

test("what another rank or pod holds is not this one's", () => {
  const pair = new Pair();
  pair.run(PROMPT.tokens);
  const other = comparePool(pair.index, { ...SOURCE, rank: 1 }, pair.engine.pool());
  assert.deepEqual(
    other.differences.map(({ kind, rank }) => [kind, rank]),
    Array.from({ length: 3 }, () => ["missing", 1]),
  );
});

test("a prompt that only another rank of the pod holds is unmatched", () => {
  const pair = new Pair();
  const [stored] = pair.engine.run({ tokens: [1, 2] }).events;
  assert.ok(stored?.type === "BlockStored");
  pair.index.processBlockStored({ ...SOURCE, rank: 1 }, stored);
  pair.apply({ ...stored, tokenIds: Uint32Array.of(8, 9) });
  assert.deepEqual(pair.kinds(), ["unmatched"]);
});

test("a difference names the block and what each side has", () => {
  const pool = {
    blockHash: STORE_HASH,
    parentBlockHash: null,
    tokenIds: Uint32Array.of(1, 2),
    loraName: null,
    cacheSalt: null,
    tiers: ["gpu"],
    prefixTokens: () => Uint32Array.of(1, 2),
  };
  const [difference] = comparePool(new SyncPrefixHashTable(), SOURCE, [pool]).differences;
  assert.deepEqual(difference, {
    kind: "missing",
    pod: "default/a",
    rank: 0,
    blockHash: STORE_HASH,
    detail: "the engine holds it in gpu, the index nowhere",
  });
});
