import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { BLOCK_SIZE, ManualClock, MODEL, match, removed, source, stored, summary, tokens } from "./support.ts";

describe("addPrefix", () => {
  let clock: ManualClock;
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    clock = new ManualClock();
    table = new SyncPrefixHashTable({ clock, maxPrefixesPerContext: 100 });
  });

  function believe(pod: string, prompt: Uint32Array, ttlMs = 1000): void {
    const hashes = table.getPrefixHashes(MODEL, -1, prompt, BLOCK_SIZE);
    table.addPrefix(MODEL, -1, pod, hashes, BLOCK_SIZE, ttlMs);
  }

  it("makes a pod match without pretending to know the rank", () => {
    believe("a", tokens(1, 2));
    assert.deepEqual(table.matchPrefix(MODEL, -1, tokens(1, 2, 3)), [
      { pod: "a", blockSize: 4, matchedBlocks: 2, matchedTokens: 8, matchPercent: 66, ranks: [] },
    ]);
  });

  it("is believed for its time only (defect 16)", () => {
    believe("a", tokens(1));
    clock.advance(999);
    assert.equal(match(table, tokens(1)), "a 1");
    clock.advance(1);
    assert.equal(match(table, tokens(1)), "");
  });

  it("is believed for a new time when it is said again", () => {
    believe("a", tokens(1), 500);
    clock.advance(400);
    believe("a", tokens(1), 500);
    clock.advance(400);
    assert.equal(match(table, tokens(1)), "a 1");
  });

  it("goes on where the blocks of a rank end, and leaves the rank's own count true", () => {
    table.processBlockStored(source("a", 1), stored([1n], null, tokens(1)));
    believe("a", tokens(1, 2, 3));
    const [found] = table.matchPrefix(MODEL, -1, tokens(1, 2, 3));
    assert.equal(found?.matchedBlocks, 3);
    assert.deepEqual(found?.ranks, [
      { rank: 1, matchedBlocks: 1, gpuBlocks: 1, cpuBlocks: 1, diskBlocks: 1, weightedBlocks: 1 },
    ]);
  });

  it("fills the hole before a rank's blocks, which the rank's own count does not", () => {
    table.processBlockStored(source("a"), stored([1n, 2n], null, tokens(1, 2)));
    table.processBlockRemoved(source("a"), removed([1n]));
    believe("a", tokens(1));
    const [found] = table.matchPrefix(MODEL, -1, tokens(1, 2));
    assert.equal(found?.matchedBlocks, 2);
    assert.deepEqual(found?.ranks, []);
  });

  it("is replaced by what the pod's events say of a block", () => {
    believe("a", tokens(1, 2));
    table.processBlockStored(source("a"), stored([1n], null, tokens(1)));
    table.processBlockRemoved(source("a"), removed([1n]));
    assert.equal(match(table, tokens(1, 2)), "");
  });

  it("is ended by a removal even where the block was known before", () => {
    table.processBlockStored(source("a"), stored([1n], null, tokens(1)));
    believe("a", tokens(1));
    table.processBlockRemoved(source("a"), removed([1n]));
    assert.equal(match(table, tokens(1)), "");
  });

  it("is not touched by other pods' events", () => {
    believe("a", tokens(1));
    table.processBlockStored(source("b"), stored([1n], null, tokens(1)));
    table.processBlockRemoved(source("b"), removed([1n]));
    table.processAllBlocksCleared(source("b"));
    assert.equal(match(table, tokens(1)), "a 1");
  });

  it("is dropped when any rank of the pod is cleared", () => {
    believe("a", tokens(1));
    table.processAllBlocksCleared(source("a", 5));
    assert.equal(match(table, tokens(1)), "");
    assert.equal(table.stats().contexts, 0);
  });

  it("respects ready pods, adapter and model", () => {
    believe("a", tokens(1));
    assert.equal(summary(table.matchPrefix(MODEL, -1, tokens(1), new Set(["b"]))), "");
    assert.equal(summary(table.matchPrefix(MODEL, "sql", tokens(1))), "");
    assert.equal(summary(table.matchPrefix("other", -1, tokens(1))), "");
  });

  it("is no block that anybody holds", () => {
    believe("a", tokens(1));
    assert.deepEqual(table.stats(), { contexts: 1, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 });
    assert.deepEqual([...table.heldBlocks(source("a"))], []);
  });

  it("is bounded: the oldest goes first, of one prompt its end", () => {
    for (let prompt = 1; prompt <= 60; prompt++) believe(`p${prompt}`, tokens(prompt, 0));
    const matched = Array.from({ length: 60 }, (_, i) => match(table, tokens(i + 1, 0)));
    assert.deepEqual(matched.slice(0, 11), [...new Array(10).fill(""), "p11 2"]);
    table.addPrefix(MODEL, -1, "z", table.getPrefixHashes(MODEL, -1, new Uint32Array(600), 4), 4, 1000);
    assert.equal(match(table, new Uint32Array(600)), "z 100");
  });

  it("leaves nothing behind once its time is over and something else happens", () => {
    believe("a", tokens(1, 2));
    clock.advance(1000);
    table.processBlockRemoved(source("x"), removed([1n]));
    table.processBlockRemoved(source("x"), removed([1n]));
    assert.equal(table.stats().contexts, 0);
  });

  it("refuses a block size that is no number of tokens", () => {
    assert.throws(() => table.addPrefix(MODEL, -1, "a", new BigUint64Array(1), 0, 1), { code: "invalid-block-size" });
  });
});

describe("removePrefix", () => {
  it("drops what was believed of one pod, and no block that events reported", () => {
    const table = new SyncPrefixHashTable();
    const hashes = table.getPrefixHashes(MODEL, -1, tokens(1, 2), BLOCK_SIZE);
    table.processBlockStored(source("a"), stored([1n], null, tokens(1)));
    for (const pod of ["a", "b", "c"]) table.addPrefix(MODEL, -1, pod, hashes, BLOCK_SIZE, 1e6);
    table.removePrefix(MODEL, -1, "a");
    table.removePrefix(MODEL, -1, "b");
    assert.equal(match(table, tokens(1, 2)), "c 2, a 1");
  });

  it("drops contexts that are empty then", () => {
    const table = new SyncPrefixHashTable();
    table.addPrefix(MODEL, -1, "a", BigUint64Array.of(1n), BLOCK_SIZE, 1e6);
    table.removePrefix(MODEL, -1, "a");
    assert.equal(table.stats().contexts, 0);
  });
});
