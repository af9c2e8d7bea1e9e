import type { Source } from "./sources.ts";

/**
 * The sources that have a number, in the order in which answers list equals: by the name of the pod. What a match reads
 * of a thousand of them stands in arrays, for each object would be another place in memory. It does not change: see
 * `Sources.podOrder`.
 */
export class PodOrder {
  /** By place. */
  readonly pods: readonly string[];
  readonly ranks: Int32Array;
  readonly numbers: Uint16Array;
  /** By number. */
  readonly places: Uint16Array;
  /** A bit for each number: who is not hidden and has told of no attention groups. */
  readonly plain: Uint32Array;
  // For `sort`: a bit for each place, none of them set after it, and what it gives.
  readonly #bits: Uint32Array;
  readonly #inOrder: Uint16Array;
  readonly #byBlocks: Uint16Array;

  /** `numbers`: one more than the highest. */
  constructor(sources: Iterable<Source>, numbers: number) {
    const numbered = [...sources].filter(({ number }) => number !== 0);
    numbered.sort((left, right) => (left.pod < right.pod ? -1 : left.pod > right.pod ? 1 : 0));
    this.pods = numbered.map(({ pod }) => pod);
    this.ranks = Int32Array.from(numbered, ({ rank }) => rank);
    this.numbers = Uint16Array.from(numbered, ({ number }) => number);
    this.places = new Uint16Array(numbers);
    this.plain = new Uint32Array((numbers + 31) >>> 5);
    this.#bits = new Uint32Array((numbered.length + 31) >>> 5);
    this.#inOrder = new Uint16Array(numbered.length);
    this.#byBlocks = new Uint16Array(numbered.length);
    for (const [place, { number, isHidden, groups }] of numbered.entries()) {
      this.places[number] = place;
      if (!isHidden && groups.size === 0) this.plain[number >>> 5]! |= 1 << (number & 31);
    }
  }

  podOf(number: number): string {
    return this.pods[this.places[number]!]!;
  }

  isPlain(number: number): boolean {
    return (this.plain[number >>> 5]! & (1 << (number & 31))) !== 0;
  }

  /**
   * The places of these sources, each of which is there once: who has the most blocks first, of equals in this order.
   * `blocks`: by number, at most `most`. What stands behind as many as were given means nothing, and the next call
   * overwrites all.
   */
  sort(numbers: readonly number[], blocks: Int32Array, most: number): Uint16Array {
    const bits = this.#bits;
    const sorted = this.#inOrder;
    let least = most;
    for (const number of numbers) {
      const place = this.places[number]!;
      bits[place >>> 5]! |= 1 << (place & 31);
      if (blocks[number]! < least) least = blocks[number]!;
    }
    let count = 0;
    for (let word = 0; word < bits.length; word++) {
      for (let left = bits[word]!; left !== 0; left &= left - 1) {
        sorted[count++] = 32 * word + 31 - Math.clz32(left & -left);
      }
      bits[word] = 0;
    }
    return least === most ? sorted : this.#sortByBlocks(sorted, count, blocks, most, least);
  }

  /** Of equals the order stays. */
  #sortByBlocks(inOrder: Uint16Array, count: number, blocks: Int32Array, most: number, least: number): Uint16Array {
    // Where those begin that have so many fewer than the most.
    const starts = new Uint32Array(most - least + 2);
    for (let at = 0; at < count; at++) starts[most - blocks[this.numbers[inOrder[at]!]!]! + 1]!++;
    for (let fewer = 1; fewer < starts.length; fewer++) starts[fewer]! += starts[fewer - 1]!;
    const sorted = this.#byBlocks;
    for (let at = 0; at < count; at++) {
      const place = inOrder[at]!;
      sorted[starts[most - blocks[this.numbers[place]!]!]!++] = place;
    }
    return sorted;
  }
}
