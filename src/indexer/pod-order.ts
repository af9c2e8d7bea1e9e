import type { Source } from "./sources.ts";

/** To look at so many places takes as long as to put one source at its own. */
const SCANNED_FOR_ONE = 4;
/** So many numbers are sorted where they stand. */
const FEW = 16;

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
  // For `sort`: a bit for each place and a count for each number of blocks, none of them set after it, and what it gives.
  readonly #bits: Uint32Array;
  #counts = new Uint32Array(64);
  readonly #values: Int32Array;
  readonly #all: Uint16Array;
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
    this.#values = new Int32Array(numbered.length);
    this.#all = Uint16Array.from(numbered.keys());
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
   * The places of the first `count` of these sources, each of which is there once: who has the most blocks first, of equals
   * in this order. `blocks`: by number, −1 for who is not among them, at most `most`. What stands behind as many as were
   * given means nothing, and the next call overwrites all.
   */
  sort(numbers: Uint16Array, count: number, blocks: Int32Array, most: number): Uint16Array {
    const inOrder = this.#putInOrder(numbers, count, blocks);
    let difference = 0;
    for (let at = 0; at < count; at++) difference |= blocks[numbers[at]!]! ^ most;
    return difference === 0 ? inOrder : this.#sortByBlocks(inOrder, count, blocks, most);
  }

  #putInOrder(numbers: Uint16Array, count: number, blocks: Int32Array): Uint16Array {
    if (count === this.numbers.length) return this.#all;
    if (SCANNED_FOR_ONE * count < this.numbers.length) this.#collect(numbers, count);
    else this.#scan(blocks);
    return this.#inOrder;
  }

  /** Few of many: by a bit for each place. */
  #collect(numbers: Uint16Array, count: number): void {
    const bits = this.#bits;
    for (let at = 0; at < count; at++) {
      const place = this.places[numbers[at]!]!;
      bits[place >>> 5]! |= 1 << (place & 31);
    }
    let found = 0;
    for (let word = 0; word < bits.length; word++) {
      for (let left = bits[word]!; left !== 0; left &= left - 1) {
        this.#inOrder[found++] = 32 * word + 31 - Math.clz32(left & -left);
      }
      bits[word] = 0;
    }
  }

  /** Many: by a look at each place, without a branch. */
  #scan(blocks: Int32Array): void {
    const { numbers } = this;
    const inOrder = this.#inOrder;
    let found = 0;
    for (let place = 0; place < numbers.length; place++) {
      inOrder[found] = place;
      found += 1 + (blocks[numbers[place]!]! >> 31);
    }
  }

  /** Of equals the order stays. Of all the numbers of blocks that there could be, few are there. */
  #sortByBlocks(inOrder: Uint16Array, count: number, blocks: Int32Array, most: number): Uint16Array {
    if (most >= this.#counts.length) this.#counts = new Uint32Array(2 * most);
    const counts = this.#counts;
    const { numbers } = this;
    let distinct = 0;
    for (let at = 0; at < count; at++) {
      const value = blocks[numbers[inOrder[at]!]!]!;
      if (counts[value] === 0) this.#values[distinct++] = value;
      counts[value]!++;
    }
    const values = this.#values;
    sortFirst(values, distinct);
    // Where those begin that have so many.
    let start = 0;
    for (let at = distinct - 1; at >= 0; at--) {
      const some = counts[values[at]!]!;
      counts[values[at]!] = start;
      start += some;
    }
    const sorted = this.#byBlocks;
    for (let at = 0; at < count; at++) {
      const place = inOrder[at]!;
      sorted[counts[blocks[numbers[place]!]!]!++] = place;
    }
    for (let at = 0; at < distinct; at++) counts[values[at]!] = 0;
    return sorted;
  }
}

/** Sorts the first so many: nearly always two or three, for which a sort of the engine's takes longer to call than to do. */
function sortFirst(values: Int32Array, count: number): void {
  if (count > FEW) {
    values.subarray(0, count).sort();
    return;
  }
  for (let sorted = 1; sorted < count; sorted++) {
    const value = values[sorted]!;
    let at = sorted;
    for (; at > 0 && values[at - 1]! > value; at--) values[at] = values[at - 1]!;
    values[at] = value;
  }
}
