import { GrowingMemory } from "./growing-memory.ts";

/** Slots of the smallest and of the largest segment. */
export const MIN_SEGMENT_SLOTS = 16;
export const MAX_SEGMENT_SLOTS = 1024;

/** A slot is a word and a byte. */
const SLOT_BYTES = 5;
/** Of all segments: positions in bytes stay small integers to V8. */
const MAX_BYTES = 2 ** 31 - 2 ** 21;

/**
 * Segments of 16 to 1,024 slots (a power of two) for hash tables. A segment is named by where it begins, in words of
 * `data`, never 0: first come the words of its slots, then their bytes, four of them in a word: 64 share a line of the
 * cache, so that what the bytes tell costs little. After `take` the data must be asked for anew.
 */
export class Segments {
  data: Int32Array = new Int32Array(0);
  readonly #memory = new GrowingMemory(MAX_BYTES);
  /** By binary logarithm of the size. */
  readonly #free: number[][] = Array.from({ length: Math.log2(MAX_SEGMENT_SLOTS) + 1 }, () => []);
  #next = 1;

  get bytes(): number {
    return this.#memory.bytes;
  }

  /** What is added to `bytes` when the next segment needs more memory. */
  get growth(): number {
    return this.#memory.growth;
  }

  /** The bytes of its slots are 0; their words mean nothing yet. */
  take(slots: number): number {
    const free = this.#free[Math.log2(slots)]!;
    if (free.length === 0) this.#cut(slots, free);
    const segment = free.pop()!;
    this.clear(segment, slots);
    return segment;
  }

  /** Sets the bytes of its slots to 0. */
  clear(segment: number, slots: number): void {
    this.data.fill(0, segment + slots, segment + slots + slots / 4);
  }

  give(segment: number, slots: number): void {
    this.#free[Math.log2(slots)]!.push(segment);
  }

  #cut(slots: number, free: number[]): void {
    const words = (slots * SLOT_BYTES) / 4;
    // A small table must not take the memory of a large one; what is cut in the end is of the largest size.
    const total = slots < MAX_SEGMENT_SLOTS && this.#next < 1_000 ? words : (MAX_SEGMENT_SLOTS * SLOT_BYTES) / 4;
    const segment = total > words ? this.take(MAX_SEGMENT_SLOTS) : this.#extend(words);
    for (let start = total - words; start >= 0; start -= words) free.push(segment + start);
  }

  /** So many words behind all others. */
  #extend(words: number): number {
    while (4 * (this.#next + words) > this.bytes) this.#memory.grow();
    if (this.data.buffer !== this.#memory.buffer) this.data = new Int32Array(this.#memory.buffer);
    const segment = this.#next;
    this.#next += words;
    return segment;
  }
}
