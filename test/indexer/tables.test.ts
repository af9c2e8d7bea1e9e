import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { HashTable } from "../../src/indexer/hash-table.ts";
import { Holdings } from "../../src/indexer/holdings.ts";
import { NumberedList } from "../../src/indexer/numbered.ts";
import { Records } from "../../src/indexer/records.ts";
import { Segments } from "../../src/indexer/segments.ts";
import { MAX_SEGMENT_SLOTS } from "../../src/indexer/slots.ts";

describe("Records", () => {
  it("keep what is written into them, whatever is taken and given back", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat()), { maxLength: 600, size: "max" }), (steps) => {
        const records = new Records(3, 1_000_000);
        const written = new Map<number, number>();
        let next = 1;
        for (const step of steps) {
          const taken = [...written.keys()];
          if (step !== null || taken.length === 0) {
            const i = records.take();
            assert.ok(i > 0 && !written.has(i));
            for (let word = 0; word < 3; word++) records.data[records.at(i) + word] = next + word;
            written.set(i, next);
            next += 3;
          } else {
            const i = taken[next % taken.length]!;
            records.give(i);
            written.delete(i);
          }
          assert.equal(records.size, written.size);
        }
        for (const [i, first] of written) {
          const words = records.data.subarray(records.at(i), records.at(i) + 3);
          assert.deepEqual([...words], [first, first + 1, first + 2]);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("say beforehand how much memory the next one takes", () => {
    const records = new Records(2, 200_000);
    for (let i = 0; i < 140_000; i++) {
      const { bytes, growth } = records;
      records.take();
      assert.equal(records.bytes, bytes + growth);
    }
    assert.ok(records.bytes < 2 * 4 * 140_000 + 2 ** 17);
  });

  it("have no number above their limit, until one is given back", () => {
    const records = new Records(1, 3);
    assert.deepEqual([records.take(), records.take(), records.take(), records.take()], [1, 2, 3, 0]);
    records.give(2);
    assert.deepEqual([records.take(), records.take()], [2, 0]);
  });
});

describe("Holdings", () => {
  it("that are free are nobody's, not even of a source that has lost its number", () => {
    const holdings = new Holdings();
    const [first, second] = [holdings.create(1, 7, 0, 0, 1), holdings.create(1, 8, 0, 0, 1)];
    assert.ok(holdings.is(second, 1, 8, 0) && holdings.isOf(second, 1));
    holdings.free(first);
    holdings.free(second);
    // The first word of a free record names the next one that is free.
    for (const source of [0, 1]) assert.ok(!holdings.is(second, source, first, 0) && !holdings.isOf(second, source));
  });
});

describe("Segments", () => {
  it("never overlap, begin empty, and are used again", () => {
    const segments = new Segments();
    const taken: [number, number][] = [];
    for (let round = 0; round < 300; round++) {
      const slots = 16 << (round % 5);
      const segment = segments.take(slots);
      assert.ok(segments.data.subarray(segment, segment + 2 * slots).every((word) => word === 0));
      segments.data.fill(7, segment, segment + 2 * slots);
      taken.push([segment, slots]);
      if (round % 3 === 0) segments.give(...taken.splice(round % taken.length, 1)[0]!);
    }
    const sorted = taken.sort(([left], [right]) => left - right);
    for (let i = 1; i < sorted.length; i++) assert.ok(sorted[i - 1]![0] + 2 * sorted[i - 1]![1] <= sorted[i]![0]);
    const before = segments.bytes;
    for (const [segment, slots] of taken) segments.give(segment, slots);
    for (const [, slots] of taken) segments.take(slots);
    assert.equal(segments.bytes, before);
  });

  it("become one again with their neighbours when they are given back, in whatever order", () => {
    const sizes = fc.array(fc.record({ slots: fc.constantFrom(16, 64, 128, 256), order: fc.nat() }), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(sizes, (sizes) => {
        const segments = new Segments();
        const words = sizes.reduce((sum, { slots }) => sum + 2 * slots, 0);
        const taken = sizes.map(({ slots, order }) => ({ slots, order, segment: segments.take(slots) }));
        for (const { slots, segment } of taken.sort((left, right) => left.order - right.order)) {
          segments.give(segment, slots);
        }
        const { bytes } = segments;
        for (let whole = 0; whole < Math.ceil(words / 512); whole++) segments.take(MAX_SEGMENT_SLOTS);
        assert.equal(segments.bytes, bytes);
      }),
      { numRuns: 50 },
    );
  });

  it("say beforehand how much memory the next ones take", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 30 }), { maxLength: 20 }), fc.nat({ max: 3 }), (counts, small) => {
        const segments = new Segments();
        for (let i = 0; i < small; i++) segments.take(16);
        for (const count of counts) {
          const expected = segments.bytes + segments.growthFor(count);
          const taken = Array.from({ length: count }, () => segments.take(MAX_SEGMENT_SLOTS));
          assert.equal(segments.bytes, expected);
          if (count % 3 === 0) for (const segment of taken) segments.give(segment, MAX_SEGMENT_SLOTS);
        }
      }),
      { numRuns: 50 },
    );
  });
});

/** A table with a Map beside it that says what it should say. */
class TableWithTruth {
  readonly records: Records = new Records(3, 1_000_000);
  readonly segments: Segments = new Segments();
  readonly table: HashTable;
  readonly truth = new Map<string, number>();

  /** `isLarge`: with so many slots that there are `SimdSlots`. */
  constructor(secret = 12_345, isLarge = false) {
    while (isLarge && this.segments.bytes < 2 ** 20) this.segments.take(MAX_SEGMENT_SLOTS);
    assert.equal(this.segments.simd !== null, isLarge);
    this.table = new HashTable(this.records, this.segments, secret);
  }

  add(anyLow: number, anyHigh: number): void {
    const [low, high] = [anyLow | 0, anyHigh | 0];
    const key = `${low} ${high}`;
    if (this.truth.has(key)) return;
    const i = this.records.take();
    this.records.data.set([low, high], this.records.at(i));
    this.table.add(low, high, i);
    this.truth.set(key, i);
  }

  remove(anyLow: number, anyHigh: number): void {
    const [low, high] = [anyLow | 0, anyHigh | 0];
    const key = `${low} ${high}`;
    const i = this.truth.get(key);
    if (i === undefined) return;
    this.table.remove(low, high, i);
    this.records.give(i);
    this.truth.delete(key);
  }

  /** Signed words. */
  addAll(hashes: readonly (readonly [number, number])[]): void {
    const words = Int32Array.from(hashes.flat());
    const records = Int32Array.from(hashes, ([low, high]) => {
      const i = this.records.take();
      this.records.data.set([low, high], this.records.at(i));
      return i;
    });
    for (let at = 0; at < hashes.length; at++) {
      const start = at;
      at += this.table.addAll(words, records, start, hashes.length);
      for (let i = start; i < at; i++) this.truth.set(hashes[i]!.join(" "), records[i]!);
      if (at < hashes.length) {
        assert.ok(this.truth.has(hashes[at]!.join(" ")), "it ends at one that is there");
        this.records.give(records[at]!);
      }
    }
  }

  removeAll(hashes: readonly (readonly [number, number])[]): void {
    const words = Int32Array.from(hashes.flat());
    const records = Int32Array.from(hashes, (hash) => this.truth.get(hash.join(" ")) ?? 0);
    this.table.removeAll(words, records, 0, hashes.length);
    for (const [at, hash] of hashes.entries()) {
      const i = this.truth.get(hash.join(" ")) ?? 0;
      assert.equal(records[at], i, "one that is there twice counts once");
      if (i !== 0) this.records.give(i);
      this.truth.delete(hash.join(" "));
    }
  }

  check(): void {
    assert.equal(this.table.size, this.truth.size);
    for (const [key, i] of this.truth) {
      const [low, high] = key.split(" ").map(Number) as [number, number];
      assert.equal(this.table.find(low, high), i, key);
    }
    assert.deepEqual([...this.table.values()].sort(), [...this.truth.values()].sort());
  }
}

const SECRET = 12_345;

/** The low word with which a hash has the mark of all others that this gives: their mixture begins as the same word. */
function lowForSameMark(high: number): number {
  // An odd number's inverse, modulo 2^32: each step doubles the bits that are right.
  let inverse = 0x85ebca6b;
  for (let step = 0; step < 5; step++) inverse = Math.imul(inverse, 2 - Math.imul(0x85ebca6b, inverse));
  return Math.imul(inverse, 7 ^ Math.imul(high, 0xc2b2ae35)) ^ SECRET;
}

describe("HashTable", () => {
  it("finds what was added and not removed, and nothing else, whatever the order", () => {
    const word = fc.oneof(fc.nat({ max: 3 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
    const step = fc.tuple(fc.boolean(), word, word);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400, size: "max" }), fc.nat(), (steps, secret) => {
        const both = new TableWithTruth(secret);
        for (const [isAdded, low, high] of steps) {
          if (isAdded) both.add(low, high);
          else both.remove(low, high);
          assert.equal(both.table.find(low | 0, high | 0), both.truth.get(`${low | 0} ${high | 0}`) ?? 0);
        }
        both.check();
      }),
      { numRuns: 60 },
    );
  });

  it("does with many hashes at once what it does with one after the other", () => {
    const word = fc.oneof(fc.nat({ max: 3 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
    const hashes = fc.array(fc.tuple(word, word), { maxLength: 1_500, size: "max" });
    fc.assert(
      fc.property(hashes, hashes, fc.nat(), fc.boolean(), (first, second, secret, isLarge) => {
        const both = new TableWithTruth(secret, isLarge);
        for (const [low, high] of first) both.add(low, high);
        const all = [...first.filter((_, i) => i % 3 === 0), ...second];
        const words = Int32Array.from(all.flat());
        const expected = all.map(([low, high]) => both.truth.get(`${low} ${high}`) ?? 0);
        const found = new Int32Array(all.length);
        both.table.findAll(words, found, 0, all.length);
        assert.deepEqual([...found], expected);
        const known = expected.findIndex((i) => i !== 0);
        assert.equal(both.table.countMissing(words, 0, all.length), known < 0 ? all.length : known);
        both.addAll(second);
        both.check();
        both.removeAll(all);
        both.check();
      }),
      { numRuns: 40 },
    );
  });

  it("holds when it grows to many segments, shrinks to nothing and grows again", () => {
    const both = new TableWithTruth();
    const low = (i: number): number => Math.imul(i, 0x9e3779b1) >>> 0;
    for (let i = 0; i < 40_000; i++) both.add(low(i), i);
    both.check();
    const grown = both.segments.bytes;
    for (let i = 0; i < 39_900; i++) both.remove(low(i), i);
    both.check();
    for (let i = 0; i < 39_900; i++) both.add(low(i), i);
    both.check();
    assert.ok(both.segments.bytes <= 1.5 * grown, "segments that were joined are used again");
    assert.equal(both.table.find(low(1) | 0, 2), 0);
  });

  it("takes little with few entries, even where it had many", () => {
    const segments = new Segments();
    const records = new Records(2, 1_000_000);
    for (let table = 0; table < 100; table++) {
      const small = new HashTable(records, segments, 12_345);
      const numbers = Array.from({ length: 3_000 }, (_, i) => {
        const record = records.take();
        records.data.set([table, i], records.at(record));
        small.add(table, i, record);
        return record;
      });
      for (let i = 0; i < 2_990; i++) small.remove(table, i, numbers[i]!);
      for (let i = 2_980; i < 3_000; i++) assert.equal(small.find(table, i), i < 2_990 ? 0 : numbers[i]);
    }
    assert.ok(segments.bytes + segments.directoryBytes < 200_000, `${segments.bytes}`);
  });

  it("gives segments back sooner where they are scarce, and finds as ever", () => {
    const freed = (isScarce: boolean): number => {
      const both = new TableWithTruth();
      for (let i = 0; i < 30_000; i++) both.add(i, i);
      both.segments.isScarce = isScarce;
      for (let i = 0; i < 15_000; i++) both.remove(i, i);
      both.check();
      let count = 0;
      while (both.segments.growthFor(count + 1) === 0) count++;
      return count;
    };
    assert.ok(freed(true) > freed(false) + 8, `${freed(true)} and ${freed(false)}`);
  });

  it("never moves more than a segment at once", () => {
    const both = new TableWithTruth();
    let most = 0;
    for (let i = 0; i < 30_000; i++) {
      const before = both.segments.bytes + both.segments.directoryBytes;
      both.add(i, i);
      most = Math.max(most, both.segments.bytes + both.segments.directoryBytes - before);
    }
    // A slab of slots, or a directory that doubles.
    assert.ok(most <= 2 ** 20 + 4 * 1_024, `${most}`);
    assert.ok(both.segments.directoryBytes >= 4 * (30_000 / MAX_SEGMENT_SLOTS));
  });

  it("survives keys that are all alike in many bits", () => {
    for (const shift of [0, 8, 16, 22]) {
      const both = new TableWithTruth();
      for (let i = 0; i < 5_000; i++) both.add((i << shift) >>> 0, 7);
      both.check();
    }
  });

  it("tells hashes apart that have the same mark", () => {
    for (const isLarge of [false, true]) {
      const both = new TableWithTruth(SECRET, isLarge);
      const alike = Array.from({ length: 40 }, (_, high) => [lowForSameMark(high), high] as const);
      const [first, second, ...others] = alike as [(typeof alike)[0], (typeof alike)[0], ...typeof alike];
      both.add(...first);
      const words = Int32Array.from(alike.flat());
      assert.equal(both.table.countMissing(words, 1, alike.length), alike.length - 1);
      const found = new Int32Array(alike.length);
      both.table.findAll(words, found, 0, alike.length);
      assert.deepEqual([...found], [both.truth.get(first.join(" ")), ...others.map(() => 0), 0]);
      both.addAll([second, ...others]);
      both.check();
      both.removeAll([second, ...others.slice(5)]);
      both.check();
    }
  });

  it("gives its memory back when it is dropped", () => {
    const both = new TableWithTruth();
    for (let i = 0; i < 10_000; i++) both.add(i, i);
    const { bytes } = both.segments;
    both.table.drop();
    const next = new HashTable(both.records, both.segments, 1);
    for (const i of both.truth.values()) {
      const at = both.records.at(i);
      next.add(both.records.data[at]!, both.records.data[at + 1]!, i);
    }
    assert.equal(both.segments.bytes, bytes);
  });
});

describe("NumberedList", () => {
  it("gives numbers from 1, each to one thing at a time, up to its limit", () => {
    const list = new NumberedList<string>(2);
    assert.deepEqual([list.add("a"), list.add("b"), list.add("c")], [1, 2, 0]);
    list.remove(1);
    assert.throws(() => list.get(1), /nothing has the number 1/);
    assert.deepEqual([list.add("d"), list.get(1), list.get(2)], [1, "d", "b"]);
  });
});
