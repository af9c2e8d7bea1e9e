import type { Records } from "./records.ts";
import { MAX_SEGMENT_SLOTS, MIN_SEGMENT_SLOTS, type Segments } from "./segments.ts";

/** A slot's word is the number of its record, and above that some bits of the hash. */
const INDEX_BITS = 27;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
/** The highest number of a record that a table can hold. */
export const MAX_INDEX: number = INDEX_MASK;

// A slot's byte is one of these, or some other bits of the hash: most strangers are told without a look at word or record.
const EMPTY = 0;
/** Was in use: a search goes on behind it. */
const REMOVED = 1;
const FIRST_TAG = 2;

/** Slots whose bytes are looked at together, in one word. */
const GROUP_SLOTS = 4;
/** A search that needs more groups than that shows that a segment is too full. */
const MAX_STEPS = 12;
/** The directory's bits stay clear of those that choose the group. */
const MAX_DEPTH = 22;
/** How often a table that has shrunk looks for segments to join; where they are scarce, at each removal. */
const REMOVALS_PER_JOIN = 16;
/** What two segments have together when they are joined, of the slots of one; likewise a segment that is halved, of its half. */
const JOINED_SHARE = 1 / 4;
const JOINED_SHARE_WHERE_SCARCE = 5 / 8;

// What is moved between segments: the numbers of records, and their mixed hashes.
const movedIndexes = new Int32Array(MAX_SEGMENT_SLOTS);
const movedHashes = new Int32Array(MAX_SEGMENT_SLOTS);

/**
 * Finds records by the 64-bit hash in their first two words. Extendible hashing: a directory, indexed by the upper bits
 * of a mixed hash, names segments of 1,024 slots with open addressing. What is full is split alone, so that no step
 * takes longer than moving one segment's slots, whatever the size of the table; likewise two segments that have become
 * nearly empty are joined. A small table is one segment that doubles.
 *
 * A search goes from group to group of four slots, from the one that the hash names, to the first with an empty slot.
 *
 * Each segment stands in an unbroken, aligned range of the directory, of a power of two.
 */
export class HashTable {
  readonly #records: Records;
  readonly #segments: Segments;
  /** Keeps keys that meet in one segment from being prepared: an engine chooses its hashes. */
  readonly #secret: number;
  #directory: Int32Array = new Int32Array(0);
  /** By how much a hash is shifted to give its entry in the directory, less the first bit. */
  #shift = 31;
  /** Slots of each segment, and the groups of them less 1. */
  #slots = MIN_SEGMENT_SLOTS;
  #mask = MIN_SEGMENT_SLOTS / GROUP_SLOTS - 1;
  #size = 0;
  #removals = 0;
  /** Never read: see `touch`. */
  #touched = 0;

  constructor(records: Records, segments: Segments, secret: number) {
    this.#records = records;
    this.#segments = segments;
    this.#secret = secret | 1;
    this.#setDirectory(Int32Array.of(segments.take(MIN_SEGMENT_SLOTS)));
  }

  get size(): number {
    return this.#size;
  }

  /** The record of this hash, in signed words; 0 for none. */
  find(low: number, high: number): number {
    const mixed = this.#mix(low, high);
    const segment = this.#directory[(mixed >>> 1) >>> this.#shift]!;
    const slots = this.#segments.data;
    const tags = segment + this.#slots;
    const mask = this.#mask;
    const wanted = Math.imul(tagOf(mixed), 0x01010101);
    for (let step = 0; step <= mask; step++) {
      const group = (mixed + step) & mask;
      const four = slots[tags + group]!;
      for (let hits = zeroBytes(four ^ wanted); hits !== 0; hits &= hits - 1) {
        const word = slots[segment + GROUP_SLOTS * group + lowestByte(hits)]!;
        if (word >>> INDEX_BITS !== (mixed & MAX_EXTRA)) continue;
        const i = word & INDEX_MASK;
        const { data } = this.#records;
        const at = this.#records.at(i);
        if (data[at] === low && data[at + 1] === high) return i;
      }
      if (zeroBytes(four) !== 0) return 0;
    }
    return 0;
  }

  /** Asks the memory for what `find` of this hash will look at. The result means nothing: it keeps the reads from being left out. */
  touch(low: number, high: number): number {
    const mixed = this.#mix(low, high);
    const segment = this.#segmentOf(mixed);
    const group = mixed & this.#mask;
    const slots = this.#segments.data;
    return slots[segment + this.#slots + group]! ^ slots[segment + GROUP_SLOTS * group]!;
  }

  /**
   * `find` of the hashes from number `from` to before `to`, pairs of words: the records stand under these numbers in
   * `records` afterwards.
   */
  findAll(hashes: Int32Array, records: Int32Array, from: number, to: number): void {
    // In a loop of its own, so that the processor waits for many places at once.
    for (let i = from; i < to; i++) this.#touched ^= this.touch(hashes[2 * i]!, hashes[2 * i + 1]!);
    for (let i = from; i < to; i++) records[i] = this.find(hashes[2 * i]!, hashes[2 * i + 1]!);
  }

  /** How many of these hashes have no record, up to the first that has one. */
  countMissing(hashes: Int32Array, from: number, to: number): number {
    const directory = this.#directory;
    const shift = this.#shift;
    const mask = this.#mask;
    const slots = this.#segments.data;
    const tags = this.#slots;
    for (let i = from; i < to; i++) {
      const mixed = this.#mix(hashes[2 * i]!, hashes[2 * i + 1]!);
      const four = slots[directory[(mixed >>> 1) >>> shift]! + tags + (mixed & mask)]!;
      if (endsAt(four, mixed)) continue;
      if (this.find(hashes[2 * i]!, hashes[2 * i + 1]!) !== 0) return i - from;
    }
    return to - from;
  }

  /**
   * `add` of the records that stand under these numbers in `records`, up to the first whose hash is there already; returns
   * how many those are.
   */
  addAll(hashes: Int32Array, records: Int32Array, from: number, to: number): number {
    let directory = this.#directory;
    let shift = this.#shift;
    let mask = this.#mask;
    let slots = this.#segments.data;
    let tags = this.#slots;
    let added = 0;
    for (let i = from; i < to; i++) {
      const mixed = this.#mix(hashes[2 * i]!, hashes[2 * i + 1]!);
      const segment = directory[(mixed >>> 1) >>> shift]!;
      const group = mixed & mask;
      const four = slots[segment + tags + group]!;
      if (endsAt(four, mixed)) {
        const slot = lowestByte(zeroBytes(four & 0xfefefefe));
        slots[segment + tags + group] = withByte(four, slot, tagOf(mixed));
        slots[segment + GROUP_SLOTS * group + slot] = wordOf(mixed, records[i]!);
        added++;
        continue;
      }
      this.#size += added;
      added = 0;
      if (this.find(hashes[2 * i]!, hashes[2 * i + 1]!) !== 0) return i - from;
      this.add(hashes[2 * i]!, hashes[2 * i + 1]!, records[i]!);
      directory = this.#directory;
      shift = this.#shift;
      mask = this.#mask;
      slots = this.#segments.data;
      tags = this.#slots;
    }
    this.#size += added;
    return to - from;
  }

  /** Record `i`, whose hash this is; no other of this hash may be there. */
  add(low: number, high: number, i: number): void {
    const mixed = this.#mix(low, high);
    while (!this.#place(this.#segmentOf(mixed), mixed, i, MAX_STEPS)) {
      this.#makeRoom(mixed);
    }
    this.#size++;
  }

  /** `remove` of the records that stand under these numbers; where there is none, or it was there no more, stands 0 afterwards. */
  removeAll(hashes: Int32Array, records: Int32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      if (records[i] !== 0 && !this.remove(hashes[2 * i]!, hashes[2 * i + 1]!, records[i]!)) records[i] = 0;
    }
  }

  /** Record `i`, whose hash this is, if it is there; whether it was. */
  remove(low: number, high: number, i: number): boolean {
    const mixed = this.#mix(low, high);
    const segment = this.#segmentOf(mixed);
    const slots = this.#segments.data;
    const tags = segment + this.#slots;
    const tag = Math.imul(tagOf(mixed), 0x01010101);
    const wanted = wordOf(mixed, i);
    for (let step = 0; step <= this.#mask; step++) {
      const group = (mixed + step) & this.#mask;
      const four = slots[tags + group]!;
      for (let hits = zeroBytes(four ^ tag); hits !== 0; hits &= hits - 1) {
        const slot = lowestByte(hits);
        if (slots[segment + GROUP_SLOTS * group + slot] !== wanted) continue;
        // Where a slot of the group is empty, no search goes on behind it, and nothing needs to be said of this one.
        slots[tags + group] = withByte(four, slot, zeroBytes(four) !== 0 ? EMPTY : REMOVED);
        this.#size--;
        if (++this.#removals % REMOVALS_PER_JOIN === 0 || this.#segments.isScarce) this.#shrink(mixed);
        return true;
      }
      if (zeroBytes(four) !== 0) return false;
    }
    return false;
  }

  /** The table must not change before the end of the iteration. */
  *values(): IterableIterator<number> {
    for (let entry = 0; entry < this.#directory.length; entry++) {
      const segment = this.#directory[entry]!;
      if (entry > 0 && segment === this.#directory[entry - 1]) continue;
      for (let slot = 0; slot < this.#slots; slot++) {
        if (this.#tag(segment, slot) >= FIRST_TAG) yield this.#segments.data[segment + slot]! & INDEX_MASK;
      }
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
      count = this.#list(segment, into);
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

  #mix(low: number, high: number): number {
    let mixed = Math.imul(low ^ this.#secret, 0x85ebca6b) ^ Math.imul(high, 0xc2b2ae35);
    mixed = Math.imul(mixed ^ (mixed >>> 15), this.#secret);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0x27d4eb2f);
    return mixed ^ (mixed >>> 16);
  }

  #segmentOf(mixed: number): number {
    return this.#directory[(mixed >>> 1) >>> this.#shift]!;
  }

  /** Of a slot. */
  #tag(segment: number, slot: number): number {
    return (this.#segments.data[segment + this.#slots + (slot >>> 2)]! >>> (8 * (slot & 3))) & 255;
  }

  /** False where that takes more than so many steps. */
  #place(segment: number, mixed: number, i: number, steps: number): boolean {
    const slots = this.#segments.data;
    const tags = segment + this.#slots;
    for (let step = 0; step < steps && step <= this.#mask; step++) {
      const group = (mixed + step) & this.#mask;
      const four = slots[tags + group]!;
      // `EMPTY` and `REMOVED` differ in the lowest bit, and all others from both in another one.
      const free = zeroBytes(four & 0xfefefefe);
      if (free === 0) continue;
      const slot = lowestByte(free);
      slots[tags + group] = withByte(four, slot, tagOf(mixed));
      slots[segment + GROUP_SLOTS * group + slot] = wordOf(mixed, i);
      return true;
    }
    return false;
  }

  #makeRoom(mixed: number): void {
    const segment = this.#segmentOf(mixed);
    const slots = this.#slots;
    if (this.#countRemoved(segment) * 8 >= slots) {
      const count = this.#takeOut(segment);
      this.#segments.clear(segment, slots);
      this.#putBack(count);
    } else if (slots < MAX_SEGMENT_SLOTS) {
      this.#resize(2 * slots);
    } else {
      this.#split(mixed, segment);
    }
  }

  /** Of a table of one segment. */
  #resize(slots: number): void {
    const segment = this.#directory[0]!;
    const count = this.#takeOut(segment);
    this.#segments.give(segment, this.#slots);
    this.#slots = slots;
    this.#mask = slots / GROUP_SLOTS - 1;
    this.#directory[0] = this.#segments.take(slots);
    this.#putBack(count);
  }

  #split(mixed: number, segment: number): void {
    let [first, length] = this.#rangeOf((mixed >>> 1) >>> this.#shift, segment);
    if (length === 1) {
      if (this.#directory.length >= 2 ** MAX_DEPTH)
        throw new RangeError("hash table: one segment for too many entries");
      this.#doubleDirectory();
      [first, length] = [2 * first, 2];
    }
    const count = this.#takeOut(segment);
    this.#segments.clear(segment, this.#slots);
    this.#directory.fill(this.#segments.take(this.#slots), first + length / 2, first + length);
    this.#putBack(count);
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
  #shrink(mixed: number): void {
    const { isScarce } = this.#segments;
    if (!isScarce && this.#size * 8 > this.#directory.length * this.#slots) return;
    const share = isScarce ? JOINED_SHARE_WHERE_SCARCE : JOINED_SHARE;
    if (this.#directory.length > 1) this.#join(mixed, share);
    else if (this.#slots > MIN_SEGMENT_SLOTS && this.#size <= (share * this.#slots) / 2) this.#resize(this.#slots / 2);
  }

  #join(mixed: number, share: number): void {
    const slots = this.#slots;
    const entry = (mixed >>> 1) >>> this.#shift;
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
    if (this.#countUsed(segment) + this.#countUsed(neighbour) > share * slots) return;
    const count = this.#takeOut(neighbour);
    this.#segments.give(neighbour, slots);
    this.#directory.fill(segment, other, other + length);
    this.#putBack(count);
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

  #countRemoved(segment: number): number {
    const slots = this.#segments.data;
    const tags = segment + this.#slots;
    let count = 0;
    for (let group = 0; group <= this.#mask; group++) count += 4 - countNonZeroBytes(slots[tags + group]! ^ 0x01010101);
    return count;
  }

  #countUsed(segment: number): number {
    const slots = this.#segments.data;
    const tags = segment + this.#slots;
    let count = 0;
    for (let group = 0; group <= this.#mask; group++) count += countNonZeroBytes(slots[tags + group]! & 0xfefefefe);
    return count;
  }

  /** The numbers of the records in a segment; returns how many. */
  #list(segment: number, into: Int32Array): number {
    const slots = this.#segments.data;
    const tags = segment + this.#slots;
    let count = 0;
    for (let group = 0; group <= this.#mask; group++) {
      // Tags of slots that are in use have a bit besides the lowest.
      const used = slots[tags + group]! & 0xfefefefe;
      if (used === 0) continue;
      const first = segment + GROUP_SLOTS * group;
      if ((used & 0xfe) !== 0) into[count++] = slots[first]! & INDEX_MASK;
      if ((used & 0xfe00) !== 0) into[count++] = slots[first + 1]! & INDEX_MASK;
      if ((used & 0xfe0000) !== 0) into[count++] = slots[first + 2]! & INDEX_MASK;
      if (used >>> 24 !== 0) into[count++] = slots[first + 3]! & INDEX_MASK;
    }
    return count;
  }

  /** Notes what is in a segment as what is moved; returns how many. */
  #takeOut(segment: number): number {
    const count = this.#list(segment, movedIndexes);
    // In a loop of its own, so that the processor waits for many records at once and not for one after the other.
    const { data, words } = this.#records;
    for (let at = 0; at < count; at++) {
      const first = movedIndexes[at]! * words;
      movedHashes[at] = this.#mix(data[first]!, data[first + 1]!);
    }
    return count;
  }

  /** Puts what is moved where the directory says. */
  #putBack(count: number): void {
    for (let at = 0; at < count; at++) {
      const mixed = movedHashes[at]!;
      this.#place(this.#segmentOf(mixed), mixed, movedIndexes[at]!, this.#slots);
    }
  }
}

/** Of the bits above those that choose the group; from 2 to 255. */
function tagOf(mixed: number): number {
  return Math.max(FIRST_TAG, (mixed >>> 8) & 255);
}

/** Bits of the hash in a word: those that choose the group, which differ where a search has gone on. */
const MAX_EXTRA = 31;

function wordOf(mixed: number, i: number): number {
  return ((mixed & MAX_EXTRA) << INDEX_BITS) | i;
}

/** Whether a search for this hash ends at these four slots, and finds nothing there. */
function endsAt(four: number, mixed: number): boolean {
  return zeroBytes(four) !== 0 && zeroBytes(four ^ Math.imul(tagOf(mixed), 0x01010101)) === 0;
}

/** The highest bit of each byte that is 0; of bytes above one that is 0 perhaps also of one that is 1. */
function zeroBytes(word: number): number {
  return (word - 0x01010101) & ~word & 0x80808080;
}

function countNonZeroBytes(word: number): number {
  return Math.imul(((((word & 0x7f7f7f7f) + 0x7f7f7f7f) | word) >>> 7) & 0x01010101, 0x01010101) >>> 24;
}

/** Number of the lowest byte whose highest bit is set, of bits from `zeroBytes`. */
function lowestByte(bits: number): number {
  return (31 - Math.clz32(bits & -bits)) >>> 3;
}

function withByte(word: number, byte: number, value: number): number {
  return (word & ~(255 << (8 * byte))) | (value << (8 * byte));
}
