import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { BlockStored } from "../../src/events/event.ts";
import { isKnownKind, neededBlocks } from "../../src/indexer/attention-groups.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { MODEL, match, removed, source, stored, storedPlace, tokens } from "./support.ts";

const FULL: Partial<BlockStored> = { groupIdx: 0, kvCacheSpecKind: "full_attention" };
/** Of 9 tokens: the last two blocks of four. */
const WINDOW: Partial<BlockStored> = { groupIdx: 1, kvCacheSpecKind: "sliding_window", kvCacheSpecSlidingWindow: 9 };
const PROMPT = tokens(1, 2, 3, 4);
const HASHES = [1n, 2n, 3n, 4n];

function group(kind: string | null, slidingWindow: number | null, blockSize = 16) {
  return { index: 0, kind, slidingWindow, blockSize };
}

describe("neededBlocks", () => {
  it("is all of a prefix for full attention, whatever window it names", () => {
    for (const kind of ["full_attention", "mla_attention", "sink_full_attention"]) {
      assert.equal(neededBlocks(group(kind, 128)), Number.POSITIVE_INFINITY);
      assert.ok(isKnownKind(group(kind, null)));
    }
  });

  it("is what the last window covers besides the token that comes next", () => {
    for (const [window, blocks] of [
      [1, 1],
      [2, 1],
      [17, 1],
      [18, 2],
      [128, 8],
      [129, 8],
      [130, 9],
    ] as const) {
      assert.equal(neededBlocks(group("sliding_window", window)), blocks, `${window}`);
    }
  });

  it("is the last state of a mamba layer", () => {
    assert.equal(neededBlocks(group("mamba", null)), 1);
  });

  it("is taken to be all, and said to be assumed, where nothing tells", () => {
    for (const unknown of [group(null, null), group("chunked_local_attention", null), group("sliding_window", 0)]) {
      assert.equal(neededBlocks(unknown), Number.POSITIVE_INFINITY);
      assert.ok(!isKnownKind(unknown));
    }
  });
});

describe("a hybrid model", () => {
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    table = new SyncPrefixHashTable();
    table.processBlockStored(source(), stored(HASHES, null, PROMPT, FULL));
    table.processBlockStored(source(), stored(HASHES, null, PROMPT, WINDOW));
  });

  it("holds a prefix whose start has left the sliding window", () => {
    table.processBlockRemoved(source(), removed([1n, 2n], { groupIdx: 1 }));
    assert.equal(match(table, PROMPT), "a 4");
  });

  it("holds no more than what is before a hole in the last window", () => {
    table.processBlockRemoved(source(), removed([4n], { groupIdx: 1 }));
    assert.equal(match(table, PROMPT), "a 3");
    table.processBlockRemoved(source(), removed([2n], { groupIdx: 1 }));
    assert.equal(match(table, PROMPT), "a 1");
  });

  it("holds no more than full attention has, though the window is there", () => {
    table.processBlockRemoved(source(), removed([3n], { groupIdx: 0 }));
    assert.equal(match(table, PROMPT), "a 2");
  });

  it("holds nothing while only one of its groups has it", () => {
    table.processBlockRemoved(source(), removed(HASHES, { groupIdx: 1 }));
    assert.equal(match(table, PROMPT), "");
  });

  it("has in each tier what each group has there", () => {
    table.processBlockStored(source(), stored([3n, 4n], 2n, tokens(3, 4), { ...WINDOW, medium: "cpu" }));
    table.processBlockRemoved(source(), removed([3n, 4n], { groupIdx: 1 }));
    const [found] = table.matchPrefix(MODEL, -1, PROMPT);
    assert.deepEqual(found?.ranks, [
      { rank: 0, matchedBlocks: 4, gpuBlocks: 2, cpuBlocks: 4, diskBlocks: 4, weightedBlocks: 1 + 1 + 0.8 + 0.8 },
    ]);
  });

  it("has for all groups what is stored without one", () => {
    table.processBlockRemoved(source(), removed([3n, 4n], { groupIdx: 1 }));
    assert.equal(match(table, PROMPT), "a 2");
    table.processBlockStored(source(), storedPlace([3n, 4n], "cpu"));
    assert.equal(match(table, PROMPT), "a 4");
  });

  it("says where it had to assume that a group needs all of a prefix", () => {
    table.processBlockStored(source(), stored([1n], null, tokens(1), { groupIdx: 2 }));
    const [found] = table.matchPrefix(MODEL, -1, PROMPT);
    assert.deepEqual(found?.ranks, [
      { rank: 0, matchedBlocks: 1, gpuBlocks: 1, cpuBlocks: 1, diskBlocks: 1, weightedBlocks: 1, isLowerBound: true },
    ]);
  });

  it("forgets its groups with its blocks: another model may be served next", () => {
    table.processAllBlocksCleared(source());
    table.processBlockStored(source(), stored(HASHES, null, PROMPT));
    assert.equal(match(table, PROMPT), "a 4");
  });

  it("is believed to have what was just routed to it, in all groups", () => {
    table.processBlockRemoved(source(), removed([3n, 4n], { groupIdx: 1 }));
    const hashes = table.getPrefixHashes(MODEL, -1, PROMPT, 4);
    table.addPrefix(MODEL, -1, "a", hashes, 4, 1000);
    const [found] = table.matchPrefix(MODEL, -1, PROMPT);
    assert.equal(found?.matchedBlocks, 4);
    assert.equal(found?.ranks[0]?.matchedBlocks, 2);
  });

  it("is found by its last window where no group needs the start", () => {
    const other = source("b");
    table.processBlockStored(other, stored(HASHES, null, PROMPT, WINDOW));
    table.processBlockRemoved(other, removed([1n, 2n], { groupIdx: 1 }));
    assert.equal(match(table, PROMPT), "a 4, b 4");
    table.processAllBlocksCleared(other);
    assert.equal(match(table, PROMPT), "a 4");
  });
});

describe("tierWeights", () => {
  it("weigh a block by its best tier, and what is not named by half", () => {
    const table = new SyncPrefixHashTable({ tierWeights: { cpu: 0.25, disk: 0.125 } });
    table.processBlockStored(source(), stored([1n, 2n, 3n], null, tokens(1, 2, 3), { medium: "disk" }));
    table.processBlockStored(source(), storedPlace([2n], "cpu"));
    table.processBlockStored(source(), storedPlace([3n], "lmcache"));
    assert.equal(table.matchPrefix(MODEL, -1, tokens(1, 2, 3))[0]?.ranks[0]?.weightedBlocks, 0.125 + 0.25 + 0.5);
  });

  it("are from 0 to 1", () => {
    for (const weight of [-0.1, 1.1, Number.NaN]) {
      assert.throws(() => new SyncPrefixHashTable({ tierWeights: { cpu: weight } }), {
        code: "invalid-option",
        message: `tierWeights: cpu weighs ${weight}; use a number from 0 to 1`,
      });
    }
  });
});
