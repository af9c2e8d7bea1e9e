import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { MODEL, match, removed, source, stored, storedPlace, summary, tokens } from "./support.ts";

describe("matchPrefix", () => {
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    table = new SyncPrefixHashTable();
  });

  it("lists the best pod first, equal ones by name", () => {
    for (const [pod, blocks] of [
      ["d", 1],
      ["b", 2],
      ["c", 3],
      ["a", 2],
    ] as const) {
      const numbers = [1, 2, 3].slice(0, blocks);
      table.processBlockStored(source(pod), stored(numbers.map(BigInt), null, tokens(...numbers)));
    }
    assert.equal(match(table, tokens(1, 2, 3)), "c 3, a 2, b 2, d 1");
  });

  it("lists nothing for an empty prompt, a short one and an unknown one", () => {
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.deepEqual(table.matchPrefix(MODEL, -1, []), []);
    assert.deepEqual(table.matchPrefix(MODEL, -1, tokens(1).subarray(0, 3)), []);
    assert.deepEqual(table.matchPrefix(MODEL, -1, tokens(2)), []);
  });

  it("takes tokens as numbers or as Uint32Array, and leaves them as they are", () => {
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    const prompt = [...tokens(1)];
    assert.deepEqual(table.matchPrefix(MODEL, -1, prompt), table.matchPrefix(MODEL, -1, tokens(1)));
    assert.deepEqual(prompt, [...tokens(1)]);
  });

  it("says how much of the prompt's full blocks a pod has", () => {
    table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2)));
    const [found] = table.matchPrefix(MODEL, -1, [...tokens(1, 2, 3), 99]);
    assert.deepEqual(found, {
      pod: "a",
      blockSize: 4,
      matchedBlocks: 2,
      matchedTokens: 8,
      matchPercent: 66,
      ranks: [{ rank: 0, matchedBlocks: 2, gpuBlocks: 2, cpuBlocks: 2, diskBlocks: 2, weightedBlocks: 2 }],
    });
  });

  it("answers for ready pods only", () => {
    for (const pod of ["a", "b", "c"]) table.processBlockStored(source(pod), stored([1n], null, tokens(1)));
    assert.equal(summary(table.matchPrefix(MODEL, -1, tokens(1), new Set(["c", "x"]))), "c 1");
    assert.equal(summary(table.matchPrefix(MODEL, -1, tokens(1), new Set())), "");
  });

  it("counts a pod's best rank and lists each rank that has the start", () => {
    table.processBlockStored(source("a", 2), stored([1n, 2n], null, tokens(1, 2)));
    table.processBlockStored(source("a", 1), stored([1n, 2n, 3n], null, tokens(1, 2, 3)));
    table.processBlockStored(source("a", 0), stored([9n], null, tokens(9)));
    const [found] = table.matchPrefix(MODEL, -1, tokens(1, 2, 3));
    assert.equal(found?.matchedBlocks, 3);
    assert.deepEqual(
      found?.ranks.map(({ rank, matchedBlocks }) => [rank, matchedBlocks]),
      [
        [1, 3],
        [2, 2],
      ],
    );
  });

  it("does not put the ranks of a pod together", () => {
    table.processBlockStored(source("a", 0), stored([1n], null, tokens(1)));
    table.processBlockStored(source("a", 1), stored([1n, 2n], null, tokens(1, 2)));
    table.processBlockRemoved(source("a", 1), removed([1n]));
    assert.equal(match(table, tokens(1, 2)), "a 1");
  });

  it("counts tiers from the start, each with the faster ones", () => {
    table.processBlockStored(source(), stored([1n, 2n, 3n, 4n], null, tokens(1, 2, 3, 4)));
    table.processBlockStored(source(), storedPlace([2n], "cpu"));
    table.processBlockStored(source(), storedPlace([3n], "EXTERNAL"));
    table.processBlockRemoved(source(), removed([2n, 3n]));
    const [found] = table.matchPrefix(MODEL, -1, tokens(1, 2, 3, 4));
    assert.deepEqual(found?.ranks, [
      { rank: 0, matchedBlocks: 4, gpuBlocks: 1, cpuBlocks: 2, diskBlocks: 4, weightedBlocks: 1 + 0.8 + 1 + 0.5 },
    ]);
  });

  it("looks at every block size that the model has, and lists a pod with its most tokens", () => {
    table.processBlockStored(source("fine"), stored([1n, 2n, 3n], null, tokens(1, 2, 3), { blockSize: 2 }));
    table.processBlockStored(source("coarse"), stored([1n, 2n], null, tokens(1, 2)));
    table.processBlockStored(source("both"), stored([1n], null, tokens(1), { blockSize: 2 }));
    table.processBlockStored(source("both"), stored([1n], null, tokens(1)));
    const found = table.matchPrefix(MODEL, -1, tokens(1, 2, 3));
    assert.deepEqual(
      found.map(({ pod, blockSize, matchedTokens }) => [pod, blockSize, matchedTokens]),
      [
        ["coarse", 4, 8],
        ["fine", 2, 6],
        ["both", 4, 4],
      ],
    );
  });

  it("answers for a prefix that many pods hold", () => {
    const blocks = Array.from({ length: 20 }, (_, i) => i);
    for (let pod = 0; pod < 300; pod++) {
      const mine = blocks.slice(0, 1 + (pod % 20));
      table.processBlockStored(source(`pod-${pod}`), stored(mine.map(BigInt), null, tokens(...mine)));
    }
    const found = table.matchPrefix(MODEL, -1, tokens(...blocks));
    assert.equal(found.length, 300);
    assert.deepEqual(
      found.slice(0, 15).map(({ matchedBlocks }) => matchedBlocks),
      new Array(15).fill(20),
    );
    assert.equal(found.at(-1)?.matchedBlocks, 1);
  });
});
