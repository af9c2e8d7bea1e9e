/** Most that one read brings. */
export const READ_BYTES = 131_072;

/** What is read of less takes memory of its own size: more of it would be left empty than filled. */
const POOLED_FROM_BYTES = READ_BYTES / 2;

/** Chunks that wait to be filled again: what all connections read in some turns of the event loop. */
export const KEPT_CHUNKS = 16;

/**
 * Memory for what is read. That of large chunks is filled again, if it comes back: it is in the processor's caches then,
 * needs no page of the system, and is nothing for the collector.
 */
export class Chunks {
  readonly #kept: number;
  readonly #free: ArrayBuffer[] = [];

  /** Keeps so many that came back; 0 where none will. */
  constructor(kept: number) {
    this.#kept = kept;
  }

  /** A copy of what was read. */
  copyOf(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    const isPooled = this.#kept > 0 && length > POOLED_FROM_BYTES;
    const memory = isPooled ? (this.#free.pop() ?? unfilled(READ_BYTES)) : unfilled(length);
    const chunk = Buffer.from(memory, 0, length);
    chunk.set(bytes);
    return chunk;
  }

  /** Whether it is worth keeping until it can be given back, though all that came of it may be copies. */
  isReusable(chunk: Uint8Array): boolean {
    return this.#kept > 0 && chunk.buffer.byteLength === READ_BYTES;
  }

  /** Takes back what `copyOf` made, of which nobody looks at anything any more. */
  giveBack(chunk: Uint8Array): void {
    if (!this.isReusable(chunk) || this.#free.length >= this.#kept) return;
    this.#free.push(chunk.buffer as ArrayBuffer);
  }
}

function unfilled(bytes: number): ArrayBuffer {
  return Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer;
}
