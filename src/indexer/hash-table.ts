import type { Records } from "./records.ts";
import type { Segments } from "./segments.ts";
import { RUN, type SimdSlots } from "./simd-slots.ts";
import * as slots from "./slots.ts";

/** A hash that finds no room in so many lines shows that a segment is too full. */
const MAX_STEPS = 12;
/** Fewer hashes are mixed sooner where they are than when they are copied. */
const MIN_COPIED = 16;
/** Fewer numbers of records are copied sooner one by one than by `set`. */
const MIN_SET = 64;
/** The directory's bits stay clear of those that choose the line. */
const MAX_DEPTH = 22;
/** How often a table that has shrunk looks for segments to join. */
const REMOVALS_PER_JOIN = 4;
/** What two segments have together when they are joined, of the slots of one; likewise a segment that is halved, of its half. */
const JOINED_SHARE = 1 / 4;
const JOINED_SHARE_WHERE_SCARCE = 3 / 4;

/**
 * Finds records by the 64-bit hash in their first two words. Extendible hashing: a directory, indexed by the upper bits
 * of a mixed hash, names segments of 256 slots with open addressing (`slots.ts`). What is full is split alone, so that no
 * step takes longer than moving one segment's slots, whatever the size of the table; likewise two segments that have become
 * nearly empty are joined. A small table is one segment that doubles.
 *
 * Each segment stands in an unbroken, aligned range of the directory, of a power of two.
 */
export class HashTable {
  readonly #records: Records;
  readonly #segments: Segments;
  /** Keeps keys that meet in one segment from being prepared: an engine chooses its hashes. */
  readonly #secret: number = 0;
  #directory: Int32Array = new Int32Array(0);
  /** By how much a mark is shifted to give its entry in the directory, less the first bit. */
  #shift = 31;
  /** Slots of each segment, and the lines of them less 1. */
  #slots = slots.MIN_SEGMENT_SLOTS;
  #mask = slots.lineMask(slots.MIN_SEGMENT_SLOTS);
  #size = 0;
  #removals = 0;

  constructor(records: Records, segments: Segments, secret: number) {
    this.#records = records;
    this.#segments = segments;
    this.#secret = secret | 1;
    this.#setDirectory(Int32Array.of(segments.take(slots.MIN_SEGMENT_SLOTS)));
  }

  get size(): number {
    return this.#size;
  }

  /** The record of this hash, in signed words; 0 for none. */
  find(low: number, high: number): number {
    const mark = this.#markOf(low, high);
    const segment = this.#segmentOf(mark);
    const { data } = this.#segments;
    const mask = this.#mask;
    for (let step = 0; step <= mask; step++) {
      const line = slots.lineAt(segment, mask, mark, step);
      for (let slot = line; slot < line + slots.LINE_SLOTS; slot++) {
        const other = data[slot]!;
        if (other === slots.EMPTY) return 0;
        if (other !== mark) continue;
        const record = data[slot + slots.LINE_SLOTS]!;
        if (this.#isOf(record, low, high)) return record;
      }
    }
    return 0;
  }

  /** Asks the memory for what `find` of this hash will look at. The result means nothing: it keeps the reads from being left out. */
  touch(low: number, high: number): number {
    const mark = this.#markOf(low, high);
    return this.#segments.data[slots.lineAt(this.#segmentOf(mark), this.#mask, mark, 0)]!;
  }

  /**
   * `find` of the hashes from number `from` to before `to`, pairs of words: the records stand under these numbers in
   * `records` afterwards.
   */
  findAll(hashes: Int32Array, records: Int32Array, from: number, to: number): void {
    const { simd } = this.#segments;
    for (let i = from; i < to; ) {
      if (simd === null) {
        records[i] = this.find(hashes[2 * i]!, hashes[2 * i + 1]!);
        i++;
        continue;
      }
      const count = this.#prepare(simd, hashes, i, to);
      simd.findAll(count, this.#mask);
      for (let at = 0; at < count; at++, i++) {
        const record = simd.records[at]!;
        const isFound = record === 0 || this.#isOf(record, hashes[2 * i]!, hashes[2 * i + 1]!);
        records[i] = isFound ? record : this.find(hashes[2 * i]!, hashes[2 * i + 1]!);
      }
    }
  }

  /** How many of these hashes have no record, up to the first that has one. */
  countMissing(hashes: Int32Array, from: number, to: number): number {
    for (let i = from; i < to; i++) {
      i += this.#countUnmarked(hashes, i, to);
      if (i < to && this.find(hashes[2 * i]!, hashes[2 * i + 1]!) !== 0) return i - from;
    }
    return to - from;
  }

  /**
   * `add` of the records that stand under these numbers in `records`, up to the first whose hash is there already; returns
   * how many those are.
   */
  addAll(hashes: Int32Array, records: Int32Array, from: number, to: number): number {
    for (let i = from; i < to; ) {
      const { simd } = this.#segments;
      if (simd === null) {
        if (!this.#addNew(hashes, records, i)) return i - from;
        i++;
        continue;
      }
      const count = this.#prepare(simd, hashes, i, to);
      copyRecords(records, i, simd.records, count);
      for (let at = 0; at < count; ) {
        const added = simd.addAll(at, count, this.#mask, MAX_STEPS);
        const isFull = added < 0;
        const end = isFull ? ~added : added;
        this.#size += end - at;
        at = end;
        if (at === count) break;
        if (isFull) this.#makeRoom(simd.marks[at]!);
        else if (!this.#addNew(hashes, records, i + at++)) return i + at - 1 - from;
        // What is left may be in other segments by now.
        this.#locate(simd, at, count);
      }
      i += count;
    }
    return to - from;
  }

  /** Record `i`, whose hash this is; no other of this hash may be there. */
  add(low: number, high: number, i: number): void {
    const mark = this.#markOf(low, high);
    while (!slots.place(this.#segments.data, this.#segmentOf(mark), this.#mask, mark, i, MAX_STEPS))
      this.#makeRoom(mark);
    this.#size++;
  }

  /** `remove` of the records that stand under these numbers; where there is none, or it was there no more, stands 0 afterwards. */
  removeAll(hashes: Int32Array, records: Int32Array, from: number, to: number): void {
    const { simd } = this.#segments;
    for (let i = from; i < to; ) {
      if (simd === null) {
        if (records[i] !== 0 && !this.remove(hashes[2 * i]!, hashes[2 * i + 1]!, records[i]!)) records[i] = 0;
        i++;
        continue;
      }
      const count = this.#prepare(simd, hashes, i, to);
      copyRecords(records, i, simd.records, count);
      this.#size -= simd.removeAll(count, this.#mask);
      for (let at = 0; at < count; at++) records[i + at] = simd.records[at]!;
      for (let at = 0; at < count; at += REMOVALS_PER_JOIN) this.#shrink(simd.marks[at]!);
      i += count;
    }
  }

  /** Record `i`, whose hash this is, if it is there; whether it was. */
  remove(low: number, high: number, i: number): boolean {
    const mark = this.#markOf(low, high);
    if (!slots.remove(this.#segments.data, this.#segmentOf(mark), this.#mask, mark, i)) return false;
    this.#size--;
    if (++this.#removals % REMOVALS_PER_JOIN === 0) this.#shrink(mark);
    return true;
  }

  /** The table must not change before the end of the iteration. */
  *values(): IterableIterator<number> {
    for (let entry = 0; entry < this.#directory.length; entry++) {
      const segment = this.#directory[entry]!;
      if (entry > 0 && segment === this.#directory[entry - 1]) continue;
      const records = new Int32Array(this.#slots);
      yield* records.subarray(0, slots.list(this.#segments.data, segment, this.#slots, records));
    }
  }

  /**
   * Takes the last segment that has any out of the table and gives its memory back; the records that it named are in
   * `into`, which has room for `MAX_SEGMENT_SLOTS`. Returns their number, 0 at the end. Only to be drained further, or
   * dropped, from then on.
   */
  drain(into: Int32Array): number {
    let count = 0;
    while (count === 0 && this.#directory.length > 0) {
      let first = this.#directory.length - 1;
      const segment = this.#directory[first]!;
      while (first > 0 && this.#directory[first - 1] === segment) first--;
      count = slots.list(this.#segments.data, segment, this.#slots, into);
      this.#segments.give(segment, this.#slots);
      this.#setDirectory(this.#directory.subarray(0, first));
    }
    this.#size -= count;
    return count;
  }

  /** Gives all memory back; the table must not be used again. */
  drop(): void {
    for (let entry = 0; entry < this.#directory.length; entry++) {
      const segment = this.#directory[entry]!;
      if (entry === 0 || segment !== this.#directory[entry - 1]) this.#segments.give(segment, this.#slots);
    }
    this.#setDirectory(new Int32Array(0));
    this.#size = 0;
  }

  /** How many of these hashes, by a first look at many together, have no record, up to the first that may have one. */
  #countUnmarked(hashes: Int32Array, from: number, to: number): number {
    const { simd } = this.#segments;
    let i = from;
    while (simd !== null && i < to) {
      const count = this.#prepare(simd, hashes, i, to);
      const missing = simd.countMissing(count, this.#mask);
      i += missing;
      if (missing < count) break;
    }
    return i - from;
  }

  /** `add` of one of these; false where its hash is there already. */
  #addNew(hashes: Int32Array, records: Int32Array, i: number): boolean {
    const low = hashes[2 * i]!;
    const high = hashes[2 * i + 1]!;
    if (this.find(low, high) !== 0) return false;
    this.add(low, high, records[i]!);
    return true;
  }

  /** Marks and segments of the next of these hashes, as the columns of a run; returns of how many. */
  #prepare(simd: SimdSlots, hashes: Int32Array, from: number, to: number): number {
    const count = Math.min(RUN, to - from);
    if (count < MIN_COPIED) {
      for (let at = 0; at < count; at++) {
        simd.marks[at] = this.#markOf(hashes[2 * (from + at)]!, hashes[2 * (from + at) + 1]!);
      }
    } else {
      simd.hashes.set(hashes.subarray(2 * from, 2 * (from + count)));
      simd.mark(count, this.#secret);
    }
    this.#locate(simd, 0, count);
    return count;
  }

  /** The segments for marks of a run. */
  #locate({ marks, segments }: SimdSlots, from: number, to: number): void {
    const directory = this.#directory;
    const shift = this.#shift;
    const end = to | 0;
    for (let at = from | 0; at < end; at++) segments[at] = directory[(marks[at]! >>> 1) >>> shift]!;
  }

  /** Whether this is the record of the hash. */
  #isOf(i: number, low: number, high: number): boolean {
    const { data } = this.#records;
    const at = this.#records.at(i);
    return data[at] === low && data[at + 1] === high;
  }

  #markOf(low: number, high: number): number {
    let mixed = Math.imul(low ^ this.#secret, 0x85ebca6b) ^ Math.imul(high, 0xc2b2ae35);
    mixed = Math.imul(mixed ^ (mixed >>> 15), this.#secret);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0x27d4eb2f);
    return slots.markOf(mixed ^ (mixed >>> 16));
  }

  #entryOf(mark: number): number {
    return (mark >>> 1) >>> this.#shift;
  }

  #segmentOf(mark: number): number {
    return this.#directory[this.#entryOf(mark)]!;
  }

  #makeRoom(mark: number): void {
    const segment = this.#segmentOf(mark);
    if (this.#countRemoved(segment) * 8 >= this.#slots) {
      this.#putAnew(segment, segment, 0);
    } else if (this.#slots < slots.MAX_SEGMENT_SLOTS) {
      this.#resize(2 * this.#slots);
    } else {
      this.#split(mark, segment);
    }
  }

  #countRemoved(segment: number): number {
    const { simd, data } = this.#segments;
    return simd === null ? slots.countRemoved(data, segment, this.#slots) : simd.countRemoved(segment, this.#mask);
  }

  /** Of a table of one segment. */
  #resize(size: number): void {
    const segment = this.#directory[0]!;
    const other = this.#segments.take(size);
    slots.copy(this.#segments.data, segment, this.#slots, other, slots.lineMask(size));
    this.#segments.give(segment, this.#slots);
    this.#slots = size;
    this.#mask = slots.lineMask(size);
    this.#directory[0] = other;
  }

  #split(mark: number, segment: number): void {
    let [first, length] = this.#rangeOf(this.#entryOf(mark), segment);
    if (length === 1) {
      if (this.#directory.length >= 2 ** MAX_DEPTH)
        throw new RangeError("hash table: one segment for too many entries");
      this.#doubleDirectory();
      [first, length] = [2 * first, 2];
    }
    const other = this.#segments.take(this.#slots);
    this.#directory.fill(other, first + length / 2, first + length);
    // The bit of a mark that tells the halves of the range from each other.
    const bit = this.#shift + Math.log2(length);
    this.#putAnew(segment, other, bit);
  }

  /** See `split` of `slots.ts`. */
  #putAnew(segment: number, other: number, bit: number): void {
    const { simd, data } = this.#segments;
    if (simd !== null) simd.split(segment, other, this.#mask, bit);
    else slots.split(data, segment, other, this.#mask, bit);
  }

  #doubleDirectory(): void {
    const old = this.#directory;
    const wider = new Int32Array(2 * old.length);
    for (let entry = 0; entry < wider.length; entry++) wider[entry] = old[entry >>> 1]!;
    this.#setDirectory(wider);
    this.#shift--;
  }

  #setDirectory(directory: Int32Array): void {
    this.#segments.directoryBytes += directory.byteLength - this.#directory.byteLength;
    this.#directory = directory;
  }

  /** A table of one segment halves it when it is nearly empty; of two such neighbours in others one is left. */
  #shrink(mark: number): void {
    const { isScarce } = this.#segments;
    if (!isScarce && this.#size * 8 > this.#directory.length * this.#slots) return;
    const share = isScarce ? JOINED_SHARE_WHERE_SCARCE : JOINED_SHARE;
    if (this.#directory.length > 1) this.#join(mark, share);
    else if (this.#slots > slots.MIN_SEGMENT_SLOTS && this.#size <= (share * this.#slots) / 2)
      this.#resize(this.#slots / 2);
  }

  #join(mark: number, share: number): void {
    const entry = this.#entryOf(mark);
    const segment = this.#directory[entry]!;
    const [first, length] = this.#rangeOf(entry, segment);
    if (length === this.#directory.length) {
      this.#setDirectory(Int32Array.of(segment));
      this.#shift = 31;
      return;
    }
    const other = first ^ length;
    const neighbour = this.#directory[other]!;
    if (this.#rangeOf(other, neighbour)[1] !== length) return;
    const { data } = this.#segments;
    const used = slots.countUsed(data, segment, this.#slots) + slots.countUsed(data, neighbour, this.#slots);
    if (used > share * this.#slots) return;
    slots.copy(data, neighbour, this.#slots, segment, this.#mask);
    this.#segments.give(neighbour, this.#slots);
    this.#directory.fill(segment, other, other + length);
  }

  /** The entries of the directory that name the segment of this one: the first, and how many. */
  #rangeOf(entry: number, segment: number): [number, number] {
    let length = 1;
    while (length < this.#directory.length) {
      const wider = 2 * length;
      const first = entry & ~(wider - 1);
      if (this.#directory[first] !== segment || this.#directory[first + wider - 1] !== segment) break;
      length = wider;
    }
    return [entry & ~(length - 1), length];
  }
}

function copyRecords(records: Int32Array, from: number, to: Int32Array, count: number): void {
  if (count >= MIN_SET) {
    to.set(records.subarray(from, from + count));
    return;
  }
  const end = count | 0;
  const first = from | 0;
  for (let at = 0; at < end; at++) to[at] = records[first + at]!;
}
