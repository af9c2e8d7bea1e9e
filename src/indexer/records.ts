/** Records in a slab, as a power of two: a slab is what the memory grows by at once. */
const SLAB_BITS = 16;
const SLAB_RECORDS = 1 << SLAB_BITS;
const SLAB_MASK = SLAB_RECORDS - 1;
/** The first slab grows by doubling, so that a small index stays small. */
const FIRST_RECORDS = 64;

/**
 * Records of some signed 32-bit words, named by a number from 1. Their memory never moves but for the first slab, which is
 * copied while it is small: growth costs the same little at any size. A number that was given back is taken again.
 *
 * A record's words are `slab(i)[at(i)]` and on; after `take` slabs must be asked for anew. The first two words of a
 * record that is in use are the hash by which a `HashTable` finds it.
 */
export class Records {
  readonly words: number;
  readonly #limit: number;
  readonly #slabs: Int32Array[] = [];
  #capacity = 0;
  #next = 1;
  #free = 0;
  #size = 0;

  /** `limit`: the highest number. */
  constructor(words: number, limit: number) {
    this.words = words;
    this.#limit = limit;
  }

  /** Records in use. */
  get size(): number {
    return this.#size;
  }

  /** Of all slabs. */
  get bytes(): number {
    return this.#capacity * this.words * 4;
  }

  /** Whether the next `take` needs no more memory. */
  get hasRoom(): boolean {
    return this.#free !== 0 || this.#next < this.#capacity;
  }

  /** What the next `take` adds to `bytes`; infinite where it would return 0. */
  get growth(): number {
    if (this.hasRoom) return 0;
    if (this.#next > this.#limit) return Number.POSITIVE_INFINITY;
    if (this.#capacity >= SLAB_RECORDS) return SLAB_RECORDS * this.words * 4;
    return (this.#capacity === 0 ? FIRST_RECORDS : this.#capacity) * this.words * 4;
  }

  slab(i: number): Int32Array {
    return this.#slabs[i >>> SLAB_BITS]!;
  }

  at(i: number): number {
    return (i & SLAB_MASK) * this.words;
  }

  /** A record whose words are of no meaning yet; 0 where all numbers are taken. */
  take(): number {
    let i = this.#free;
    if (i !== 0) {
      this.#free = this.slab(i)[this.at(i)]!;
    } else {
      i = this.#next;
      if (i > this.#limit) return 0;
      if (i >= this.#capacity) this.#grow();
      this.#next++;
    }
    this.#size++;
    return i;
  }

  /** Its first word is overwritten. */
  give(i: number): void {
    this.slab(i)[this.at(i)] = this.#free;
    this.#free = i;
    this.#size--;
  }

  #grow(): void {
    if (this.#capacity >= SLAB_RECORDS || this.#capacity === 0) {
      const records = this.#capacity === 0 ? FIRST_RECORDS : SLAB_RECORDS;
      this.#slabs.push(new Int32Array(records * this.words));
      this.#capacity += records;
      return;
    }
    this.#capacity *= 2;
    const larger = new Int32Array(this.#capacity * this.words);
    larger.set(this.#slabs[0]!);
    this.#slabs[0] = larger;
  }
}
