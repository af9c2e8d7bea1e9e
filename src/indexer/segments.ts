/** Words in a slab, as a power of two. */
const SLAB_BITS = 18;
const SLAB_WORDS = 1 << SLAB_BITS;
const SLAB_MASK = SLAB_WORDS - 1;
const FIRST_WORDS = 1 << 12;

/** Words of the smallest and of the largest segment. */
export const MIN_SEGMENT_WORDS = 16;
export const MAX_SEGMENT_WORDS = 1024;

/**
 * Segments of 16 to 1,024 words (a power of two) for hash tables, cut from slabs that never move but for the first,
 * which is copied while it is small. A segment is named by where it begins, never 0; its words are
 * `slab(segment)[at(segment)]` and on. After `take` slabs must be asked for anew.
 */
export class Segments {
  readonly #slabs: Uint32Array[] = [];
  /** By binary logarithm of the size. */
  readonly #free: number[][] = Array.from({ length: Math.log2(MAX_SEGMENT_WORDS) + 1 }, () => []);
  #capacity = 0;
  #next = MAX_SEGMENT_WORDS;

  get bytes(): number {
    return this.#capacity * 4;
  }

  slab(segment: number): Uint32Array {
    return this.#slabs[segment >>> SLAB_BITS]!;
  }

  at(segment: number): number {
    return segment & SLAB_MASK;
  }

  /** All words are 0. */
  take(words: number): number {
    const free = this.#free[Math.log2(words)]!;
    if (free.length === 0) this.#cut(words, free);
    const segment = free.pop()!;
    const at = this.at(segment);
    this.slab(segment).fill(0, at, at + words);
    return segment;
  }

  give(segment: number, words: number): void {
    this.#free[Math.log2(words)]!.push(segment);
  }

  #cut(words: number, free: number[]): void {
    if (words < MAX_SEGMENT_WORDS) {
      const segment = this.take(MAX_SEGMENT_WORDS);
      for (let start = MAX_SEGMENT_WORDS - words; start >= 0; start -= words) free.push(segment + start);
      return;
    }
    if (this.#next + words > this.#capacity) this.#grow();
    free.push(this.#next);
    this.#next += words;
  }

  #grow(): void {
    if (this.#capacity >= SLAB_WORDS || this.#capacity === 0) {
      const words = this.#capacity === 0 ? FIRST_WORDS : SLAB_WORDS;
      this.#slabs.push(new Uint32Array(words));
      this.#capacity += words;
      return;
    }
    this.#capacity *= 2;
    const larger = new Uint32Array(this.#capacity);
    larger.set(this.#slabs[0]!);
    this.#slabs[0] = larger;
  }
}
