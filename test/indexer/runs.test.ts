import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import type { BlockSource } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable, type SyncPrefixHashTableOptions } from "../../src/indexer/sync-prefix-hash-table.ts";
import { MANY_BLOCKS, packed, SOURCES, step, tokensOf } from "./engine-steps.ts";
import { held, MODEL, match, removed, stored } from "./support.ts";

/** One event for each of the blocks, in order. */
function oneByOne(event: BlockStored | BlockRemoved): (BlockStored | BlockRemoved)[] {
  const { blockHashes } = event;
  if (event.type === "BlockRemoved") return blockHashes.map((hash) => ({ ...event, blockHashes: [hash] }));
  return blockHashes.map((hash, i) => ({
    ...event,
    blockHashes: [hash],
    parentBlockHash: i === 0 ? event.parentBlockHash : blockHashes[i - 1]!,
    tokenIds: event.tokenIds.slice(i, i + 1),
  }));
}

function process(table: SyncPrefixHashTable, of: BlockSource, events: readonly (BlockStored | BlockRemoved)[]): void {
  table.processEvents(of, packed(events));
}

function assertAlike(table: SyncPrefixHashTable, other: SyncPrefixHashTable): void {
  assert.deepEqual(table.stats(), other.stats());
  for (const of of SOURCES) assert.equal(held(table.heldBlocks(of)), held(other.heldBlocks(of)));
  for (const prompt of [0, 1, 2, 3]) {
    const tokens = tokensOf(prompt, 0, 300);
    assert.deepEqual(table.matchPrefix(MODEL, -1, tokens), other.matchPrefix(MODEL, -1, tokens));
  }
}

describe("blocks that come together", () => {
  const options: SyncPrefixHashTableOptions = { seed: 5n };

  for (const [size, filler] of [
    ["a small index", []],
    ["one that was large", MANY_BLOCKS],
  ] as const) {
    it(`are taken in by ${size} like one after the other, whatever is known of them`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
          const together = new SyncPrefixHashTable(options);
          const apart = new SyncPrefixHashTable(options);
          for (const table of [together, apart]) process(table, SOURCES[0]!, filler);
          for (const { of, event } of steps) {
            process(together, of, [event]);
            for (const one of oneByOne(event)) process(apart, of, [one]);
            assertAlike(together, apart);
          }
        }),
        { numRuns: 150 },
      );
    });
  }

  it("may be removed by an event for each, in one batch", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const together = new SyncPrefixHashTable(options);
        const apart = new SyncPrefixHashTable(options);
        for (const of of SOURCES) {
          const own = steps
            .filter((one) => one.of === of)
            .flatMap(({ event }) => (event.type === "BlockRemoved" ? oneByOne(event) : [event]));
          process(together, of, own);
          for (const event of own) process(apart, of, [event]);
        }
        assertAlike(together, apart);
      }),
      { numRuns: 100 },
    );
  });

  it("stay within the bounds like one after the other", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.integer({ min: 1, max: 200 }), (steps, most) => {
        const table = new SyncPrefixHashTable({ ...options, maxPrefixesPerContext: most, maxBytes: 60_000 });
        for (const { of, event } of steps) {
          process(table, of, [event]);
          assert.ok(table.stats().blocks <= most);
        }
        for (const of of SOURCES) table.processAllBlocksCleared(of);
        assert.deepEqual({ ...table.stats(), evictedBlocks: 0 }, new SyncPrefixHashTable().stats());
      }),
      { numRuns: 100 },
    );
  });

  it("leave nothing behind where a broken engine gives two of them one name", () => {
    const table = new SyncPrefixHashTable(options);
    const [of] = SOURCES;
    const names = Array.from({ length: 128 }, (_, i) => BigInt(i === 4 ? 2 : i));
    // So much room that all of them are taken in together.
    const others = Array.from({ length: 300 }, (_, i) => BigInt(1_000 + i));
    process(table, of!, [stored(others, null, tokensOf(1, 0, 300), { blockSize: 1 }), removed(others)]);
    const takenAfter = (rounds: number): number => {
      for (let round = 0; round < rounds; round++) {
        process(table, of!, [stored(names, null, tokensOf(0, 0, 128), { blockSize: 1 })]);
        assert.equal(table.stats().blocks, 127);
        process(table, of!, [removed(names)]);
        assert.equal(table.stats().blocks, 0);
      }
      return table.bytes;
    };
    const bytes = takenAfter(1);
    assert.equal(takenAfter(2_000), bytes);
  });

  it("count as used in the order of their prompt, the last as the oldest, and all after what they follow", () => {
    const table = new SyncPrefixHashTable({ ...options, maxPrefixesPerContext: 150 });
    const [of] = SOURCES;
    const names = Array.from({ length: 200 }, (_, i) => BigInt(i));
    process(table, of!, [stored(names.slice(0, 100), null, tokensOf(0, 0, 100), { blockSize: 1 })]);
    process(table, of!, [stored(names.slice(100), 99n, tokensOf(0, 100, 200), { blockSize: 1 })]);
    const left = [...names.slice(0, 49), ...names.slice(99)];
    assert.deepEqual(
      [...table.heldBlocks(of!)].map(({ blockHash }) => blockHash).sort((a, b) => Number(a - b)),
      left,
    );
    assert.equal(match(table, tokensOf(0, 0, 200)), "a 49");
  });
});
