import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Blocks } from "../../src/indexer/blocks.ts";
import { Contexts } from "../../src/indexer/context.ts";
import { HashTable } from "../../src/indexer/hash-table.ts";
import { Segments } from "../../src/indexer/segments.ts";

const COUNT = 12;

/** So many blocks of one context, none of which is chained on another, or each on the one before. */
function someBlocks(count: number, areChained = false) {
  const blocks = new Blocks(false);
  const segments = new Segments();
  const contexts = new Contexts(() => new HashTable(blocks.records, segments, 1));
  const context = contexts.open("model", -1, 16);
  contexts.number(context);
  const numbers = Array.from({ length: count }, (_, i) =>
    blocks.create(context, i + 1, i + 1, areChained ? i : 0, 0, 0),
  );
  return { blocks, context, numbers };
}

// As prompts are, with parts that come again, and what nobody holds; and in any order.
const run = fc
  .record({ first: fc.nat({ max: COUNT }), length: fc.integer({ min: 1, max: COUNT }) })
  .map(({ first, length }) => Array.from({ length }, (_, i) => (first + i) % (COUNT + 1)));
const mentioned = fc.oneof(
  fc.array(run, { maxLength: 4 }).map((runs) => runs.flat()),
  fc.array(fc.nat({ max: COUNT }), { maxLength: 3 * COUNT }),
);

test("what was mentioned last is newest, the first of a list before the next, and the rest stays in order", () => {
  fc.assert(
    fc.property(fc.array(mentioned, { maxLength: 8 }), (lists) => {
      const { blocks, context, numbers } = someBlocks(COUNT);
      // The newest first.
      let expected = numbers.toReversed();
      for (const list of lists) {
        const named = list.map((at) => (at === 0 ? 0 : numbers[at - 1]!));
        assert.equal(blocks.mention(context, named, 0, named.length, 0), named.length);
        // Where one comes again, its last place counts.
        const distinct = [...new Set(named.toReversed())].reverse().filter((block) => block !== 0);
        expected = [...distinct, ...expected.filter((block) => !distinct.includes(block))];
      }
      const oldestFirst = numbers.map(() => {
        const { oldest } = context;
        blocks.free(context, oldest);
        return oldest;
      });
      assert.deepEqual(oldestFirst.reverse(), expected);
      assert.deepEqual([context.newest, context.oldest], [0, 0]);
    }),
    { numRuns: 1_000 },
  );
});

test("what is noted of a block goes with the next change, and leaves its epoch as it is", () => {
  const { blocks, context, numbers } = someBlocks(3, true);
  const [first, second, third] = numbers as [number, number, number];
  const prompt = Int32Array.from(numbers);
  const hashes = Int32Array.of(2, 2, 3, 3);
  assert.equal(blocks.countLikeFollowing(first, hashes, 0, 2), 0);
  const epoch = blocks.epoch(second);
  for (const block of [second, third]) blocks.setLikeBefore(block);
  assert.equal(blocks.countLikeFollowing(first, hashes, 0, 2), 2);
  assert.equal(blocks.epoch(second), epoch);
  blocks.mention(context, prompt, 0, 3, 0);
  assert.equal(blocks.countLikeBefore(prompt, 1, 3), 2);
  blocks.setUnlike(second);
  // Of the third, too, since it is like the second no more.
  assert.equal(blocks.countLikeBefore(prompt, 2, 3), 0);
  assert.equal(blocks.countLikeFollowing(first, hashes, 0, 2), 0);
  assert.ok(blocks.follows(second) && blocks.follows(third));
});

test("of blocks that follow and are like the ones before, those are found whose hashes are the prompt's", () => {
  for (const areChained of [true, false]) {
    const { blocks, numbers } = someBlocks(COUNT, areChained);
    for (const block of numbers.slice(1)) blocks.setLikeBefore(block);
    for (let same = 0; same < COUNT; same++) {
      const hashes = Int32Array.from(
        { length: 2 * COUNT },
        (_, word) => 2 + (word >> 1) + (word >> 1 < same ? 0 : 100),
      );
      for (let to = 0; to <= COUNT; to++) {
        assert.equal(blocks.countLikeFollowing(numbers[0]!, hashes, 0, to), areChained ? Math.min(same, to) : 0);
      }
    }
  }
});
