import { SIMD_HASH_CODE } from "./simd-hash-code.ts";

// What is needed of it; TypeScript has it among the types of browsers only.
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly locals: (
    blockSize: number,
    count: number,
    initA: number,
    initB: number,
    multiplierA: number,
    multiplierB: number,
  ) => void;
}

/** Words of tokens that have room; as many of results lie behind them. */
const WORDS = 1 << 14;

/**
 * Local hashes of four blocks at a time, by WebAssembly with SIMD: what `SeededBlockHasher.locals` does in plain JavaScript
 * takes less than half of the time so. The code is made of `simd-hash.wat`. Nothing is kept from call to call.
 */
export class SimdHash {
  readonly #exports: Exports;
  readonly #tokens: Uint32Array;
  readonly #results: Int32Array;

  /** Throws where there is no WebAssembly, or none with SIMD. */
  constructor() {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(SIMD_HASH_CODE, "base64")));
    this.#exports = exports as Exports;
    const { buffer } = this.#exports.memory;
    this.#tokens = new Uint32Array(buffer, 0, WORDS);
    this.#results = new Int32Array(buffer, 4 * WORDS, WORDS);
  }

  /** Blocks of so many tokens that have room at once; 0 where they are too large for it. */
  capacity(blockSize: number): number {
    return Math.min(Math.floor(WORDS / blockSize), WORDS / 2) & ~3;
  }

  /** Of at most `capacity` blocks, whose tokens are all there; `constants`: what each lane begins with, then its multiplier. */
  locals(
    tokens: Uint32Array,
    start: number,
    blockSize: number,
    count: number,
    constants: Int32Array,
    out: Int32Array,
    at: number,
  ): void {
    this.#tokens.set(tokens.subarray(start, start + count * blockSize));
    // What is behind the last block is hashed and not read.
    const four = (count + 3) & ~3;
    this.#exports.locals(blockSize, four, constants[0]!, constants[1]!, constants[2]!, constants[3]!);
    out.set(this.#results.subarray(0, 2 * count), at);
  }
}

let shared: SimdHash | null | undefined;

/** The one of this process; `null` where there can be none. */
export function simdHash(): SimdHash | null {
  if (shared === undefined) {
    try {
      shared = new SimdHash();
    } catch {
      shared = null;
    }
  }
  return shared;
}
