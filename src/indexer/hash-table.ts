import type { Records } from "./records.ts";
import { MAX_SEGMENT_WORDS, MIN_SEGMENT_WORDS, type Segments } from "./segments.ts";

/** A slot holds a record's number and above it some bits of the hash, which tell most strangers without a look at the record. */
const INDEX_BITS = 27;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
const FINGERPRINT_SHIFT = 10;
const FINGERPRINT_MASK = 31;
/** The highest number of a record that a table can hold. */
export const MAX_INDEX: number = INDEX_MASK;

const EMPTY = 0;
/** Was in use: a search goes on behind it. No record has the number 0. */
const REMOVED = 1 << INDEX_BITS;

/** A search that needs more steps than that shows that a segment is too full. */
const MAX_STEPS = 48;
/** The directory's bits stay clear of those that choose the slot. */
const MAX_DEPTH = 22;
/** How often a table that has shrunk looks for segments to join. */
const REMOVALS_PER_JOIN = 64;

const scratch = new Uint32Array(MAX_SEGMENT_WORDS);

/**
 * Finds records by the 64-bit hash in their first two words. Extendible hashing: a directory, indexed by the upper bits
 * of a mixed hash, names segments of 1,024 slots with open addressing. What is full is split alone, so that no step takes
 * longer than moving one segment's slots, whatever the size of the table; likewise two segments that have become nearly empty
 * are joined. A small table is one segment that doubles.
 *
 * Each segment stands in an unbroken, aligned range of the directory, of a power of two.
 */
export class HashTable {
  readonly #records: Records;
  readonly #segments: Segments;
  /** Keeps keys that meet in one segment from being prepared: an engine chooses its hashes. */
  readonly #secret: number;
  #directory: Uint32Array;
  #depth = 0;
  #slots = MIN_SEGMENT_WORDS;
  #size = 0;
  #removals = 0;

  constructor(records: Records, segments: Segments, secret: number) {
    this.#records = records;
    this.#segments = segments;
    this.#secret = secret | 1;
    this.#directory = Uint32Array.of(segments.take(MIN_SEGMENT_WORDS));
  }

  get size(): number {
    return this.#size;
  }

  /** Of the directory; segments are counted where they come from. */
  get directoryBytes(): number {
    return this.#directory.byteLength;
  }

  /** The record of this hash; 0 for none. */
  find(low: number, high: number): number {
    const mixed = this.#mix(low, high);
    const segment = this.#segmentOf(mixed);
    const slots = this.#segments.slab(segment);
    const start = this.#segments.at(segment);
    const mask = this.#slots - 1;
    const fingerprint = (mixed >>> FINGERPRINT_SHIFT) & FINGERPRINT_MASK;
    for (let step = 0; step <= mask; step++) {
      const slot = slots[start + ((mixed + step) & mask)]!;
      if (slot === EMPTY) return 0;
      if (slot >>> INDEX_BITS !== fingerprint) continue;
      const i = slot & INDEX_MASK;
      const record = this.#records.slab(i);
      const at = this.#records.at(i);
      if (record[at] === low >>> 0 && record[at + 1] === high >>> 0 && i !== 0) return i;
    }
    return 0;
  }

  /** Record `i`, whose hash this is; no other of this hash may be there. */
  add(low: number, high: number, i: number): void {
    const mixed = this.#mix(low, high);
    while (!this.#place(this.#segmentOf(mixed), mixed, i, Math.min(MAX_STEPS, this.#slots - (this.#slots >>> 3)))) {
      this.#makeRoom(mixed);
    }
    this.#size++;
  }

  /** Record `i`, whose hash this is, if it is there. */
  remove(low: number, high: number, i: number): void {
    const mixed = this.#mix(low, high);
    const segment = this.#segmentOf(mixed);
    const slots = this.#segments.slab(segment);
    const start = this.#segments.at(segment);
    const mask = this.#slots - 1;
    const wanted = this.#slotOf(mixed, i);
    for (let step = 0; step <= mask; step++) {
      const at = start + ((mixed + step) & mask);
      const slot = slots[at]!;
      if (slot === EMPTY) return;
      if (slot !== wanted) continue;
      this.#empty(slots, start, mixed + step, mask);
      this.#size--;
      if (++this.#removals % REMOVALS_PER_JOIN === 0) this.#join(mixed);
      return;
    }
  }

  /** The table must not change before the end of the iteration. */
  *values(): IterableIterator<number> {
    for (let entry = 0; entry < this.#directory.length; entry++) {
      const segment = this.#directory[entry]!;
      if (entry > 0 && segment === this.#directory[entry - 1]) continue;
      const start = this.#segments.at(segment);
      for (let slot = 0; slot < this.#slots; slot++) {
        const i = this.#segments.slab(segment)[start + slot]! & INDEX_MASK;
        if (i !== 0) yield i;
      }
    }
  }

  /** Gives all memory back; the table must not be used again. */
  drop(): void {
    for (let entry = 0; entry < this.#directory.length; entry++) {
      const segment = this.#directory[entry]!;
      if (entry === 0 || segment !== this.#directory[entry - 1]) this.#segments.give(segment, this.#slots);
    }
    this.#directory = new Uint32Array(0);
    this.#size = 0;
  }

  #mix(low: number, high: number): number {
    let mixed = Math.imul(low ^ this.#secret, 0x85ebca6b) ^ Math.imul(high, 0xc2b2ae35);
    mixed = Math.imul(mixed ^ (mixed >>> 15), this.#secret);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0x27d4eb2f);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  }

  #segmentOf(mixed: number): number {
    // Two shifts, since one by 32 bits shifts by none.
    return this.#directory[(mixed >>> 1) >>> (31 - this.#depth)]!;
  }

  #slotOf(mixed: number, i: number): number {
    return ((((mixed >>> FINGERPRINT_SHIFT) & FINGERPRINT_MASK) << INDEX_BITS) | i) >>> 0;
  }

  /** False where that takes more than so many steps. */
  #place(segment: number, mixed: number, i: number, steps: number): boolean {
    const slots = this.#segments.slab(segment);
    const start = this.#segments.at(segment);
    const mask = this.#slots - 1;
    for (let step = 0; step < steps; step++) {
      const at = start + ((mixed + step) & mask);
      if ((slots[at]! & INDEX_MASK) !== 0) continue;
      slots[at] = this.#slotOf(mixed, i);
      return true;
    }
    return false;
  }

  /** Where nothing comes behind a slot, nothing needs to be said of it, nor of those removed before it. */
  #empty(slots: Uint32Array, start: number, position: number, mask: number): void {
    if (slots[start + ((position + 1) & mask)] !== EMPTY) {
      slots[start + (position & mask)] = REMOVED;
      return;
    }
    slots[start + (position & mask)] = EMPTY;
    for (let before = position - 1; slots[start + (before & mask)] === REMOVED; before--) {
      slots[start + (before & mask)] = EMPTY;
    }
  }

  #makeRoom(mixed: number): void {
    const segment = this.#segmentOf(mixed);
    const removed = this.#count(segment, (slot) => slot === REMOVED);
    if (removed * 8 >= this.#slots) this.#fill(segment, this.#take(segment));
    else if (this.#slots < MAX_SEGMENT_WORDS) this.#double(segment);
    else this.#split(mixed, segment);
  }

  #double(segment: number): void {
    const count = this.#take(segment);
    this.#segments.give(segment, this.#slots);
    this.#slots *= 2;
    this.#directory[0] = this.#segments.take(this.#slots);
    this.#fill(this.#directory[0], count);
  }

  #split(mixed: number, segment: number): void {
    let [first, length] = this.#rangeOf(mixed, segment);
    if (length === 1) {
      if (this.#depth === MAX_DEPTH) throw new RangeError("hash table: more entries than its directory can name");
      this.#doubleDirectory();
      [first, length] = [2 * first, 2];
    }
    const count = this.#take(segment);
    const upper = this.#segments.take(this.#slots);
    this.#directory.fill(upper, first + length / 2, first + length);
    for (let slot = 0; slot < count; slot++) this.#put(scratch[slot]!);
  }

  #doubleDirectory(): void {
    const old = this.#directory;
    const wider = new Uint32Array(2 * old.length);
    for (let entry = 0; entry < wider.length; entry++) wider[entry] = old[entry >>> 1]!;
    this.#directory = wider;
    this.#depth++;
  }

  /** Two neighbours that are nearly empty become one. */
  #join(mixed: number): void {
    if (this.#directory.length === 1 || this.#size * 8 > this.#directory.length * this.#slots) return;
    const segment = this.#segmentOf(mixed);
    const [first, length] = this.#rangeOf(mixed, segment);
    if (length === this.#directory.length) return;
    const other = first ^ length;
    const neighbour = this.#directory[other]!;
    if (this.#rangeOfEntry(other, neighbour)[1] !== length) return;
    const isUsed = (slot: number): boolean => (slot & INDEX_MASK) !== 0;
    if (4 * (this.#count(segment, isUsed) + this.#count(neighbour, isUsed)) > this.#slots) return;
    const kept = this.#take(segment);
    const moved = scratch.slice(0, kept);
    this.#directory.fill(segment, other, other + length);
    this.#fill(segment, this.#take(neighbour));
    this.#segments.give(neighbour, this.#slots);
    for (const slot of moved) this.#put(slot);
  }

  /** The entries of the directory that name the segment: the first, and how many. */
  #rangeOf(mixed: number, segment: number): [number, number] {
    return this.#rangeOfEntry((mixed >>> 1) >>> (31 - this.#depth), segment);
  }

  #rangeOfEntry(entry: number, segment: number): [number, number] {
    let length = 1;
    while (length < this.#directory.length) {
      const wider = 2 * length;
      const first = entry & ~(wider - 1);
      if (this.#directory[first] !== segment || this.#directory[first + wider - 1] !== segment) break;
      length = wider;
    }
    return [entry & ~(length - 1), length];
  }

  #count(segment: number, counts: (slot: number) => boolean): number {
    const slots = this.#segments.slab(segment);
    const start = this.#segments.at(segment);
    let count = 0;
    for (let at = start; at < start + this.#slots; at++) if (counts(slots[at]!)) count++;
    return count;
  }

  /** Empties a segment into `scratch`; returns how many slots were in use. */
  #take(segment: number): number {
    const slots = this.#segments.slab(segment);
    const start = this.#segments.at(segment);
    let count = 0;
    for (let at = start; at < start + this.#slots; at++) {
      if ((slots[at]! & INDEX_MASK) !== 0) scratch[count++] = slots[at]!;
      slots[at] = EMPTY;
    }
    return count;
  }

  /** Puts the first slots of `scratch` into one segment. */
  #fill(segment: number, count: number): void {
    for (let slot = 0; slot < count; slot++) {
      const i = scratch[slot]! & INDEX_MASK;
      this.#place(segment, this.#mixOf(i), i, this.#slots);
    }
  }

  #put(slot: number): void {
    const i = slot & INDEX_MASK;
    const mixed = this.#mixOf(i);
    this.#place(this.#segmentOf(mixed), mixed, i, this.#slots);
  }

  #mixOf(i: number): number {
    const record = this.#records.slab(i);
    const at = this.#records.at(i);
    return this.#mix(record[at]!, record[at + 1]!);
  }
}
