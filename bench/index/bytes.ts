/** Bytes that are handed on when they are about so many. */
const CHUNK_BYTES = 1 << 20;

/** Writes little-endian numbers and bytes, to be taken a chunk at a time. */
export class Writer {
  #bytes = Buffer.allocUnsafe(2 * CHUNK_BYTES);
  #length = 0;

  /** Whether it is time to `take`. */
  get isFull(): boolean {
    return this.#length >= CHUNK_BYTES;
  }

  /** What was written since the last time. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = Buffer.allocUnsafe(2 * CHUNK_BYTES);
    this.#length = 0;
    return taken;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#length = this.#bytes.writeUInt32LE(value, this.#length);
  }

  u64(value: bigint): void {
    this.#reserve(8);
    this.#length = this.#bytes.writeBigUInt64LE(value, this.#length);
  }

  /** Their length in front. */
  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** Their number in front. */
  words(words: Uint32Array): void {
    this.u32(words.length);
    for (const word of words) this.u32(word);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const wider = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#length + bytes));
    this.#bytes.copy(wider, 0, 0, this.#length);
    this.#bytes = wider;
  }
}

/** Reads what a `Writer` wrote; throws a `RangeError` where the bytes end early. */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  raw(length: number): Uint8Array {
    const start = this.#at;
    this.skip(length);
    return this.#bytes.subarray(start, this.#at);
  }

  skip(length: number): void {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError(`a workload file ends at byte ${this.#bytes.length} of ${end}`);
    this.#at = end;
  }

  u32(): number {
    this.skip(4);
    return this.#bytes.readUInt32LE(this.#at - 4);
  }

  u64(): bigint {
    this.skip(8);
    return this.#bytes.readBigUInt64LE(this.#at - 8);
  }

  bytes(): Uint8Array {
    return this.raw(this.u32());
  }

  words(): Uint32Array {
    return Uint32Array.from({ length: this.u32() }, () => this.u32());
  }
}
