import type { BlockRun } from "./block-run.ts";

/**
 * Names blocks by 64 bits, each in two signed 32-bit words, low word first: BigInt arithmetic would allocate, and so would
 * unsigned words, half of which are no small integers to V8. A block's hash is
 * `chain(parent's hash, local)`, where `local` covers the block's tokens and extra keys alone; the first block's parent
 * is `root`. So a block whose parent is not known yet can be kept as its `local` alone.
 *
 * All methods write their result to `out[at]` and `out[at + 1]`.
 */
export interface BlockHasher {
  /** What the first block of a prompt chains on. `key` is what separates prompts of equal tokens (a salt); empty: nothing. */
  root(key: string, out: Int32Array, at: number): void;
  /** Stands for a block's extra keys in `local`; 0 for none. */
  extra(key: string, out: Int32Array, at: number): void;
  /** Of the block `tokens[start, end)` alone, wherever it stands. */
  local(
    tokens: Uint32Array,
    start: number,
    end: number,
    extraLow: number,
    extraHigh: number,
    out: Int32Array,
    at: number,
  ): void;
  /** `local` of `count` blocks of so many tokens, one after the other, that have no extra keys. */
  locals(tokens: Uint32Array, start: number, blockSize: number, count: number, out: Int32Array, at: number): void;
  /**
   * Replaces the local hashes of `count` blocks that stand from `out[at]` on by the blocks' hashes: the first comes after
   * the block of this hash, each other one after the one before.
   */
  chain(parentLow: number, parentHigh: number, out: Int32Array, at: number, count: number): void;
  /** The same for the local hashes of a run from number `from` to before `to`: the blocks' hashes stand in its column of those. */
  chainRun(run: BlockRun, from: number, to: number, parentLow: number, parentHigh: number): void;
  /** `locals`, and then `chain`. */
  hashes(
    tokens: Uint32Array,
    start: number,
    blockSize: number,
    count: number,
    parentLow: number,
    parentHigh: number,
    out: Int32Array,
    at: number,
  ): void;
}

/** The words of a hash as one number. */
export function hashOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

export function lowWord(hash: bigint): number {
  return Number(BigInt.asIntN(32, hash));
}

export function highWord(hash: bigint): number {
  return Number(BigInt.asIntN(32, hash >> 32n));
}
