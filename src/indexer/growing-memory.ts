/** What is needed of it; TypeScript has it among the types of browsers only. */
export interface WebAssemblyMemory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}
declare const WebAssembly: {
  readonly Memory: new (pages: {
    readonly initial: number;
    readonly maximum: number;
    readonly shared: boolean;
  }) => WebAssemblyMemory;
};

const PAGE_BYTES = 1 << 16;
const MAX_PAGES = 1 << 16;
const FIRST_BYTES = 1 << 10;
/** What it is at first where it is at home. */
const HOME_BYTES = PAGE_BYTES;
/** What memory of its own is at first when it is no plain buffer. */
const SHARED_BYTES = 1 << 20;
/** Up to there that is a plain buffer, of which there may be thousands. */
export const MOST_PLAIN_BYTES: number = SHARED_BYTES / 2;

/** Bytes of a buffer that somebody else has set aside. */
export interface MemoryRange {
  readonly buffer: ArrayBufferLike;
  readonly start: number;
  readonly bytes: number;
}

/**
 * Bytes that grow without being copied, so that growth takes the same little time at any size and what reads them needs
 * one array, not a list of slabs. This is `WebAssembly.Memory`, for which the engine sets addresses aside. Where there
 * is none to be had (addresses are limited, or WebAssembly is switched off) it is copied each time it has doubled.
 *
 * It is shared memory, though with nobody: growing one that is not detaches its buffer, after which V8 checks every typed
 * array of the process at each access, and counts all of its bytes as newly allocated, so that each step would bring a
 * collection. V8 does not count shared bytes at all: they are given back by the next full collection after their end,
 * but bring none about. So this is for what lives as long as the index.
 *
 * What is set aside is more than `bytes` says: the system gives it no memory before it is used.
 */
export class GrowingMemory {
  readonly #maxPages: number;
  readonly #home: () => MemoryRange | null;
  #bytes = 0;
  #words: Int32Array = new Int32Array(0);
  #memory: WebAssemblyMemory | null = null;
  #range: MemoryRange | null = null;

  /**
   * `maxBytes`: what it will never be asked to exceed; at most 4 GiB. `home`: asked once for where it goes when it has become
   * large; `null` for memory of its own.
   */
  constructor(maxBytes: number, home: () => MemoryRange | null = () => null) {
    const pages = Math.ceil(Math.max(maxBytes, SHARED_BYTES) / PAGE_BYTES) + 1;
    this.#maxPages = Math.min(MAX_PAGES, pages);
    this.#home = home;
  }

  /** Of at least `bytes`; after a `grow` perhaps another array, and this one of no meaning. */
  get words(): Int32Array {
    return this.#words;
  }

  /** Whether it has gone where `home` said. */
  get isHome(): boolean {
    return this.#range !== null;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What `words` belong to, for good, once they are in memory of its own that is no plain buffer. */
  get memory(): WebAssemblyMemory | null {
    return this.#memory;
  }

  /** Bytes that the next `grow` adds. */
  get growth(): number {
    return growthAt(this.#bytes);
  }

  /** Bytes that are added until there are so many. */
  growthTo(bytes: number): number {
    let to = this.#bytes;
    while (to < bytes && to < PAGE_BYTES) to += growthAt(to);
    if (to < bytes) to += PAGE_BYTES * Math.ceil((bytes - to) / PAGE_BYTES);
    return to - this.#bytes;
  }

  /** Throws a `RangeError` where no memory is left. New bytes are 0. */
  grow(): void {
    const bytes = this.#bytes + this.growth;
    while (bytes > this.#words.byteLength) this.#extend();
    this.#bytes = bytes;
  }

  #extend(): void {
    const has = this.#words.byteLength;
    const more = Math.max(1, Math.floor(has / PAGE_BYTES / 8)) * PAGE_BYTES;
    if (this.#range !== null) {
      if (has === this.#range.bytes) throw new RangeError(`memory: ${has} bytes are all that it has room for`);
      this.#setWords(this.#range.buffer, this.#range.start, Math.min(this.#range.bytes, has + more));
      return;
    }
    if (this.#memory !== null) {
      const pages = Math.min(this.#maxPages - has / PAGE_BYTES, more / PAGE_BYTES);
      if (pages === 0) throw new RangeError(`memory: ${has} bytes are all that it may have`);
      this.#memory.grow(pages);
      this.#setWords(this.#memory.buffer, 0, this.#memory.buffer.byteLength);
      return;
    }
    const bytes = Math.max(FIRST_BYTES, 2 * has);
    const before = this.#words;
    if (bytes === HOME_BYTES) this.#range = this.#home();
    if (bytes === SHARED_BYTES) this.#memory = this.#reserve();
    if (this.#range !== null) this.#setWords(this.#range.buffer, this.#range.start, bytes);
    else this.#setWords(this.#memory?.buffer ?? new ArrayBuffer(bytes), 0, bytes);
    this.#words.set(before);
  }

  #setWords(buffer: ArrayBufferLike, start: number, bytes: number): void {
    this.#words = new Int32Array(buffer, start, bytes / 4);
  }

  #reserve(): WebAssemblyMemory | null {
    try {
      return new WebAssembly.Memory({ initial: SHARED_BYTES / PAGE_BYTES, maximum: this.#maxPages, shared: true });
    } catch {
      return null;
    }
  }
}

function growthAt(bytes: number): number {
  return bytes === 0 ? FIRST_BYTES : Math.min(bytes, PAGE_BYTES);
}
