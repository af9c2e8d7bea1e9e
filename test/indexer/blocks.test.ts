import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Blocks } from "../../src/indexer/blocks.ts";
import { Contexts } from "../../src/indexer/context.ts";
import { HashTable } from "../../src/indexer/hash-table.ts";
import { Segments } from "../../src/indexer/segments.ts";

const COUNT = 12;

/** So many blocks of one context. */
function someBlocks(count: number) {
  const blocks = new Blocks(false);
  const segments = new Segments();
  const contexts = new Contexts(() => new HashTable(blocks.records, segments, 1));
  const context = contexts.open("model", -1, 16);
  contexts.number(context);
  const numbers = Array.from({ length: count }, (_, i) => blocks.create(context, i + 1, i + 1, 0, 0, 0));
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
