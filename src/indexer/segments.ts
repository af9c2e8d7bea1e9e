import { GrowingMemory } from "./growing-memory.ts";

/** Slots of the smallest and of the largest segment. */
export const MIN_SEGMENT_SLOTS = 16;
export const MAX_SEGMENT_SLOTS = 1024;

/** A slot is a word and a byte. */
const SLOT_BYTES = 5;
const MAX_SEGMENT_WORDS = (MAX_SEGMENT_SLOTS * SLOT_BYTES) / 4;
/** Of all segments: positions in bytes stay small integers to V8. */
const MAX_BYTES = 2 ** 31 - 2 ** 21;

/**
 * Segments of 16 to 1,024 slots (a power of two) for hash tables. A segment is named by where it begins, in words of
 * `data`, never 0: first come the words of its slots, then their bytes, four of them in a word: 64 share a line of the
 * cache, so that what the bytes tell costs little. After `take` the data must be asked for anew.
 *
 * Small segments are halves of larger ones (a buddy system), and become one again when both are free: tables that grow
 * leave many behind, which tables of another size must be able to take.
 */
export class Segments {
  data: Int32Array = new Int32Array(0);
  /**
   * Whether memory can no longer grow for tables that want more: they then join what they would leave apart otherwise.
   * Set from outside.
   */
  isScarce = false;
  /** Of the directories of all tables, which count it themselves. */
  directoryBytes = 0;
  readonly #memory = new GrowingMemory(MAX_BYTES);
  /** Those of the largest size. */
  readonly #largest: number[] = [];
  /** Smaller ones, by binary logarithm of the size. */
  readonly #halves: Set<number>[] = Array.from({ length: Math.log2(MAX_SEGMENT_SLOTS) }, () => new Set());
  #next = 1;

  get bytes(): number {
    return this.#memory.bytes;
  }

  /** What is added to `bytes` when there is need of more. */
  get growth(): number {
    return this.#memory.growth;
  }

  /** What is added to `bytes` when so many segments of the largest size are taken one after the other. */
  growthFor(count: number): number {
    const missing = count - this.#largest.length;
    if (missing <= 0) return 0;
    return this.#memory.growthTo(4 * (this.#next + missing * MAX_SEGMENT_WORDS));
  }

  /** The bytes of its slots are 0; their words mean nothing yet. */
  take(slots: number): number {
    const segment = slots === MAX_SEGMENT_SLOTS ? (this.#largest.pop() ?? this.#extend()) : this.#takeHalf(slots);
    this.clear(segment, slots);
    return segment;
  }

  /** Sets the bytes of its slots to 0. */
  clear(segment: number, slots: number): void {
    this.data.fill(0, segment + slots, segment + slots + slots / 4);
  }

  give(segment: number, slots: number): void {
    let whole = segment;
    let size = slots;
    for (; size < MAX_SEGMENT_SLOTS; size *= 2) {
      const free = this.#halves[Math.log2(size)]!;
      const words = wordsOf(size);
      const isSecond = ((whole - 1) / words) % 2 === 1;
      if (!free.delete(isSecond ? whole - words : whole + words)) {
        free.add(whole);
        return;
      }
      if (isSecond) whole -= words;
    }
    this.#largest.push(whole);
  }

  #takeHalf(slots: number): number {
    const free = this.#halves[Math.log2(slots)]!;
    for (const segment of free) {
      free.delete(segment);
      return segment;
    }
    const whole = this.take(2 * slots);
    free.add(whole + wordsOf(slots));
    return whole;
  }

  /** One of the largest size behind all others. */
  #extend(): number {
    while (4 * (this.#next + MAX_SEGMENT_WORDS) > this.bytes) this.#memory.grow();
    if (this.data.buffer !== this.#memory.buffer) this.data = new Int32Array(this.#memory.buffer);
    const segment = this.#next;
    this.#next += MAX_SEGMENT_WORDS;
    return segment;
  }
}

function wordsOf(slots: number): number {
  return (slots * SLOT_BYTES) / 4;
}
