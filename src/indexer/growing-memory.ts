/** What is needed of it; TypeScript has it among the types of browsers only. */
interface WebAssemblyMemory {
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

/** Up to there it grows by doubling and is copied; from there on by steps of as much, where it is. */
const STEP_BYTES = 1 << 20;
const FIRST_BYTES = 1 << 10;
const PAGE_BYTES = 1 << 16;
const MAX_PAGES = 1 << 16;

/**
 * Bytes that grow without being copied, so that growth takes the same little time at any size and what reads them needs
 * one array, not a list of slabs. This is `WebAssembly.Memory`, for which the engine sets addresses aside; a small one,
 * of which there may be thousands, is a plain buffer. Where there is no such memory to be had (addresses are limited, or
 * WebAssembly is switched off) it doubles.
 *
 * It is shared memory, though with nobody: growing one that is not detaches its buffer, after which V8 checks every typed
 * array of the process at each access, and counts all of its bytes as newly allocated, so that each step would bring a
 * collection. V8 does not count shared bytes at all: they are given back by the next full collection after their end,
 * but bring none about. So this is for what lives as long as the index.
 */
export class GrowingMemory {
  readonly #maxBytes: number;
  #buffer: ArrayBufferLike = new ArrayBuffer(0);
  #memory: WebAssemblyMemory | null = null;

  /** `maxBytes`: what it will never be asked to exceed; at most 4 GiB. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Another one after each `grow`; the one before is detached or of no meaning then. */
  get buffer(): ArrayBufferLike {
    return this.#buffer;
  }

  get bytes(): number {
    return this.#buffer.byteLength;
  }

  /** Bytes that the next `grow` adds. */
  get growth(): number {
    const { bytes } = this;
    if (bytes === 0) return FIRST_BYTES;
    return this.#memory === null ? bytes : STEP_BYTES;
  }

  /** Throws a `RangeError` where no memory is left. New bytes are 0. */
  grow(): void {
    const bytes = this.bytes + this.growth;
    if (this.#memory !== null) {
      this.#memory.grow(STEP_BYTES / PAGE_BYTES);
      this.#buffer = this.#memory.buffer;
      return;
    }
    if (bytes === STEP_BYTES) this.#memory = reserve(bytes, this.#maxBytes);
    const larger = this.#memory?.buffer ?? new ArrayBuffer(bytes);
    new Uint8Array(larger).set(new Uint8Array(this.#buffer));
    this.#buffer = larger;
  }
}

function reserve(bytes: number, maxBytes: number): WebAssemblyMemory | null {
  const pages = Math.ceil((maxBytes + STEP_BYTES) / PAGE_BYTES);
  const maximum = Math.min(MAX_PAGES, Math.max(bytes / PAGE_BYTES, pages));
  try {
    return new WebAssembly.Memory({ initial: bytes / PAGE_BYTES, maximum, shared: true });
  } catch {
    return null;
  }
}
