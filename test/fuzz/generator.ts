import { seededRandom } from "../support/random.ts";

/** Lengths, counts and fields at which parsers go wrong. */
const INTERESTING = [
  0, 1, 2, 3, 7, 8, 9, 10, 16, 63, 64, 127, 128, 254, 255, 256, 257, 4_095, 8_191, 8_192, 8_193, 65_536,
];
const INTERESTING_BYTES = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x7f, 0x80, 0xfe, 0xff];

/** All choices of one run: the same for the same seed. */
export class Generator {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** In [0, 1). */
  readonly random = (): number => this.#random();

  /** A whole number below `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** A length that is often at an edge, and mostly small. */
  length(limit: number): number {
    return Math.min(limit, this.chance(0.3) ? this.pick(INTERESTING) : this.below(24));
  }

  bytes(length: number): Buffer {
    const data = Buffer.alloc(length);
    for (let i = 0; i < length; i += 1) data[i] = this.below(256);
    return data;
  }

  /** Between `least` and `most` things. */
  many<T>(least: number, most: number, make: () => T): T[] {
    return Array.from({ length: least + this.below(most - least + 1) }, make);
  }

  /** The data with a few faults in it: bits, bytes, cuts, insertions, repetitions. */
  mutated(data: Buffer): Buffer {
    let result: Buffer = Buffer.from(data);
    const faults = 1 + this.below(3);
    for (let i = 0; i < faults; i += 1) result = this.#fault(result);
    return result;
  }

  /** The data in up to `most` pieces, empty ones too; sometimes byte by byte. */
  pieces(data: Buffer, most = 6): Buffer[] {
    if (data.length < 200 && this.chance(0.1)) return [...data].map((byte) => Buffer.of(byte));
    const cuts = this.many(0, most - 1, () => this.below(data.length + 1)).sort((a, b) => a - b);
    return [0, ...cuts].map((start, i) => data.subarray(start, cuts[i] ?? data.length));
  }

  #fault(data: Buffer): Buffer {
    const at = this.below(data.length + 1);
    const end = Math.min(data.length, at + this.length(64));
    switch (this.below(7)) {
      case 0:
        if (at < data.length) data[at]! ^= 1 << this.below(8);
        return data;
      case 1:
        if (at < data.length) data[at] = this.pick(INTERESTING_BYTES);
        return data;
      case 2:
        return data.subarray(0, at);
      case 3:
        return Buffer.concat([data.subarray(0, at), data.subarray(end)]);
      case 4:
        return Buffer.concat([data.subarray(0, at), this.bytes(this.length(300)), data.subarray(at)]);
      case 5:
        return Buffer.concat([data.subarray(0, end), data.subarray(at, end), data.subarray(end)]);
      default:
        for (let i = at; i < end; i += 1) data[i] = this.below(256);
        return data;
    }
  }
}
