import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { MODEL, source, stored, summary, tokens } from "./support.ts";

const BLOCKS = [1, 2, 3, 4, 5];
const PODS = 80;

// Long enough for sources as lists and as bits, of several words.
const pod = fc.integer({ min: 0, max: PODS - 1 }).map((number) => `pod-${number}`);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ pod, blocks: fc.integer({ min: 1, max: BLOCKS.length }) }) },
  { weight: 1, arbitrary: fc.record({ pod, blocks: fc.constant(0) }) },
);
const question = fc.record({
  asked: fc.integer({ min: 1, max: BLOCKS.length }),
  readyPods: fc.option(fc.uniqueArray(pod), { nil: undefined }),
});

test("of many pods that come and go, those with the most blocks come first, of equals by name, and only ready ones", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.array(question, { maxLength: 4 }), (steps, questions) => {
      const table = new SyncPrefixHashTable();
      const held = new Map<string, number>();
      for (const { pod, blocks } of steps) {
        table.processAllBlocksCleared(source(pod));
        held.delete(pod);
        if (blocks === 0) continue;
        const numbers = BLOCKS.slice(0, blocks);
        table.processBlockStored(source(pod), stored(numbers.map(BigInt), null, tokens(...numbers)));
        held.set(pod, blocks);
      }
      for (const { asked, readyPods } of questions) {
        const ready = readyPods === undefined ? undefined : new Set(readyPods);
        const expected = [...held]
          .filter(([name]) => ready?.has(name) ?? true)
          .map(([name, blocks]) => ({ pod: name, matchedBlocks: Math.min(blocks, asked) }))
          .sort((left, right) => right.matchedBlocks - left.matchedBlocks || (left.pod < right.pod ? -1 : 1));
        const matches = table.matchPrefix(MODEL, -1, tokens(...BLOCKS.slice(0, asked)), ready);
        assert.deepEqual(
          matches.map(({ pod, matchedBlocks }) => ({ pod, matchedBlocks })),
          expected,
        );
        for (const { matchedBlocks, matchedTokens, matchPercent, ranks } of matches) {
          assert.deepEqual(
            [matchedTokens, matchPercent],
            [4 * matchedBlocks, Math.floor((100 * matchedBlocks) / asked)],
          );
          const counts = {
            matchedBlocks,
            gpuBlocks: matchedBlocks,
            cpuBlocks: matchedBlocks,
            diskBlocks: matchedBlocks,
          };
          assert.deepEqual(ranks, [{ rank: 0, ...counts, weightedBlocks: matchedBlocks }]);
        }
      }
    }),
  );
});

test("a pod that is hidden is listed from when it is revealed", () => {
  const [table, copy] = [new SyncPrefixHashTable({ hash: "xxh3" }), new SyncPrefixHashTable({ hash: "xxh3" })];
  for (let number = 0; number < 40; number++) {
    table.processBlockStored(source(`pod-${number}`), stored([1n], null, tokens(1)));
  }
  for (let number = 0; number < 40; number++) {
    const of = source(`pod-${number}`);
    copy.importSource(of, table.exportSource(of));
    assert.equal(copy.matchPrefix(MODEL, -1, tokens(1)).length, number);
    copy.reveal(of);
  }
  assert.equal(summary(copy.matchPrefix(MODEL, -1, tokens(1))), summary(table.matchPrefix(MODEL, -1, tokens(1))));
});

test("a pod of which first only blocks without their parent are known is listed when that has come", () => {
  const table = new SyncPrefixHashTable();
  table.processBlockStored(source("a"), stored([1n], null, tokens(1)));
  table.processBlockStored(source("b"), stored([2n], 1n, tokens(2)));
  assert.equal(summary(table.matchPrefix(MODEL, -1, tokens(1, 2))), "a 1");
  table.processBlockStored(source("b"), stored([1n], null, tokens(1)));
  assert.equal(summary(table.matchPrefix(MODEL, -1, tokens(1, 2))), "b 2, a 1");
});

test("many pods of one rank each, of which each has another number of blocks, are listed with theirs", () => {
  const table = new SyncPrefixHashTable();
  const numbers = Array.from({ length: 70 }, (_, i) => i + 1);
  // In no order by name: 71 is a prime.
  const pods = numbers.map((blocks) => ({ pod: `p${100 + ((37 * blocks) % 71)}`, rank: blocks % 2, blocks }));
  for (const { pod, rank, blocks } of pods) {
    const some = numbers.slice(0, blocks);
    table.processBlockStored(source(pod, rank), stored(some.map(BigInt), null, tokens(...some)));
  }
  for (const asked of numbers) {
    const expected = pods
      .map(({ pod, rank, blocks }) => ({ pod, rank, matchedBlocks: Math.min(blocks, asked) }))
      .sort((left, right) => right.matchedBlocks - left.matchedBlocks || (left.pod < right.pod ? -1 : 1));
    const matches = table.matchPrefix(MODEL, -1, tokens(...numbers.slice(0, asked)));
    assert.deepEqual(
      matches.map(({ pod, matchedBlocks, ranks }) => ({ pod, rank: ranks[0]?.rank, matchedBlocks })),
      expected,
    );
  }
});
