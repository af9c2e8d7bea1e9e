import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Segments } from "../../src/indexer/segments.ts";
import type { SimdSlots } from "../../src/indexer/simd-slots.ts";
import * as slots from "../../src/indexer/slots.ts";

/** Segments with `SimdSlots`, and four of a size that are free: two for each way. */
function newSegments(size: number): { readonly segments: Segments; readonly simd: SimdSlots; readonly free: number[] } {
  const segments = new Segments();
  while (segments.simd === null && segments.bytes < 2 ** 20) segments.take(slots.MAX_SEGMENT_SLOTS);
  assert.ok(segments.simd !== null);
  return { segments, simd: segments.simd, free: Array.from({ length: 4 }, () => segments.take(size)) };
}

/** The record beside a mark; 0 for none. */
function find(data: Int32Array, segment: number, mask: number, mark: number): number {
  for (let step = 0; step <= mask; step++) {
    const line = slots.lineAt(segment, mask, mark, step);
    const found = data.subarray(line, line + slots.LINE_SLOTS).indexOf(mark);
    if (found >= 0) return data[line + slots.LINE_SLOTS + found]!;
    if (data.subarray(line, line + slots.LINE_SLOTS).includes(slots.EMPTY)) return 0;
  }
  return 0;
}

// Few lines are named by most marks, so that searches go on behind full ones, and behind the last line.
const mark = fc
  .oneof(
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    fc
      .tuple(fc.constantFrom(0, 1, 126, 127), fc.nat({ max: 2 ** 22 }))
      .map(([line, other]) => (other << 9) | (line << 2)),
  )
  .map(slots.markOf);
const marks = fc.array(mark, { minLength: 1, maxLength: 128, size: "max" });
const step = fc.record({
  what: fc.constantFrom("add", "add", "add", "remove", "find", "split", "renew"),
  marks,
  bit: fc.nat({ max: 31 }),
});

describe("Slots", () => {
  it("are the same after many steps at once as after one after the other", () => {
    const size = fc.constantFrom(16, 64, 256);
    fc.assert(
      fc.property(
        size,
        fc.array(step, { minLength: 1, maxLength: 30, size: "max" }),
        fc.integer({ min: 1, max: 8 }),
        (size, steps, most) => {
          const { segments, simd, free } = newSegments(size);
          const { data } = segments;
          const [ofSimd, otherOfSimd, plain, otherPlain] = free as [number, number, number, number];
          const mask = slots.lineMask(size);
          let record = 0;
          let known: number[] = [];
          for (const { what, marks: some, bit } of steps) {
            const wanted = what === "remove" ? [...known.slice(0, 60), ...some].slice(0, 128) : some;
            simd.marks.set(wanted);
            simd.segments.fill(ofSimd, 0, wanted.length);
            if (what === "add") {
              simd.records.set(wanted.map((_, i) => record + i + 1));
              const first = wanted.findIndex((each) => find(data, plain, mask, each) !== 0);
              assert.equal(simd.countMissing(wanted.length, mask), first < 0 ? wanted.length : first);
              let added = 0;
              let isFull = false;
              for (const each of wanted) {
                if (find(data, plain, mask, each) !== 0) break;
                isFull = !slots.place(data, plain, mask, each, record + added + 1, most);
                if (isFull) break;
                added++;
              }
              assert.equal(simd.addAll(0, wanted.length, mask, most), isFull ? ~added : added);
              known = [...wanted.slice(0, added), ...known];
              record += added;
            } else if (what === "remove") {
              const records = wanted.map((each, i) => (i % 7 === 0 ? 0 : find(data, plain, mask, each)));
              simd.records.set(records);
              const left = wanted.map((each, i) =>
                records[i] !== 0 && slots.remove(data, plain, mask, each, records[i]!) ? records[i] : 0,
              );
              assert.equal(simd.removeAll(wanted.length, mask), left.filter((i) => i !== 0).length);
              assert.deepEqual([...simd.records.subarray(0, wanted.length)], left);
            } else if (what === "find") {
              const all = [...known, ...wanted].slice(0, 128);
              simd.marks.set(all);
              simd.segments.fill(ofSimd, 0, all.length);
              simd.findAll(all.length, mask);
              assert.deepEqual(
                [...simd.records.subarray(0, all.length)],
                all.map((each) => find(data, plain, mask, each)),
              );
            } else if (what === "renew") {
              simd.split(ofSimd, ofSimd, mask, bit);
              slots.split(data, plain, plain, mask, bit);
              assert.equal(slots.countRemoved(data, plain, size), 0);
            } else {
              simd.split(ofSimd, otherOfSimd, mask, bit);
              slots.split(data, plain, otherPlain, mask, bit);
              assert.deepEqual(wordsOf(data, otherOfSimd, size), wordsOf(data, otherPlain, size));
              for (const other of [otherOfSimd, otherPlain]) data.fill(0, other, other + 2 * size);
            }
            assert.deepEqual(wordsOf(data, ofSimd, size), wordsOf(data, plain, size), what);
            assert.ok(isPacked(data, plain, size));
            assert.equal(simd.countRemoved(ofSimd, mask), slots.countRemoved(data, plain, size));
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

/** What stands beside an empty slot means nothing. */
function wordsOf(data: Int32Array, segment: number, size: number): number[] {
  const words = [...data.subarray(segment, segment + 2 * size)];
  return words.map((word, at) =>
    at % slots.LINE_WORDS >= slots.LINE_SLOTS && words[at - slots.LINE_SLOTS] === slots.EMPTY ? 0 : word,
  );
}

/** Of a line with an empty slot the empty ones are the last, and all others in use. */
function isPacked(data: Int32Array, segment: number, size: number): boolean {
  for (let line = segment; line < segment + 2 * size; line += slots.LINE_WORDS) {
    const all = [...data.subarray(line, line + slots.LINE_SLOTS)];
    const empty = all.indexOf(slots.EMPTY);
    if (empty < 0) continue;
    if (all.slice(empty).some((word) => word !== slots.EMPTY) || all.slice(0, empty).some((word) => (word & 2) === 0))
      return false;
  }
  return true;
}
