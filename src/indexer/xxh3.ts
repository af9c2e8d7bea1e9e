/** The secret that the reference implementation has by default (xxHash specification, XXH3). */
const SECRET = Uint8Array.from(
  Buffer.from(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221" +
      "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
      "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb" +
      "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e",
    "hex",
  ),
);

const SECRET_BYTES = 192;
const STRIPE_WORDS = 16;
const STRIPES_PER_BLOCK = 16;

// 64-bit numbers are pairs of signed 32-bit words, low word first. These are what the steps below give back.
let low = 0;
let high = 0;

/** Upper word of the product of two unsigned 32-bit words. */
function mulHigh(left: number, right: number): number {
  const l0 = left & 0xffff;
  const l1 = left >>> 16;
  const r0 = right & 0xffff;
  const r1 = right >>> 16;
  const middle = l1 * r0 + ((l0 * r0) >>> 16);
  const other = l0 * r1 + (middle & 0xffff);
  // All below 2^53: exact.
  return (l1 * r1 + Math.floor(middle / 65_536) + Math.floor(other / 65_536)) | 0;
}

/** `low, high` = the sum. */
function add(leftLow: number, leftHigh: number, rightLow: number, rightHigh: number): void {
  const sum = (leftLow >>> 0) + (rightLow >>> 0);
  low = sum | 0;
  high = (leftHigh + rightHigh + (sum > 0xffff_ffff ? 1 : 0)) | 0;
}

function subtract(leftLow: number, leftHigh: number, rightLow: number, rightHigh: number): void {
  const isBorrowed = leftLow >>> 0 < rightLow >>> 0;
  low = (leftLow - rightLow) | 0;
  high = (leftHigh - rightHigh - (isBorrowed ? 1 : 0)) | 0;
}

/** The lower 64 bits of the product. */
function multiply(leftLow: number, leftHigh: number, rightLow: number, rightHigh: number): void {
  const upper = mulHigh(leftLow, rightLow) + Math.imul(leftLow, rightHigh) + Math.imul(leftHigh, rightLow);
  low = Math.imul(leftLow, rightLow);
  high = upper | 0;
}

/** Both halves of the 128-bit product, combined by exclusive or. */
function multiplyFold(leftLow: number, leftHigh: number, rightLow: number, rightHigh: number): void {
  const middleLow = Math.imul(leftHigh, rightLow);
  const middleHigh = mulHigh(leftHigh, rightLow);
  const otherLow = Math.imul(leftLow, rightHigh);
  const otherHigh = mulHigh(leftLow, rightHigh);
  const second = (mulHigh(leftLow, rightLow) >>> 0) + (middleLow >>> 0) + (otherLow >>> 0);
  const third =
    (Math.imul(leftHigh, rightHigh) >>> 0) + (middleHigh >>> 0) + (otherHigh >>> 0) + Math.floor(second / 2 ** 32);
  const fourth = (mulHigh(leftHigh, rightHigh) >>> 0) + Math.floor(third / 2 ** 32);
  low = Math.imul(leftLow, rightLow) ^ (third | 0);
  high = (second | 0) ^ (fourth | 0);
}

/** Exclusive or of `low, high` with itself, shifted right by 1 to 63 bits. */
function xorShift(bits: number): void {
  if (bits >= 32) {
    low ^= bits === 32 ? high : high >>> (bits - 32);
    return;
  }
  low ^= (low >>> bits) | (high << (32 - bits));
  high ^= high >>> bits;
}

function avalanche(): void {
  xorShift(37);
  multiply(low, high, 0x9e3779f9, 0x16566791);
  xorShift(32);
}

function avalancheXXH64(): void {
  xorShift(33);
  multiply(low, high, 0x27d4eb4f, 0xc2b2ae3d);
  xorShift(29);
  multiply(low, high, 0x9e3779f9, 0x165667b1);
  xorShift(32);
}

/**
 * XXH3 with 64 bits, seeded, of 32-bit words as their little-endian bytes (xxHash 0.8 specification). In plain integer
 * arithmetic; one is used for many hashes. Inputs are whole words: token ids, and other hashes.
 */
export class Xxh3 {
  readonly #seedLow: number;
  readonly #seedHigh: number;
  readonly #secret: DataView = new DataView(SECRET.buffer, SECRET.byteOffset, SECRET_BYTES);
  /** Of long inputs: the secret depends on the seed. */
  readonly #longSecret: DataView;
  readonly #accumulators = new Int32Array(16);

  /** `seed`: 64 bits. */
  constructor(seed: bigint) {
    this.#seedLow = Number(BigInt.asIntN(32, seed));
    this.#seedHigh = Number(BigInt.asIntN(32, seed >> 32n));
    this.#longSecret = new DataView(new ArrayBuffer(SECRET_BYTES));
    for (let at = 0; at < SECRET_BYTES; at += 16) {
      add(this.#word(at), this.#word(at + 4), this.#seedLow, this.#seedHigh);
      this.#longSecret.setInt32(at, low, true);
      this.#longSecret.setInt32(at + 4, high, true);
      subtract(this.#word(at + 8), this.#word(at + 12), this.#seedLow, this.#seedHigh);
      this.#longSecret.setInt32(at + 8, low, true);
      this.#longSecret.setInt32(at + 12, high, true);
    }
  }

  /** Of `words[start, end)`: writes the low word to `out[at]`, the high one to `out[at + 1]`. */
  hash(words: Uint32Array | Int32Array, start: number, end: number, out: Int32Array, at: number): void {
    const count = end - start;
    if (count > 60) this.#long(words, start, end);
    else if (count > 32) this.#upTo240(words, start, end);
    else if (count > 4) this.#upTo128(words, start, end);
    else if (count > 2) this.#upTo16(words, start, end);
    else if (count > 0) this.#upTo8(words, start, end);
    else this.#empty();
    out[at] = low;
    out[at + 1] = high;
  }

  #word(at: number): number {
    return this.#secret.getInt32(at, true);
  }

  #empty(): void {
    low = this.#seedLow ^ this.#word(56) ^ this.#word(64);
    high = this.#seedHigh ^ this.#word(60) ^ this.#word(68);
    avalancheXXH64();
  }

  #upTo8(words: Uint32Array | Int32Array, start: number, end: number): void {
    const bytes = 4 * (end - start);
    const seedHigh = this.#seedHigh ^ swap(this.#seedLow);
    subtract(this.#word(8) ^ this.#word(16), this.#word(12) ^ this.#word(20), this.#seedLow, seedHigh);
    low ^= words[end - 1]!;
    high ^= words[start]!;
    const [keyedLow, keyedHigh] = [low, high];
    // Rotated left by 49 and by 24 bits.
    low = keyedLow ^ ((keyedHigh << 17) | (keyedLow >>> 15)) ^ ((keyedLow << 24) | (keyedHigh >>> 8));
    high = keyedHigh ^ ((keyedLow << 17) | (keyedHigh >>> 15)) ^ ((keyedHigh << 24) | (keyedLow >>> 8));
    multiply(low, high, 0x1e98df25, 0x9fb21c65);
    const [mixedLow, mixedHigh] = [low, high];
    add(mixedHigh >>> 3, 0, bytes, 0);
    low ^= mixedLow;
    high ^= mixedHigh;
    multiply(low, high, 0x1e98df25, 0x9fb21c65);
    xorShift(28);
  }

  #upTo16(words: Uint32Array | Int32Array, start: number, end: number): void {
    add(this.#word(24) ^ this.#word(32), this.#word(28) ^ this.#word(36), this.#seedLow, this.#seedHigh);
    const firstLow = low ^ words[start]!;
    const firstHigh = high ^ words[start + 1]!;
    subtract(this.#word(40) ^ this.#word(48), this.#word(44) ^ this.#word(52), this.#seedLow, this.#seedHigh);
    const lastLow = low ^ words[end - 2]!;
    const lastHigh = high ^ words[end - 1]!;
    multiplyFold(firstLow, firstHigh, lastLow, lastHigh);
    add(low, high, lastLow, lastHigh);
    add(low, high, swap(firstHigh), swap(firstLow));
    add(low, high, 4 * (end - start), 0);
    avalanche();
  }

  #upTo128(words: Uint32Array | Int32Array, start: number, end: number): void {
    const count = end - start;
    multiply(4 * count, 0, 0x85ebca87, 0x9e3779b1);
    // In pairs from the outside to the middle; the sum does not depend on the order.
    const pairs = count > 24 ? 4 : count > 16 ? 3 : count > 8 ? 2 : 1;
    for (let pair = 0; pair < pairs; pair++) {
      this.#mix16(words, start + 4 * pair, 32 * pair);
      this.#mix16(words, end - 4 - 4 * pair, 32 * pair + 16);
    }
    avalanche();
  }

  #upTo240(words: Uint32Array | Int32Array, start: number, end: number): void {
    const count = end - start;
    multiply(4 * count, 0, 0x85ebca87, 0x9e3779b1);
    for (let round = 0; round < 8; round++) this.#mix16(words, start + 4 * round, 16 * round);
    avalanche();
    const rounds = count >>> 2;
    for (let round = 8; round < rounds; round++) this.#mix16(words, start + 4 * round, 16 * (round - 8) + 3);
    this.#mix16(words, end - 4, 136 - 17);
    avalanche();
  }

  /** Adds the mix of 16 bytes and 16 bytes of the secret to `low, high`. */
  #mix16(words: Uint32Array | Int32Array, at: number, secretAt: number): void {
    const [sumLow, sumHigh] = [low, high];
    add(this.#word(secretAt), this.#word(secretAt + 4), this.#seedLow, this.#seedHigh);
    const leftLow = low ^ words[at]!;
    const leftHigh = high ^ words[at + 1]!;
    subtract(this.#word(secretAt + 8), this.#word(secretAt + 12), this.#seedLow, this.#seedHigh);
    multiplyFold(leftLow, leftHigh, low ^ words[at + 2]!, high ^ words[at + 3]!);
    add(low, high, sumLow, sumHigh);
  }

  #long(words: Uint32Array | Int32Array, start: number, end: number): void {
    const accumulators = this.#accumulators;
    accumulators.set(INITIAL);
    // The last stripe is taken apart, and may overlap the one before.
    const stripes = Math.floor((end - start - 1) / STRIPE_WORDS);
    for (let stripe = 0; stripe < stripes; stripe++) {
      const inBlock = stripe % STRIPES_PER_BLOCK;
      this.#accumulate(words, start + STRIPE_WORDS * stripe, 8 * inBlock);
      if (inBlock === STRIPES_PER_BLOCK - 1) this.#scramble();
    }
    this.#accumulate(words, end - STRIPE_WORDS, SECRET_BYTES - 64 - 7);
    multiply(4 * (end - start), 0, 0x85ebca87, 0x9e3779b1);
    for (let pair = 0; pair < 4; pair++) {
      const [sumLow, sumHigh] = [low, high];
      const secret = 11 + 16 * pair;
      multiplyFold(
        accumulators[4 * pair]! ^ this.#longSecret.getInt32(secret, true),
        accumulators[4 * pair + 1]! ^ this.#longSecret.getInt32(secret + 4, true),
        accumulators[4 * pair + 2]! ^ this.#longSecret.getInt32(secret + 8, true),
        accumulators[4 * pair + 3]! ^ this.#longSecret.getInt32(secret + 12, true),
      );
      add(low, high, sumLow, sumHigh);
    }
    avalanche();
  }

  #accumulate(words: Uint32Array | Int32Array, at: number, secretAt: number): void {
    const accumulators = this.#accumulators;
    for (let lane = 0; lane < 8; lane++) {
      const valueLow = words[at + 2 * lane]! | 0;
      const valueHigh = words[at + 2 * lane + 1]! | 0;
      const keyLow = valueLow ^ this.#longSecret.getInt32(secretAt + 8 * lane, true);
      const keyHigh = valueHigh ^ this.#longSecret.getInt32(secretAt + 8 * lane + 4, true);
      const other = 2 * (lane ^ 1);
      add(accumulators[other]!, accumulators[other + 1]!, valueLow, valueHigh);
      accumulators[other] = low;
      accumulators[other + 1] = high;
      add(accumulators[2 * lane]!, accumulators[2 * lane + 1]!, Math.imul(keyLow, keyHigh), mulHigh(keyLow, keyHigh));
      accumulators[2 * lane] = low;
      accumulators[2 * lane + 1] = high;
    }
  }

  #scramble(): void {
    const accumulators = this.#accumulators;
    for (let lane = 0; lane < 8; lane++) {
      low = accumulators[2 * lane]!;
      high = accumulators[2 * lane + 1]!;
      xorShift(47);
      low ^= this.#longSecret.getInt32(SECRET_BYTES - 64 + 8 * lane, true);
      high ^= this.#longSecret.getInt32(SECRET_BYTES - 64 + 8 * lane + 4, true);
      multiply(low, high, 0x9e3779b1, 0);
      accumulators[2 * lane] = low;
      accumulators[2 * lane + 1] = high;
    }
  }
}

/** Eight numbers, low word first, as the specification begins with. */
const INITIAL: Int32Array = Int32Array.from([
  ...[0xc2b2ae3d, 0, 0x85ebca87, 0x9e3779b1, 0x27d4eb4f, 0xc2b2ae3d, 0x9e3779f9, 0x165667b1],
  ...[0xc2b2ae63, 0x85ebca77, 0x85ebca77, 0, 0x165667c5, 0x27d4eb2f, 0x9e3779b1, 0],
]);

/** The bytes of a word in the opposite order. */
function swap(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
