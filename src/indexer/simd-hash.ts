import { PAYLOAD_BYTES, type SimdTokens, simdTokens } from "../events/simd-tokens.ts";
import { SIMD_HASH_CODE } from "./simd-hash-code.ts";

// What is needed of it; TypeScript has it among the types of browsers only.
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

interface Exports {
  readonly hashes: (
    tokens: number,
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

/** Words of tokens that are hashed at once, and of results. */
const WORDS = 1 << 14;

// Bytes where those begin in the memory: the tokens of a batch, if it has them there; results; other tokens.
const HOME = PAYLOAD_BYTES;
const RESULTS = 524_288;
const TOKENS = 655_360;
/** Behind all results: what is to be chained from there on is nothing. */
const NOWHERE = -1;
/** Blocks that are hashed side by side. */
const AT_ONCE = 16;

/**
 * Hashes of sixteen blocks at a time, by WebAssembly with SIMD: what `SeededBlockHasher` does in plain JavaScript takes less
 * than a third of the time so. The code is made of `simd-hash.wat`. It works in the memory of `SimdTokens`, so that a batch
 * that has its tokens there has them hashed where they are; others are copied there. Nothing is kept from call to call.
 *
 * All methods: `count` blocks, at most `capacity`, whose tokens are all there; `constants`: what each lane begins with,
 * then its multiplier.
 */
export class SimdHash {
  readonly #hash: Exports["hashes"];
  readonly #home: Uint32Array;
  readonly #tokens: Uint32Array;
  readonly #results: Int32Array;
  /** The first of them, as many as were wanted last: to make another one takes longer than all words of it. */
  #wanted: Int32Array;

  /** Throws where there is no WebAssembly, or none with SIMD. */
  constructor({ memory, tokens }: SimdTokens) {
    const module = new WebAssembly.Module(Buffer.from(SIMD_HASH_CODE, "base64"));
    const { exports } = new WebAssembly.Instance(module, { tokens: { memory } });
    this.#hash = (exports as Exports).hashes;
    this.#home = tokens;
    this.#tokens = new Uint32Array(memory.buffer, TOKENS, WORDS);
    this.#results = new Int32Array(memory.buffer, RESULTS, WORDS);
    this.#wanted = this.#results;
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
    this.#run(tokens, start, blockSize, count, constants, NOWHERE, 0, 0, out, at);
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
    this.#run(tokens, start, blockSize, count, constants, RESULTS, parentLow, parentHigh, out, at);
  }

  #run(
    tokens: Uint32Array,
    start: number,
    blockSize: number,
    count: number,
    constants: Int32Array,
    chained: number,
    parentLow: number,
    parentHigh: number,
    out: Int32Array,
    at: number,
  ): void {
    let first = HOME + 4 * start;
    if (tokens !== this.#home) {
      this.#tokens.set(tokens.subarray(start, start + count * blockSize));
      first = TOKENS;
    }
    // What is behind the last block is hashed and not read.
    const all = Math.ceil(count / AT_ONCE) * AT_ONCE;
    const [initA, initB, multiplierA, multiplierB] = [constants[0]!, constants[1]!, constants[2]!, constants[3]!];
    this.#hash(first, blockSize, all, initA, initB, multiplierA, multiplierB, chained, parentLow, parentHigh);
    if (this.#wanted.length !== 2 * count) this.#wanted = this.#results.subarray(0, 2 * count);
    out.set(this.#wanted, at);
  }
}

let shared: SimdHash | null | undefined;

/** The one of this process; `null` where there can be none. */
export function simdHash(): SimdHash | null {
  if (shared === undefined) {
    const home = simdTokens();
    try {
      shared = home === null ? null : new SimdHash(home);
    } catch {
      shared = null;
    }
  }
  return shared;
}
