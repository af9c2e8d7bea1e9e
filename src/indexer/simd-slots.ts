import { SIMD_SLOTS_CODE } from "./simd-slots-code.ts";

// What is needed of it; TypeScript has it among the types of browsers only.
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

interface Exports {
  readonly mark: (run: number, count: number, secret: number) => void;
  readonly countRemoved: (segment: number, mask: number) => number;
  readonly countMissing: (run: number, count: number, mask: number) => number;
  readonly findAll: (run: number, count: number, mask: number) => void;
  readonly addAll: (run: number, from: number, count: number, mask: number, steps: number) => number;
  readonly removeAll: (run: number, count: number, mask: number) => number;
  readonly split: (moved: number, segment: number, other: number, mask: number, bit: number) => void;
}

/** Marks that are looked for together. */
export const RUN: number = 128;

/**
 * Many steps at the slots of segments by WebAssembly with SIMD, which looks at the eight slots of a line together: each step
 * leaves the words that `slots.ts` leaves in more time. The code is made of `simd-slots.wat`.
 *
 * What it is about stands in the columns of a run, in the memory of the segments, at which it works.
 */
export class SimdSlots {
  /** Hashes, pairs of words, of which `mark` makes marks. */
  readonly hashes: Int32Array;
  /** In the place of the hashes. */
  readonly marks: Int32Array;
  /** Of each mark, where its segment begins, in words. All segments are of the same size. */
  readonly segments: Int32Array;
  readonly records: Int32Array;
  readonly #run: number = 0;
  readonly #moved: number = 0;
  readonly #exports: Exports;

  /**
   * `memory`: shared, with 16 pages or more; words from `run` and from `moved` on, as many as a segment of the largest size
   * has, are left to it. Throws where there is no WebAssembly with SIMD.
   */
  constructor(memory: { readonly buffer: ArrayBufferLike }, run: number, moved: number) {
    const { exports } = new WebAssembly.Instance(module(), { segments: { memory } });
    this.#exports = exports as Exports;
    this.#run = 4 * run;
    this.#moved = 4 * moved;
    const column = (number: number, words: number): Int32Array =>
      new Int32Array(memory.buffer, 4 * (run + number * RUN), words);
    this.hashes = column(0, 2 * RUN);
    this.marks = column(0, RUN);
    this.segments = column(2, RUN);
    this.records = column(3, RUN);
  }

  /** Marks of the first hashes: what `HashTable` makes of each, by its secret. */
  mark(count: number, secret: number): void {
    this.#exports.mark(this.#run, count, secret);
  }

  /** How many of the first marks are in none of the lines where they would be found. */
  countMissing(count: number, mask: number): number {
    return this.#exports.countMissing(this.#run, count, mask);
  }

  /** A record that stands beside each mark, perhaps another one than that of the hash which is looked for; 0 for none. */
  findAll(count: number, mask: number): void {
    this.#exports.findAll(this.#run, count, mask);
  }

  /**
   * From number `from` on, up to the first whose mark is there already, or for which so many lines have no room; returns its
   * number, or in the second case, as one below 0, its complement.
   */
  addAll(from: number, count: number, mask: number, steps: number): number {
    return this.#exports.addAll(this.#run, from, count, mask, steps);
  }

  /** Records that are not there become 0; returns how many there were. */
  removeAll(count: number, mask: number): number {
    return this.#exports.removeAll(this.#run, count, mask);
  }

  /** See `slots.ts`. */
  countRemoved(segment: number, mask: number): number {
    return this.#exports.countRemoved(4 * segment, mask);
  }

  /** See `slots.ts`. */
  split(segment: number, other: number, mask: number, bit: number): void {
    this.#exports.split(this.#moved, 4 * segment, 4 * other, mask, bit);
  }
}

let shared: object | undefined;

/** Compiled once for the process. */
function module(): object {
  shared ??= new WebAssembly.Module(Buffer.from(SIMD_SLOTS_CODE, "base64"));
  return shared;
}
