import { type BlockHasher, highWord, lowWord } from "./block-hasher.ts";
import type { BlockRun } from "./block-run.ts";
import { type SimdHash, simdHash } from "./simd-hash.ts";
import { WasmRecords } from "./wasm-records.ts";

// Words of a hasher's constants.
const INIT_A = 0;
const INIT_B = 1;
const MULTIPLIER_A = 2;
const MULTIPLIER_B = 3;

/** Fewer blocks are hashed sooner where they are than when they are copied. */
const MIN_SIMD_BLOCKS = 8;

/** 64 random bits from the system's generator: a hash seed that nobody outside the process can guess. */
export function randomHashSeed(): bigint {
  return crypto.getRandomValues(new BigUint64Array(1))[0]!;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** Every input bit reaches every output bit (MurmurHash3's 32-bit finaliser). */
function scramble(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function countOnes(word: number): number {
  let ones = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) ones++;
  return ones;
}

/** An odd number with neither few nor many ones, since 1 or 2^31 + 1 would hardly mix as a multiplier. */
function multiplierFrom(word: number): number {
  let candidate = word | 1;
  while (countOnes(candidate) < 10 || countOnes(candidate) > 22) candidate = scramble(candidate + 0x9e3779b9) | 1;
  return candidate;
}

/**
 * The hash by which the index names blocks unless it is told otherwise: two 32-bit lanes with secret multipliers, in
 * plain integer arithmetic, many blocks at once by `SimdHash`.
 *
 * Not cryptographic. The seed keeps prompts that collide from being prepared beforehand; hashes of two seeds have
 * nothing in common and must not be compared; who stores or sends them says the seed along.
 */
export class SeededBlockHasher implements BlockHasher {
  /** What each lane begins with, then its multiplier. As fields V8 would read them as floating-point numbers. */
  readonly #constants: Int32Array;
  readonly #simd: SimdHash | null;

  /** `seed`: 64 bits; equal seeds give equal hashes. `simd`: `null` for plain JavaScript, which gives the same. */
  constructor(seed: bigint, simd: SimdHash | null = simdHash()) {
    this.#simd = simd;
    const low = lowWord(seed);
    const high = highWord(seed);
    this.#constants = Int32Array.of(
      scramble(low ^ 0x243f6a88),
      scramble(high ^ 0x85a308d3),
      multiplierFrom(scramble(low + rotateLeft(high, 16) + 0x13198a2e)),
      multiplierFrom(scramble(high + rotateLeft(low, 11) + 0x03707344)),
    );
  }

  root(key: string, out: Int32Array, at: number): void {
    this.#text(key, 0x5bd1e995, out, at);
  }

  extra(key: string, out: Int32Array, at: number): void {
    if (key !== "") {
      this.#text(key, 0x1b873593, out, at);
      return;
    }
    out[at] = 0;
    out[at + 1] = 0;
  }

  local(
    tokens: Uint32Array,
    start: number,
    end: number,
    extraLow: number,
    extraHigh: number,
    out: Int32Array,
    at: number,
  ): void {
    this.locals(tokens, start, end - start, 1, out, at);
    if (extraLow === 0 && extraHigh === 0) return;
    out[at]! ^= extraLow;
    out[at + 1]! ^= extraHigh;
    this.#finish(out, at, at + 2);
  }

  locals(tokens: Uint32Array, start: number, blockSize: number, count: number, out: Int32Array, at: number): void {
    const atOnce = this.#atOnce(blockSize, count);
    if (atOnce === 0) {
      this.#plainLocals(tokens, start, blockSize, count, out, at);
      return;
    }
    for (let block = 0; block < count; block += atOnce) {
      const some = Math.min(atOnce, count - block);
      this.#simd!.locals(tokens, start + block * blockSize, blockSize, some, this.#constants, out, at + 2 * block);
    }
  }

  hashes(
    tokens: Uint32Array,
    start: number,
    blockSize: number,
    count: number,
    parentLow: number,
    parentHigh: number,
    out: Int32Array,
    at: number,
  ): void {
    const atOnce = this.#atOnce(blockSize, count);
    if (atOnce === 0) {
      this.#plainLocals(tokens, start, blockSize, count, out, at);
      this.chain(parentLow, parentHigh, out, at, count);
      return;
    }
    let low = parentLow;
    let high = parentHigh;
    for (let block = 0; block < count; block += atOnce) {
      const some = Math.min(atOnce, count - block);
      const from = start + block * blockSize;
      this.#simd!.hashes(tokens, from, blockSize, some, this.#constants, low, high, out, at + 2 * block);
      low = out[at + 2 * (block + some) - 2]!;
      high = out[at + 2 * (block + some) - 1]!;
    }
  }

  /** Of so many blocks, those that are hashed together by `SimdHash`; 0 where none is. */
  #atOnce(blockSize: number, count: number): number {
    return this.#simd === null || count < MIN_SIMD_BLOCKS ? 0 : this.#simd.capacity(blockSize);
  }

  #plainLocals(
    tokens: Uint32Array,
    start: number,
    blockSize: number,
    count: number,
    out: Int32Array,
    at: number,
  ): void {
    const multiplierA = this.#constants[MULTIPLIER_A]!;
    const multiplierB = this.#constants[MULTIPLIER_B]!;
    const initA = this.#constants[INIT_A]!;
    const initB = this.#constants[INIT_B]!;
    let first = start | 0;
    for (let to = at; to < at + 2 * count; to += 2) {
      let a = initA;
      let b = initB;
      const end = (first + blockSize) | 0;
      for (let i = first; i < end; i++) {
        const token = tokens[i]! | 0;
        // The two rotations differ so that no change of a later token can undo an earlier one in both lanes.
        a = rotateLeft(Math.imul(a ^ token, multiplierA), 15);
        b = rotateLeft(Math.imul(b ^ token, multiplierB), 13);
      }
      out[to] = a;
      out[to + 1] = b;
      first = end;
    }
    this.#finish(out, at, at + 2 * count);
  }

  /** Three rounds of a Feistel network for each pair of words: each bit of either reaches all 64. */
  #finish(out: Int32Array, from: number, to: number): void {
    const initA = this.#constants[INIT_A]!;
    const initB = this.#constants[INIT_B]!;
    for (let at = from; at < to; at += 2) {
      let a = out[at]!;
      let b = out[at + 1]!;
      b ^= scramble((a + initA) | 0);
      a ^= scramble((b + initB) | 0);
      b ^= scramble(a);
      out[at] = a;
      out[at + 1] = b;
    }
  }

  /**
   * Each hash has to wait for the one before, so this is short: what is added is as good as random, and needs no more than
   * that the order counts. For a given parent no two local hashes collide, for given blocks no two parents.
   */
  chain(parentLow: number, parentHigh: number, out: Int32Array, at: number, count: number): void {
    const multiplierA = this.#constants[MULTIPLIER_A]!;
    const multiplierB = this.#constants[MULTIPLIER_B]!;
    let a = parentLow | 0;
    let b = parentHigh | 0;
    const end = (at + 2 * count) | 0;
    for (let to = at | 0; to < end; to += 2) {
      a = (Math.imul(a ^ (a >>> 15), multiplierA) + out[to]!) | 0;
      b = (Math.imul(b ^ (b >>> 13), multiplierB) + out[to + 1]!) | 0;
      out[to] = a;
      out[to + 1] = b;
    }
  }

  chainRun(run: BlockRun, from: number, to: number, parentLow: number, parentHigh: number): void {
    if (run.wasm === null || to - from < WasmRecords.fewestBlocks) {
      run.copyLocals(from, to);
      this.chain(parentLow, parentHigh, run.hashes, 2 * from, to - from);
      return;
    }
    const [multiplierA, multiplierB] = [this.#constants[MULTIPLIER_A]!, this.#constants[MULTIPLIER_B]!];
    run.wasm.steps.chain(from, to, parentLow, parentHigh, multiplierA, multiplierB);
  }

  #text(text: string, domain: number, out: Int32Array, at: number): void {
    let a = this.#constants[INIT_A]! ^ domain;
    let b = this.#constants[INIT_B]! ^ text.length;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = rotateLeft(Math.imul(a ^ unit, this.#constants[MULTIPLIER_A]!), 15);
      b = rotateLeft(Math.imul(b ^ unit, this.#constants[MULTIPLIER_B]!), 13);
    }
    out[at] = a;
    out[at + 1] = b;
    this.#finish(out, at, at + 2);
  }
}
