import { GrowingMemory, MOST_PLAIN_BYTES, type WebAssemblyMemory } from "./growing-memory.ts";
import { SimdSlots } from "./simd-slots.ts";
import { LINE_WORDS, MAX_SEGMENT_SLOTS } from "./slots.ts";

/** Words of a slot. */
const SLOT_WORDS = 2;
const MAX_SEGMENT_WORDS = MAX_SEGMENT_SLOTS * SLOT_WORDS;
/** Of all segments. */
const MAX_BYTES = 2 ** 32 - 2 ** 21;
/** Segments that `SimdSlots` has for itself. */
const SIMD_SEGMENTS = 2;

/**
 * Segments of 16 to 256 slots (a power of two) for hash tables, see `slots.ts`. A segment is named by where it begins, in
 * words of `data`, never 0, and lines of the cache are not torn. After `take` the data must be asked for anew.
 *
 * Small segments are halves of larger ones (a buddy system), and become one again when both are free: tables that grow
 * leave many behind, which tables of another size must be able to take.
 */
export class Segments {
  data: Int32Array = new Int32Array(0);
  /** Where there are many slots; `null` where there are few, or no WebAssembly with SIMD. */
  simd: SimdSlots | null = null;
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
  /** The first line is left to `SimdSlots`, which counts there. */
  #next = LINE_WORDS;
  /** Whether there is `simd`, or never will be. */
  #isSettled = false;

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
    const growth = this.#memory.growthTo(4 * (this.#next + missing * MAX_SEGMENT_WORDS));
    if (this.#isSettled || this.bytes + growth <= MOST_PLAIN_BYTES) return growth;
    return this.#memory.growthTo(4 * (this.#next + (missing + SIMD_SEGMENTS) * MAX_SEGMENT_WORDS));
  }

  /** All of its words are 0. */
  take(slots: number): number {
    const segment = slots === MAX_SEGMENT_SLOTS ? this.#largest.pop() : this.#takeHalf(slots);
    // Memory that is new is 0 already.
    if (segment === undefined) return this.#extend();
    this.data.fill(0, segment, segment + wordsOf(slots));
    return segment;
  }

  give(segment: number, slots: number): void {
    let whole = segment;
    let size = slots;
    for (; size < MAX_SEGMENT_SLOTS; size *= 2) {
      const free = this.#halves[Math.log2(size)]!;
      const words = wordsOf(size);
      const isSecond = ((whole - LINE_WORDS) / words) % 2 === 1;
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
    this.data = this.#memory.words;
    const segment = this.#next;
    this.#next += MAX_SEGMENT_WORDS;
    if (this.#isSettled || this.bytes <= MOST_PLAIN_BYTES) return segment;
    this.#isSettled = true;
    this.simd = newSimdSlots(this.#memory.memory, this.#extend(), segment);
    return this.#extend();
  }
}

function wordsOf(slots: number): number {
  return slots * SLOT_WORDS;
}

function newSimdSlots(memory: WebAssemblyMemory | null, run: number, moved: number): SimdSlots | null {
  try {
    return memory === null ? null : new SimdSlots(memory, run, moved);
  } catch {
    return null;
  }
}
