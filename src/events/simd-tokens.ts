import { SIMD_TOKENS_CODE } from "./simd-tokens-code.ts";

// What is needed of it; TypeScript has it among the types of browsers only.
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** A `WebAssembly.Memory`. */
export interface SimdMemory {
  readonly buffer: ArrayBuffer;
}

interface Exports {
  readonly memory: SimdMemory;
  readonly tokens: (at: number, to: number, end: number) => number;
  readonly names: (at: number, count: number) => number;
}

/** Room for a payload, from byte 0 of the memory on. Token ids lie behind it, and behind those what `SimdHash` needs. */
export const PAYLOAD_BYTES: number = 1 << 18;
const TOKEN_WORDS = 1 << 16;
/** Where names are put, and how many: they are copied before `SimdHash`, which has columns there, too, is called again. */
const NAMES = 589_824;
const MOST_NAMES = 1 << 13;

/**
 * Reads token ids, and names of blocks, by WebAssembly with SIMD, in less than half of the time that plain JavaScript takes.
 * The code is made of `simd-tokens.wat`. It reads and writes its own memory only: the payload is put there in the first place, and one batch
 * keeps its tokens there, so that nothing is copied for it.
 */
export class SimdTokens {
  static readonly mostNames: number = MOST_NAMES;
  readonly memory: SimdMemory;
  /** `PAYLOAD_BYTES` bytes, from which it reads. */
  readonly payload: Buffer;
  /** 65,536 words, to which it writes. */
  readonly tokens: Uint32Array;
  /** Until a batch has its tokens there, which is for good: no other one may then. */
  isFree = true;
  readonly #exports: Exports;
  readonly #names: Uint32Array;
  /** The first of them, as many as were wanted last. */
  #wanted: Uint32Array;

  /** Throws where there is no WebAssembly, or none with SIMD. */
  constructor() {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(SIMD_TOKENS_CODE, "base64")));
    this.#exports = exports as Exports;
    const { memory } = this.#exports;
    this.memory = memory;
    this.payload = Buffer.from(memory.buffer, 0, PAYLOAD_BYTES);
    this.tokens = new Uint32Array(memory.buffer, PAYLOAD_BYTES, TOKEN_WORDS);
    this.#names = new Uint32Array(memory.buffer, NAMES, 2 * MOST_NAMES);
    this.#wanted = this.#names;
  }

  /**
   * Unsigned integers up to 32 bits from byte `start` of the payload on, to `tokens`, from `first` to before `last`: eight
   * or a multiple of it. Returns the position behind them, or −1 where one of them is something else. Neither is checked: all
   * have to begin in the payload, and `last` to be at most 65,536.
   */
  read(start: number, first: number, last: number): number {
    return this.#exports.tokens(start, PAYLOAD_BYTES + 4 * first, PAYLOAD_BYTES + 4 * last);
  }

  /**
   * Unsigned integers of 64 bits from byte `start` of the payload on, an even number of them, and at most `mostNames`: pairs of
   * words, the lower one first, to `names`, from word `at` on. Returns the position behind them, or −1 where one of them is
   * something else, and nothing was written. All have to lie in the payload.
   */
  readNames(start: number, count: number, names: Uint32Array, at: number): number {
    const end = this.#exports.names(start, count);
    if (end < 0) return end;
    if (this.#wanted.length !== 2 * count) this.#wanted = this.#names.subarray(0, 2 * count);
    names.set(this.#wanted, at);
    return end;
  }
}

let shared: SimdTokens | null | undefined;

/** The one of this process; `null` where there can be none. */
export function simdTokens(): SimdTokens | null {
  if (shared === undefined) {
    try {
      shared = new SimdTokens();
    } catch {
      shared = null;
    }
  }
  return shared;
}
