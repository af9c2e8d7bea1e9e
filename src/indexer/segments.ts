/** Slots in a slab, as a power of two. */
const SLAB_BITS = 18;
const SLAB_SLOTS = 1 << SLAB_BITS;
const SLAB_MASK = SLAB_SLOTS - 1;
const FIRST_SLOTS = 1 << 12;

/** Slots of the smallest and of the largest segment. */
export const MIN_SEGMENT_SLOTS = 16;
export const MAX_SEGMENT_SLOTS = 1024;

/**
 * Segments of 16 to 1,024 slots (a power of two) for hash tables, cut from slabs that never move but for the first,
 * which is copied while it is small. A slot is a word and, elsewhere, a byte: 64 of those share a line of the cache, so
 * that what the bytes tell costs little. A segment is named by where it begins, never 0; its words are
 * `words(segment)[at(segment)]` and on, its bytes likewise. After `take` both must be asked for anew.
 */
export class Segments {
  readonly #words: Int32Array[] = [];
  readonly #bytes: Uint8Array[] = [];
  /** By binary logarithm of the size. */
  readonly #free: number[][] = Array.from({ length: Math.log2(MAX_SEGMENT_SLOTS) + 1 }, () => []);
  #capacity = 0;
  #next = MAX_SEGMENT_SLOTS;

  get totalBytes(): number {
    return this.#capacity * 5;
  }

  words(segment: number): Int32Array {
    return this.#words[segment >>> SLAB_BITS]!;
  }

  bytes(segment: number): Uint8Array {
    return this.#bytes[segment >>> SLAB_BITS]!;
  }

  at(segment: number): number {
    return segment & SLAB_MASK;
  }

  /** All bytes are 0; the words mean nothing yet. */
  take(slots: number): number {
    const free = this.#free[Math.log2(slots)]!;
    if (free.length === 0) this.#cut(slots, free);
    const segment = free.pop()!;
    const at = this.at(segment);
    this.bytes(segment).fill(0, at, at + slots);
    return segment;
  }

  give(segment: number, slots: number): void {
    this.#free[Math.log2(slots)]!.push(segment);
  }

  #cut(slots: number, free: number[]): void {
    if (slots < MAX_SEGMENT_SLOTS) {
      const segment = this.take(MAX_SEGMENT_SLOTS);
      for (let start = MAX_SEGMENT_SLOTS - slots; start >= 0; start -= slots) free.push(segment + start);
      return;
    }
    if (this.#next + slots > this.#capacity) this.#grow();
    free.push(this.#next);
    this.#next += slots;
  }

  #grow(): void {
    if (this.#capacity >= SLAB_SLOTS || this.#capacity === 0) {
      const slots = this.#capacity === 0 ? FIRST_SLOTS : SLAB_SLOTS;
      this.#words.push(new Int32Array(slots));
      this.#bytes.push(new Uint8Array(slots));
      this.#capacity += slots;
      return;
    }
    this.#capacity *= 2;
    const words = new Int32Array(this.#capacity);
    const bytes = new Uint8Array(this.#capacity);
    words.set(this.#words[0]!);
    bytes.set(this.#bytes[0]!);
    this.#words[0] = words;
    this.#bytes[0] = bytes;
  }
}
