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
 * The hash by which the index names blocks: 64 bits as two 32-bit lanes with secret multipliers, in plain integer
 * arithmetic. A block's hash is `chain(parent's hash, local)`, where `local` covers the block's tokens and extra keys;
 * the first block's parent is `root(salt)`. So a block whose parent is not known yet can be kept as its `local` alone.
 *
 * Not cryptographic. The seed keeps prompts that collide from being prepared beforehand; hashes of two seeds have
 * nothing in common and must not be compared; who stores or sends them says the seed along.
 */
export class BlockHasher {
  readonly #initA: number;
  readonly #initB: number;
  readonly #multiplierA: number;
  readonly #multiplierB: number;
  // Two 64-bit values with their halves: BigInt arithmetic would allocate.
  readonly #values = new BigUint64Array(2);
  readonly #lanes = new Uint32Array(this.#values.buffer);

  /** `seed`: 64 bits; equal seeds give equal hashes. */
  constructor(seed: bigint) {
    this.#values[0] = seed;
    const low = this.#lanes[0]!;
    const high = this.#lanes[1]!;
    this.#initA = scramble(low ^ 0x243f6a88);
    this.#initB = scramble(high ^ 0x85a308d3);
    this.#multiplierA = multiplierFrom(scramble(low + rotateLeft(high, 16) + 0x13198a2e));
    this.#multiplierB = multiplierFrom(scramble(high + rotateLeft(low, 11) + 0x03707344));
  }

  /** What the first block of a prompt chains on. `key` is what separates prompts of equal tokens (a salt); empty: nothing. */
  root(key: string): bigint {
    return this.#text(key, 0x5bd1e995);
  }

  /** Stands for a block's extra keys in `local`; 0 for none. */
  extra(key: string): bigint {
    return key === "" ? 0n : this.#text(key, 0x1b873593);
  }

  /** Of the block `tokens[start, end)` alone, wherever it stands. */
  local(tokens: Uint32Array, start: number, end: number, extra: bigint): bigint {
    this.#absorb(tokens, start, end, extra, this.#lanes, 0);
    return this.#values[0]!;
  }

  /** Of a block in its place: after the block whose hash is `parent`. */
  chain(parent: bigint, local: bigint): bigint {
    this.#values[0] = local;
    this.#values[1] = parent;
    this.#combine(this.#lanes[2]!, this.#lanes[3]!, this.#lanes, 0);
    return this.#values[0]!;
  }

  /** `chain(parent, local(tokens, start, end, extra))` in one step. */
  step(parent: bigint, tokens: Uint32Array, start: number, end: number, extra: bigint): bigint {
    this.#absorb(tokens, start, end, extra, this.#lanes, 0);
    this.#values[1] = parent;
    this.#combine(this.#lanes[2]!, this.#lanes[3]!, this.#lanes, 0);
    return this.#values[0]!;
  }

  /**
   * Hashes of all full blocks, chained from `root`; what is left over at the end is not hashed. `extra` gives each
   * block's extra keys by its number. Allocates nothing per block but the result.
   */
  hashBlocks(
    tokens: Uint32Array,
    blockSize: number,
    root: bigint,
    extra?: (blockIndex: number) => bigint,
  ): BigUint64Array {
    const hashes = new BigUint64Array(Math.floor(tokens.length / blockSize));
    const lanes = new Uint32Array(hashes.buffer);
    this.#values[0] = root;
    let parentA = this.#lanes[0]!;
    let parentB = this.#lanes[1]!;
    for (let block = 0, start = 0; block < hashes.length; block++, start += blockSize) {
      this.#absorb(tokens, start, start + blockSize, extra === undefined ? 0n : extra(block), lanes, 2 * block);
      this.#combine(parentA, parentB, lanes, 2 * block);
      parentA = lanes[2 * block]!;
      parentB = lanes[2 * block + 1]!;
    }
    return hashes;
  }

  /** Writes both lanes of a block's local hash to `out[at]` and `out[at + 1]`. */
  #absorb(tokens: Uint32Array, start: number, end: number, extra: bigint, out: Uint32Array, at: number): void {
    const multiplierA = this.#multiplierA;
    const multiplierB = this.#multiplierB;
    let a = this.#initA;
    let b = this.#initB;
    for (let i = start; i < end; i++) {
      const token = tokens[i]!;
      // The two rotations differ so that no change of a later token can undo an earlier one in both lanes.
      a = rotateLeft(Math.imul(a ^ token, multiplierA), 15);
      b = rotateLeft(Math.imul(b ^ token, multiplierB), 13);
    }
    if (extra !== 0n) {
      this.#values[0] = extra;
      a = rotateLeft(Math.imul(a ^ this.#lanes[0]!, multiplierA), 15);
      b = rotateLeft(Math.imul(b ^ this.#lanes[1]!, multiplierB), 13);
    }
    out[at] = a;
    out[at + 1] = b;
  }

  /** Replaces the local hash at `out[at]` by the chained one. For a given parent no two local hashes collide. */
  #combine(parentA: number, parentB: number, out: Uint32Array, at: number): void {
    let a = (Math.imul(parentA, this.#multiplierA) + out[at]!) | 0;
    let b = (Math.imul(parentB, this.#multiplierB) + out[at + 1]!) | 0;
    // Three rounds of a Feistel network: each bit of either lane reaches all 64.
    b ^= scramble((a + this.#initA) | 0);
    a ^= scramble((b + this.#initB) | 0);
    b ^= scramble(a);
    out[at] = a;
    out[at + 1] = b;
  }

  #text(text: string, domain: number): bigint {
    let a = this.#initA ^ domain;
    let b = this.#initB ^ text.length;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = rotateLeft(Math.imul(a ^ unit, this.#multiplierA), 15);
      b = rotateLeft(Math.imul(b ^ unit, this.#multiplierB), 13);
    }
    this.#lanes[0] = a;
    this.#lanes[1] = b;
    this.#combine(text.length, domain, this.#lanes, 0);
    return this.#values[0]!;
  }
}
