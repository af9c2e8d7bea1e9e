import type { Crowd } from "./crowd.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { RankMatch } from "./indexer.ts";
import type { PromptChain } from "./prompt-chain.ts";

/**
 * How far sources hold a prompt from its first block on: those without attention groups. Results stand by the number
 * of the source, until the next run.
 *
 * Sources that hold a block plainly (see `Crowd`) need no counting: as long as they go on they are bits. The others, and
 * all where a block is held by few, are counted one by one.
 */
export class PlainMatch {
  readonly #index: HolderIndex;
  readonly #gpuWeight: number;
  /** In which run the source was met. */
  #met = new Int32Array(0);
  /** Blocks from the first one on; likewise on the GPU, and at least in memory; and each by its weight. */
  known: Int32Array = new Int32Array(0);
  gpu: Int32Array = new Int32Array(0);
  memory: Int32Array = new Int32Array(0);
  weight: Float64Array = new Float64Array(0);
  // Of the block that is looked at, over the names that a source has for it.
  #isOnGpu = new Uint8Array(0);
  #isInMemory = new Uint8Array(0);
  #blockWeight = new Float64Array(0);
  #run = 0;
  /** Sources that are counted one by one and have all blocks so far. */
  #counted: number[] = [];
  /** Those that have all blocks so far, and plainly. */
  #bits = new Uint32Array(0);
  #hasBits = false;
  /** Sources that hold the first block at least. */
  readonly found: number[] = [];

  constructor(index: HolderIndex, gpuWeight: number) {
    this.#index = index;
    this.#gpuWeight = gpuWeight;
  }

  /** Whether this is what the source has, on this rank. */
  isLike(source: number, rank: number, match: RankMatch | undefined): boolean {
    return (
      match !== undefined &&
      match.rank === rank &&
      match.matchedBlocks === this.known[source] &&
      match.gpuBlocks === this.gpu[source] &&
      match.cpuBlocks === this.memory[source] &&
      match.weightedBlocks === this.weight[source]
    );
  }

  /** Blocks that the source has from the first one on. */
  knownBlocks(source: number): number {
    return this.#met[source] === this.#run ? this.known[source]! : 0;
  }

  /** `isAsked`: whether the source of this number is to be considered. */
  run(chain: PromptChain, isAsked: (source: number) => boolean): void {
    this.#begin();
    if (chain.length === 0) return;
    const first = chain.block(0);
    if (first === 0) return;
    this.#open(first, isAsked);
    for (let i = 0; i < chain.length && (this.#hasBits || this.#counted.length > 0); i++)
      this.#extend(chain.block(i), i);
    this.#end(chain.length);
  }

  #begin(): void {
    const sources = this.#index.sources.numbers;
    if (this.#met.length < sources) this.#widen(2 * sources);
    this.#run = (this.#run + 1) | 0;
    if (this.#run === 0) this.#met.fill(-1);
    this.#counted.length = 0;
    this.found.length = 0;
    this.#hasBits = false;
  }

  #widen(sources: number): void {
    this.#met = new Int32Array(sources);
    this.known = new Int32Array(sources);
    this.gpu = new Int32Array(sources);
    this.memory = new Int32Array(sources);
    this.weight = new Float64Array(sources);
    this.#isOnGpu = new Uint8Array(sources);
    this.#isInMemory = new Uint8Array(sources);
    this.#blockWeight = new Float64Array(sources);
    this.#bits = new Uint32Array((sources + 31) >>> 5);
    this.#run = 0;
  }

  /** Everybody who holds the first block. */
  #open(block: number, isAsked: (source: number) => boolean): void {
    const { holders, holdings } = this.#index;
    const crowd = holders.crowd(block);
    if (crowd === undefined) {
      for (let holding = holders.list(block); holding !== 0; holding = holdings.next(holding)) {
        const source = holdings.source(holding);
        if (this.#met[source] !== this.#run && isAsked(source)) this.#count(source, 0);
      }
      return;
    }
    this.#bits.fill(0);
    forEachBit(crowd.plain, (source) => {
      if (!isAsked(source)) return;
      this.#bits[source >>> 5]! |= 1 << (source & 31);
      this.#hasBits = true;
    });
    forEachBit(crowd.odd, (source) => {
      if (isAsked(source)) this.#count(source, 0);
    });
  }

  /** From block `i` on the source is counted by itself; it has those before plainly. */
  #count(source: number, i: number): void {
    this.#meet(source, i);
    this.#counted.push(source);
  }

  #meet(source: number, blocks: number): void {
    this.#met[source] = this.#run;
    this.known[source] = blocks;
    this.gpu[source] = blocks;
    this.memory[source] = blocks;
    this.weight[source] = blocks * this.#gpuWeight;
    this.found.push(source);
  }

  #extend(block: number, i: number): void {
    const crowd = block === 0 ? undefined : this.#index.holders.crowd(block);
    if (crowd === undefined) {
      if (this.#hasBits) this.#countBits(i);
      this.#extendByList(block, i);
      return;
    }
    if (this.#hasBits) this.#extendBits(crowd, i);
    if (this.#counted.length > 0) this.#extendByCrowd(block, crowd, i);
  }

  #extendBits(crowd: Crowd, i: number): void {
    const bits = this.#bits;
    const { plain, odd } = crowd;
    let any = 0;
    for (let word = 0; word < bits.length; word++) {
      const going = bits[word]!;
      if (going === 0) continue;
      const stays = word < plain.length ? going & plain[word]! : 0;
      any |= stays;
      if (stays === going) continue;
      bits[word] = stays;
      const oddBits = word < odd.length ? odd[word]! : 0;
      for (let left = going & ~stays; left !== 0; left &= left - 1) {
        const bit = 31 - Math.clz32(left & -left);
        if ((oddBits >>> bit) & 1) this.#count(32 * word + bit, i);
        else this.#meet(32 * word + bit, i);
      }
    }
    this.#hasBits = any !== 0;
  }

  /** All that are bits are counted one by one from now on. */
  #countBits(i: number): void {
    forEachBit(this.#bits, (source) => this.#count(source, i));
    this.#hasBits = false;
  }

  #extendByList(block: number, i: number): void {
    const { holders, holdings } = this.#index;
    for (let holding = block === 0 ? 0 : holders.list(block); holding !== 0; holding = holdings.next(holding)) {
      const source = holdings.source(holding);
      if (this.#met[source] === this.#run && this.known[source]! >= i) this.#note(source, holding, i);
    }
    this.#settle(i);
  }

  #extendByCrowd(block: number, crowd: Crowd, i: number): void {
    const { holders } = this.#index;
    for (const source of this.#counted) {
      for (let name = crowd.head(source); name !== 0; name = holders.nextName(block, source, name)) {
        this.#note(source, name, i);
      }
    }
    this.#settle(i);
  }

  /** One name of a source for block `i`. */
  #note(source: number, holding: number, i: number): void {
    const { onGpu, inMemory, weight } = this.#index.placesOf(holding);
    const isFirst = this.known[source] === i;
    if (isFirst) this.known[source] = i + 1;
    this.#isOnGpu[source] = onGpu || (!isFirst && this.#isOnGpu[source] === 1) ? 1 : 0;
    this.#isInMemory[source] = inMemory || (!isFirst && this.#isInMemory[source] === 1) ? 1 : 0;
    this.#blockWeight[source] = isFirst ? weight : Math.max(weight, this.#blockWeight[source]!);
  }

  /** Counts block `i` for those that have it; the others have come to their end. */
  #settle(i: number): void {
    const counted = this.#counted;
    let left = 0;
    for (let at = 0; at < counted.length; at++) {
      const source = counted[at]!;
      if (this.known[source] !== i + 1) continue;
      if (this.#isOnGpu[source] === 1 && this.gpu[source] === i) this.gpu[source] = i + 1;
      if (this.#isInMemory[source] === 1 && this.memory[source] === i) this.memory[source] = i + 1;
      this.weight[source]! += this.#blockWeight[source]!;
      counted[left++] = source;
    }
    // Nearly always all go on, and to set a length takes longer than all of this.
    if (left < counted.length) counted.length = left;
  }

  #end(blocks: number): void {
    if (!this.#hasBits) return;
    forEachBit(this.#bits, (source) => this.#meet(source, blocks));
  }
}

function forEachBit(bits: Uint32Array, visit: (number: number) => void): void {
  for (let word = 0; word < bits.length; word++) {
    for (let left = bits[word]!; left !== 0; left &= left - 1) {
      visit(32 * word + 31 - Math.clz32(left & -left));
    }
  }
}
