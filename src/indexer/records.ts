import { GrowingMemory, type MemoryRange } from "./growing-memory.ts";

/**
 * Records of some signed 32-bit words, named by a number from 1. A number that was given back is taken again.
 *
 * A record's words are `data[at(i)]` and on; after `take` the data must be asked for anew. The first two words of a
 * record that is in use are the hash by which a `HashTable` finds it.
 */
export class Records {
  /** Of a record. What begins as nothing, and not as a number, V8 looks at anew whenever it is read. */
  readonly words: number = 0;
  /** Of all records. */
  data: Int32Array = new Int32Array(0);
  readonly #limit: number = 0;
  readonly #memory: GrowingMemory;
  #capacity = 0;
  #next = 1;
  #free = 0;
  #size = 0;

  /** `limit`: the highest number. `home`: see `GrowingMemory`; it has room for all of them. */
  constructor(words: number, limit: number, home?: () => MemoryRange | null) {
    this.words = words;
    this.#limit = limit;
    this.#memory = new GrowingMemory((limit + 1) * words * 4, home);
  }

  /** See `GrowingMemory`. */
  get isHome(): boolean {
    return this.#memory.isHome;
  }

  /** Records in use. */
  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#memory.bytes;
  }

  /** So many can be taken without more memory. */
  get room(): number {
    return Math.max(0, Math.min(this.#capacity - 1, this.#limit) - this.#size);
  }

  /** Whether the next `take` needs no more memory. */
  get hasRoom(): boolean {
    return this.#free !== 0 || this.#next < this.#capacity;
  }

  /** What the next `take` adds to `bytes`; infinite where it would return 0. */
  get growth(): number {
    if (this.hasRoom) return 0;
    return this.#next > this.#limit ? Number.POSITIVE_INFINITY : this.#memory.growth;
  }

  /** Where its words begin. No product of the two needs more than 31 bits: V8 is not asked to look after that. */
  at(i: number): number {
    return Math.imul(i, this.words);
  }

  /** A record whose words are of no meaning yet; 0 where all numbers are taken. */
  take(): number {
    let i = this.#free;
    if (i !== 0) {
      this.#free = this.data[this.at(i)]!;
    } else {
      i = this.#next;
      if (i > this.#limit) return 0;
      if (i >= this.#capacity) this.#grow();
      this.#next++;
    }
    this.#size++;
    return i;
  }

  /** `take` for the numbers from `from` to before `to` of `into`. There is `room` for all. */
  takeAll(into: Int32Array, from: number, to: number): void {
    const { data } = this;
    let free = this.#free;
    let next = this.#next;
    const end = to | 0;
    for (let i = from | 0; i < end; i++) {
      if (free === 0) {
        into[i] = next++;
      } else {
        into[i] = free;
        free = data[this.at(free)]!;
      }
    }
    this.#free = free;
    this.#next = next;
    this.#size += to - from;
  }

  /** The number that was given back last, 0 for none; its record's first word is the next such number. */
  get firstFree(): number {
    return this.#free;
  }

  /** The first number that was never taken. */
  get firstNew(): number {
    return this.#next;
  }

  /** So many were taken as `takeAll` takes them, by somebody who knows what comes first now. */
  tookAll(count: number, firstFree: number, firstNew: number): void {
    this.#free = firstFree;
    this.#next = firstNew;
    this.#size += count;
  }

  /** Its first word is overwritten. */
  give(i: number): void {
    this.data[this.at(i)] = this.#free;
    this.#free = i;
    this.#size--;
  }

  #grow(): void {
    this.#memory.grow();
    this.data = this.#memory.words;
    this.#capacity = Math.floor(this.bytes / 4 / this.words);
  }
}
