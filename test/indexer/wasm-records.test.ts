import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import type { BlockSource } from "../../src/indexer/indexer.ts";
import type { Records } from "../../src/indexer/records.ts";
import { SOURCES, step, tokensOf } from "./engine-steps.ts";
import { Inside } from "./inside.ts";
import { removed, stored, withoutWebAssembly } from "./support.ts";

/** One that works by `WasmRecords`, and one that cannot. */
function twins(): [Inside, Inside] {
  const wasm = new Inside();
  const plain = new Inside();
  wasm.growAndEmpty();
  withoutWebAssembly(() => plain.growAndEmpty());
  assert.notEqual(wasm.index.wasm, null);
  assert.equal(plain.index.wasm, null);
  return [wasm, plain];
}

/** Behind what one of them has, the other has nothing. */
function assertSameWords(left: Records, right: Records): void {
  assert.deepEqual([left.size, left.firstFree, left.firstNew], [right.size, right.firstFree, right.firstNew]);
  const end = left.at(left.firstNew);
  assert.ok(Buffer.from(left.data.slice(0, end).buffer).equals(Buffer.from(right.data.slice(0, end).buffer)));
}

function assertAlike([wasm, plain]: readonly [Inside, Inside]): void {
  assertSameWords(wasm.index.blocks.records, plain.index.blocks.records);
  assertSameWords(wasm.index.holdings.records, plain.index.holdings.records);
  assert.equal(wasm.index.blocks.following, plain.index.blocks.following);
  assert.equal(wasm.index.pairs, plain.index.pairs);
  assert.equal(wasm.index.memory.bytes, plain.index.memory.bytes);
  const [left, right] = [wasm, plain].map(({ index }) =>
    index.contexts.all().map(({ size, newest, oldest, table }) => [size, newest, oldest, table.size]),
  );
  assert.deepEqual(left, right);
}

/** The tokens of blocks from number `from` to before `to`, and their names. */
function part(from: number, to: number, salt = 0): [bigint[], Uint32Array] {
  const tokens = Uint32Array.from({ length: to - from }, (_, i) => from + i);
  return [Array.from(tokens, (token) => BigInt(salt + token)), tokens];
}

function storedPart(from: number, to: number, more: Partial<BlockStored> = {}, salt = 0): BlockStored {
  const [names, tokens] = part(from, to, salt);
  return stored(names, from === 0 ? null : BigInt(salt + from - 1), tokens, { blockSize: 1, ...more });
}

/** As an engine takes them out: ends of prompts first. */
function removedPart(from: number, to: number, more: Partial<BlockRemoved> = {}, salt = 0): BlockRemoved {
  return removed(part(from, to, salt)[0].reverse(), more);
}

describe("WasmRecords", () => {
  it("leaves the words that plain JavaScript leaves", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(step, fc.nat({ max: 3 }), fc.nat({ max: 9 })), { maxLength: 15 }), (steps) => {
        const both = twins();
        for (const [{ of, event }, asked, listed] of steps) {
          for (const twin of both) {
            twin.process(of, event);
            if (listed === 0) twin.listAll();
          }
          assertAlike(both);
          const [answer, other] = both.map((twin) => twin.match(tokensOf(asked, 0, 300)));
          assert.deepEqual(answer, other);
          assertAlike(both);
        }
      }),
      { numRuns: 200 },
    );
  });

  /** Each event of a source of this number. */
  function takeAlike(events: readonly (readonly [number, BlockStored | BlockRemoved])[]): [Inside, Inside] {
    const both = twins();
    for (const [number, event] of events) {
      for (const twin of both) twin.process(SOURCES[number]!, event);
      assertAlike(both);
    }
    return both;
  }

  it("does so where many pods hold a block, and some under several names, as they come and go", () => {
    const both = twins();
    const take = (event: (salt: number) => BlockStored | BlockRemoved): void => {
      for (let pod = 0; pod < 40; pod++) {
        const of: BlockSource = { ...SOURCES[0]!, pod: `${pod}` };
        for (const salt of pod % 7 === 0 ? [0, 1_000, 2_000] : [0]) {
          for (const twin of both) twin.process(of, event(salt));
          assertAlike(both);
        }
      }
    };
    take((salt) => storedPart(0, 200, {}, salt));
    take((salt) => removedPart(100, 200, {}, salt));
    take((salt) => removedPart(0, 100, {}, salt));
    assert.equal(both[0].index.blocks.size, 0);
  });

  it("does so where a block of the same hash, of another context, has the record behind its parent's", () => {
    const sql = { loraName: "sql" };
    const [{ index }] = takeAlike([
      [0, storedPart(0, 100)],
      [0, removedPart(0, 1)],
      // Takes the record that was given back.
      [1, storedPart(0, 1, sql)],
      [1, storedPart(1, 100, sql)],
    ]);
    assert.equal(index.blocks.size, 99 + 100);
  });

  it("does so where blocks of several contexts go together", () => {
    const sql = { loraName: "sql" };
    const names = (salt: number): bigint[] => part(0, 100, salt)[0].reverse();
    const mixed = names(0).flatMap((name, i) => (i % 10 < 5 ? [name, names(1_000)[i]!] : []));
    takeAlike([
      [0, storedPart(0, 100)],
      [0, storedPart(0, 100, sql, 1_000)],
      [0, removed(mixed)],
      [0, removed([...names(0), ...names(1_000)])],
    ]);
  });

  it("does so where the newest of a context, and the oldest, go with others", () => {
    takeAlike([
      [0, storedPart(0, 50)],
      // Its parent is the newest from now on.
      [0, storedPart(50, 60)],
      [0, storedPart(1_000, 1_050, { parentBlockHash: null })],
      [0, storedPart(60, 70)],
      [0, removedPart(60, 70)],
      [0, removedPart(40, 60)],
      [0, storedPart(2_000, 2_050, { parentBlockHash: null })],
      [0, storedPart(40, 60)],
      [0, removedPart(0, 60)],
      [0, storedPart(0, 60)],
    ]);
  });

  it("does so where there are more sets of places than numbers for them", () => {
    const mediums = Array.from({ length: 70 }, (_, i) => `tier-${i}`);
    const others = mediums.map(
      (medium, i) => [0, storedPart(2 * i, 2 * i + 1, { medium, parentBlockHash: null })] as const,
    );
    const medium = "tier-x";
    const both = takeAlike([
      ...others,
      [1, storedPart(1_000, 1_020, { medium, parentBlockHash: null })],
      ...mediums.map((medium, i) => [0, removedPart(2 * i, 2 * i + 1, { medium })] as const),
      [1, storedPart(1_020, 1_040, { medium })],
      [1, removedPart(1_000, 1_040, { medium })],
      // As many as would be missing if the others had been taken for these.
      [1, storedPart(3_000, 3_021, { medium, parentBlockHash: null })],
      [1, removedPart(3_020, 3_021, { medium })],
    ]);
    for (const { index } of both) {
      const tiers = [...index.sources.find(SOURCES[1]!)!.names.values()].map(
        (holding) => index.placesOf(holding).places[0]?.tier,
      );
      assert.deepEqual(
        tiers,
        Array.from({ length: 20 }, () => medium),
      );
    }
  });

  it("leaves an event of more blocks than it has room for to plain JavaScript, and takes the next one", () => {
    const both = twins();
    for (const count of [4_096, 4_097, 200]) {
      const tokens = Uint32Array.from({ length: count }, (_, i) => 10_000 * count + i);
      const names = Array.from(tokens, (token) => BigInt(token));
      for (const twin of both) twin.process(SOURCES[1]!, stored(names, null, tokens, { blockSize: 1 }));
      assertAlike(both);
    }
    assert.equal(both[0].index.blocks.size, 4_096 + 4_097 + 200);
  });
});
