import type { BlockHasher } from "./block-hasher.ts";
import type { BlockRun } from "./block-run.ts";
import { Xxh3 } from "./xxh3.ts";

/**
 * The rolling XXH3-64 by which indexers exchange hashes (Mooncake, RFC 1403): a block's local hash is XXH3 of its token ids
 * as little-endian 32-bit words; the first block's hash is its local one, any other block's XXH3 of the parent's hash and
 * its own local one, 8 bytes each, little-endian. All under one seed.
 *
 * The RFC knows no extra keys and no salt: extra keys are hashed with the tokens, as 8 more bytes; a prompt with a salt
 * begins with a parent of its own, so that it equals no other.
 */
export class Xxh3BlockHasher implements BlockHasher {
  readonly #xxh3: Xxh3;
  readonly #pair = new Int32Array(4);
  #words = new Int32Array(64);

  /** `seed`: 64 bits, known to all who exchange hashes. */
  constructor(seed: bigint) {
    this.#xxh3 = new Xxh3(seed);
  }

  /** Without a key 0, which `chain` takes for no parent. */
  root(key: string, out: Int32Array, at: number): void {
    this.#text(key, out, at);
  }

  extra(key: string, out: Int32Array, at: number): void {
    this.#text(key, out, at);
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
    if (extraLow === 0 && extraHigh === 0) {
      this.#xxh3.hash(tokens, start, end, out, at);
      return;
    }
    const count = end - start;
    this.#reserve(count + 2);
    for (let i = 0; i < count; i++) this.#words[i] = tokens[start + i]!;
    this.#words[count] = extraLow;
    this.#words[count + 1] = extraHigh;
    this.#xxh3.hash(this.#words, 0, count + 2, out, at);
  }

  locals(tokens: Uint32Array, start: number, blockSize: number, count: number, out: Int32Array, at: number): void {
    for (let block = 0; block < count; block++) {
      const first = start + block * blockSize;
      this.#xxh3.hash(tokens, first, first + blockSize, out, at + 2 * block);
    }
  }

  chainRun(run: BlockRun, from: number, to: number, parentLow: number, parentHigh: number): void {
    run.copyLocals(from, to);
    this.chain(parentLow, parentHigh, run.hashes, 2 * from, to - from);
  }

  chain(parentLow: number, parentHigh: number, out: Int32Array, at: number, count: number): void {
    const pair = this.#pair;
    pair[0] = parentLow;
    pair[1] = parentHigh;
    for (let to = at; to < at + 2 * count; to += 2) {
      pair[2] = out[to]!;
      pair[3] = out[to + 1]!;
      if (pair[0] !== 0 || pair[1] !== 0) this.#xxh3.hash(pair, 0, 4, out, to);
      pair[0] = out[to]!;
      pair[1] = out[to + 1]!;
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
    this.locals(tokens, start, blockSize, count, out, at);
    this.chain(parentLow, parentHigh, out, at, count);
  }

  /** Each UTF-16 unit is a word. */
  #text(text: string, out: Int32Array, at: number): void {
    if (text === "") {
      out[at] = 0;
      out[at + 1] = 0;
      return;
    }
    this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) this.#words[i] = text.charCodeAt(i);
    this.#xxh3.hash(this.#words, 0, text.length, out, at);
  }

  #reserve(words: number): void {
    if (words > this.#words.length) this.#words = new Int32Array(2 * words);
  }
}
