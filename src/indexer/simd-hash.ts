import { SIMD_HASH_CODE } from "./simd-hash-code.ts";

// What is needed of it; TypeScript has it among the types of browsers only.
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly hashes: (
    blockSize: number,
    count: number,
    initA: number,
    initB: number,
    multiplierA: number,
    multiplierB: number,
    chained: number,
    parentA: number,
    parentB: number,
  ) => void;
}

/** Words of tokens that have room; as many of results lie behind them. */
const WORDS = 1 << 14;

/** Byte of the first result. */
const RESULTS = 4 * WORDS;
/** Behind all results: what is to be chained from there on is nothing. */
const NOWHERE = -1;
/** Blocks that are hashed side by side. */
const AT_ONCE = 16;

/**
 * Hashes of sixteen blocks at a time, by WebAssembly with SIMD: what `SeededBlockHasher` does in plain JavaScript takes less
 * than a third of the time so. The code is made of `simd-hash.wat`. Nothing is kept from call to call.
 *
 * All methods: `count` blocks, at most `capacity`, whose tokens are all there; `constants`: what each lane begins with,
 * then its multiplier.
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
    this.#results = new Int32Array(buffer, RESULTS, WORDS);
  }

  /** Blocks of so many tokens that have room at once; 0 where they are too large for it. */
  capacity(blockSize: number): number {
    const blocks = Math.min(Math.floor(WORDS / blockSize), WORDS / 2);
    return blocks - (blocks % AT_ONCE);
  }

  /** See `BlockHasher.locals`. */
  locals(
    tokens: Uint32Array,
    start: number,
    blockSize: number,
    count: number,
    constants: Int32Array,
    out: Int32Array,
    at: number,
  ): void {
    this.#hash(tokens, start, blockSize, count, constants, NOWHERE, 0, 0);
    out.set(this.#results.subarray(0, 2 * count), at);
  }

  /** See `BlockHasher.hashes`. */
  hashes(
    tokens: Uint32Array,
    start: number,
    blockSize: number,
    count: number,
    constants: Int32Array,
    parentLow: number,
    parentHigh: number,
    out: Int32Array,
    at: number,
  ): void {
    this.#hash(tokens, start, blockSize, count, constants, RESULTS, parentLow, parentHigh);
    out.set(this.#results.subarray(0, 2 * count), at);
  }

  #hash(
    tokens: Uint32Array,
    start: number,
    blockSize: number,
    count: number,
    constants: Int32Array,
    chained: number,
    parentLow: number,
    parentHigh: number,
  ): void {
    this.#tokens.set(tokens.subarray(start, start + count * blockSize));
    // What is behind the last block is hashed and not read.
    const all = Math.ceil(count / AT_ONCE) * AT_ONCE;
    const [initA, initB, multiplierA, multiplierB] = [constants[0]!, constants[1]!, constants[2]!, constants[3]!];
    this.#exports.hashes(blockSize, all, initA, initB, multiplierA, multiplierB, chained, parentLow, parentHigh);
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
