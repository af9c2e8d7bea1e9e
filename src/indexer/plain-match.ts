import type { Crowd } from "./crowd.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { PromptChain } from "./prompt-chain.ts";

/**
 * How far sources hold a prompt from its first block on: those without attention groups. Results stand by the number
 * of the source, until the next run.
 *
 * Sources that have held all blocks plainly (see `Crowd`) need no counting but of blocks: all else follows from that.
 * As long as they go on, they are bits where blocks are held by many, and listed where they are held by few. The others
 * are counted in detail, and always listed.
 */
export class PlainMatch {
  readonly #index: HolderIndex;
  readonly #gpuWeight: number;
  /** Blocks from the first one on, −1 for who was not met. */
  known: Int32Array = new Int32Array(0);
  /** 1 for who is counted in detail: likewise on the GPU, and at least in memory; and each by its weight. */
  #isDetailed = new Uint8Array(0);
  #noneIsDetailed = true;
  #gpu = new Int32Array(0);
  #memory = new Int32Array(0);
  #weight = new Float64Array(0);
  // Of the block that is looked at, over the names that a source has for it.
  #isOnGpu = new Uint8Array(0);
  #isInMemory = new Uint8Array(0);
  #blockWeight = new Float64Array(0);
  /** All who are no bits and may have all blocks so far. An array's length would be memory given back, and taken again. */
  #listed = new Uint16Array(0);
  #listedCount = 0;
  /** Those of them that are counted in detail, and have all blocks so far. */
  #detailed = new Uint16Array(0);
  #detailedCount = 0;
  /** Those that have all blocks so far, and plainly. */
  #bits = new Uint32Array(0);
  /** Words behind which no bit is set; 0 where none is. */
  #bitWords = 0;
  /** Sources that hold the first block at least: so many of these. */
  found: Uint16Array = new Uint16Array(0);
  foundCount = 0;

  constructor(index: HolderIndex, gpuWeight: number) {
    this.#index = index;
    this.#gpuWeight = gpuWeight;
  }

  /** Whether both, which have as much, have it in the same places. */
  areAlike(source: number, other: number): boolean {
    if (this.#noneIsDetailed) return true;
    if (this.#isDetailed[source] !== this.#isDetailed[other]) return false;
    if (this.#isDetailed[source] === 0) return true;
    if (this.#gpu[source] !== this.#gpu[other] || this.#memory[source] !== this.#memory[other]) return false;
    return this.#weight[source] === this.#weight[other];
  }

  /** Of those that the source has, these lie on the GPU from the first one on. */
  gpuBlocks(source: number): number {
    return this.#isDetailed[source] === 1 ? this.#gpu[source]! : this.knownBlocks(source);
  }

  /** Likewise at least in memory. */
  memoryBlocks(source: number): number {
    return this.#isDetailed[source] === 1 ? this.#memory[source]! : this.knownBlocks(source);
  }

  /** Each of them by its weight. */
  weightedBlocks(source: number): number {
    return this.#isDetailed[source] === 1 ? this.#weight[source]! : this.knownBlocks(source) * this.#gpuWeight;
  }

  /** Blocks that the source has from the first one on. */
  knownBlocks(source: number): number {
    return Math.max(0, this.known[source] ?? 0);
  }

  /** Returns how many blocks the longest have. `readyPods`: which pods are to be considered; all, if it is not given. */
  run(chain: PromptChain, readyPods: ReadonlySet<string> | undefined): number {
    this.#begin();
    const first = chain.length === 0 ? 0 : chain.block(0);
    if (first === 0) return 0;
    this.#open(first, readyPods);
    let blocks = 0;
    while (blocks < chain.length) {
      const block = chain.block(blocks);
      const like = blocks === 0 ? 0 : this.#passLike(chain, blocks);
      blocks += like;
      if (like > 0) continue;
      if (!this.#extend(block, blocks)) break;
      blocks++;
    }
    this.#meetBits(blocks);
    return blocks;
  }

  #begin(): void {
    const sources = this.#index.sources.numbers;
    if (this.known.length < sources) this.#widen(2 * sources);
    this.known.fill(-1);
    if (!this.#noneIsDetailed) this.#isDetailed.fill(0);
    this.#noneIsDetailed = true;
    this.#listedCount = 0;
    this.#detailedCount = 0;
    this.foundCount = 0;
    this.#clearBits();
  }

  #widen(sources: number): void {
    this.known = new Int32Array(sources);
    this.#isDetailed = new Uint8Array(sources);
    this.#gpu = new Int32Array(sources);
    this.#memory = new Int32Array(sources);
    this.#weight = new Float64Array(sources);
    this.#isOnGpu = new Uint8Array(sources);
    this.#isInMemory = new Uint8Array(sources);
    this.#blockWeight = new Float64Array(sources);
    this.#listed = new Uint16Array(sources);
    this.#detailed = new Uint16Array(sources);
    this.found = new Uint16Array(sources);
    this.#bits = new Uint32Array((sources + 31) >>> 5);
    this.#bitWords = 0;
  }

  /** Everybody who holds the first block. */
  #open(block: number, readyPods: ReadonlySet<string> | undefined): void {
    const { holders, holdings, sources } = this.#index;
    const order = sources.podOrder();
    const list = (source: number): void => {
      if (!order.isPlain(source) || this.known[source] !== -1) return;
      if (readyPods === undefined || readyPods.has(order.podOf(source))) this.#list(source, 0);
    };
    const crowd = holders.crowd(block);
    if (crowd === undefined) {
      for (let holding = holders.list(block); holding !== 0; holding = holdings.next(holding)) {
        list(holdings.source(holding));
      }
      return;
    }
    this.#setBits(crowd.plain, order.plain);
    if (readyPods !== undefined) {
      forEachBit(this.#bits, this.#bitWords, (source) => {
        if (!readyPods.has(order.podOf(source))) this.#bits[source >>> 5]! &= ~(1 << (source & 31));
      });
    }
    forEachBit(crowd.odd, crowd.odd.length, list);
  }

  /** Who is in both. */
  #setBits(some: Uint32Array, others: Uint32Array): void {
    const words = Math.min(some.length, others.length);
    for (let word = 0; word < words; word++) {
      const both = some[word]! & others[word]!;
      this.#bits[word] = both;
      if (both !== 0) this.#bitWords = word + 1;
    }
  }

  #setBit(source: number): void {
    const word = source >>> 5;
    this.#bits[word]! |= 1 << (source & 31);
    if (word >= this.#bitWords) this.#bitWords = word + 1;
  }

  #clearBits(): void {
    this.#bits.fill(0, 0, this.#bitWords);
    this.#bitWords = 0;
  }

  /** The source has so many blocks, plainly, and is no bit any more. */
  #meet(source: number, blocks: number): void {
    if (this.known[source] === -1) this.found[this.foundCount++] = source;
    this.known[source] = blocks;
  }

  #list(source: number, blocks: number): void {
    this.#meet(source, blocks);
    this.#listed[this.#listedCount++] = source;
  }

  /** How many of the blocks from number `i` on change nothing. */
  #passLike(chain: PromptChain, i: number): number {
    if (this.#detailedCount > 0) return 0;
    const like = chain.countLike(i);
    if (like > 0 && this.#listedCount > 0) this.#unlist(i);
    return like;
  }

  /** Whether anybody has block `i`, of those who have all before. */
  #extend(block: number, i: number): boolean {
    const crowd = block === 0 ? undefined : this.#index.holders.crowd(block);
    if (crowd === undefined) {
      if (this.#bitWords > 0) {
        this.#meetBits(i);
        this.#clearBits();
      }
      return block !== 0 && this.#extendByList(block, i);
    }
    if (this.#listedCount > 0) this.#unlist(i);
    if (this.#bitWords > 0) this.#extendBits(crowd, i);
    if (this.#listedCount > 0) this.#extendByCrowd(block, crowd, i);
    return this.#bitWords > 0 || this.#detailedCount > 0;
  }

  /** Nobody is a bit, and who has the block is listed anew. */
  #extendByList(block: number, i: number): boolean {
    const { holders, holdings } = this.#index;
    const { known } = this;
    const listed = this.#listed;
    let going = 0;
    for (let holding = holders.list(block); holding !== 0; holding = holdings.next(holding)) {
      const source = holdings.source(holding);
      const blocks = known[source]!;
      if (blocks < i) continue;
      if (blocks === i) {
        known[source] = i + 1;
        listed[going++] = source;
      }
      if (this.#isDetailed[source] !== 0 || !this.#index.isPlain(holding)) this.#note(source, holding, i, blocks === i);
    }
    this.#listedCount = going;
    if (this.#detailedCount > 0) this.#settle(i);
    return going > 0;
  }

  #extendBits(crowd: Crowd, i: number): void {
    const bits = this.#bits;
    const { plain, odd } = crowd;
    // Nearly always all go on: asked without a branch for each word.
    const words = this.#bitWords;
    const both = Math.min(words, plain.length);
    let ended = 0;
    for (let word = 0; word < both; word++) ended |= bits[word]! & ~plain[word]!;
    if (ended === 0 && both === words) return;
    this.#bitWords = 0;
    for (let word = 0; word < words; word++) {
      const going = bits[word]!;
      const stays = word < plain.length ? going & plain[word]! : 0;
      if (stays !== 0) this.#bitWords = word + 1;
      if (stays === going) continue;
      bits[word] = stays;
      const oddBits = word < odd.length ? odd[word]! : 0;
      for (let left = going & ~stays; left !== 0; left &= left - 1) {
        const bit = 31 - Math.clz32(left & -left);
        if ((oddBits >>> bit) & 1) this.#list(32 * word + bit, i);
        else this.#meet(32 * word + bit, i);
      }
    }
  }

  /** Those that are listed and no bits are counted in detail at the latest here: they do not hold the block plainly. */
  #extendByCrowd(block: number, crowd: Crowd, i: number): void {
    const { holders } = this.#index;
    for (let at = 0; at < this.#listedCount; at++) {
      const source = this.#listed[at]!;
      if (this.known[source] !== i) continue;
      for (let name = crowd.head(source); name !== 0; name = holders.nextName(block, source, name)) {
        const isFirst = this.known[source] === i;
        this.known[source] = i + 1;
        this.#note(source, name, i, isFirst);
      }
    }
    this.#settle(i);
  }

  /** All that are bits have so many blocks. */
  #meetBits(blocks: number): void {
    const { known, found } = this;
    let count = this.foundCount;
    for (let word = 0; word < this.#bitWords; word++) {
      for (let left = this.#bits[word]!; left !== 0; left &= left - 1) {
        const source = 32 * word + 31 - Math.clz32(left & -left);
        if (known[source] === -1) found[count++] = source;
        known[source] = blocks;
      }
    }
    this.foundCount = count;
  }

  /** All that are listed and not counted in detail are bits from now on; who does not have so many blocks is nothing any more. */
  #unlist(blocks: number): void {
    const listed = this.#listed;
    let left = 0;
    for (let at = 0; at < this.#listedCount; at++) {
      const source = listed[at]!;
      if (this.known[source] !== blocks) continue;
      if (this.#isDetailed[source] === 1) listed[left++] = source;
      else this.#setBit(source);
    }
    this.#listedCount = left;
  }

  /** One name of a source for block `i`: from here on it is counted in detail. */
  #note(source: number, holding: number, i: number, isFirst: boolean): void {
    if (this.#isDetailed[source] === 0) {
      this.#isDetailed[source] = 1;
      this.#noneIsDetailed = false;
      this.#detailed[this.#detailedCount++] = source;
      this.#gpu[source] = i;
      this.#memory[source] = i;
      this.#weight[source] = i * this.#gpuWeight;
      // Another name for the block that came before was a plain one.
      this.#isOnGpu[source] = 1;
      this.#isInMemory[source] = 1;
      this.#blockWeight[source] = this.#gpuWeight;
    }
    const { onGpu, inMemory, weight } = this.#index.placesOf(holding);
    this.#isOnGpu[source] = onGpu || (!isFirst && this.#isOnGpu[source] === 1) ? 1 : 0;
    this.#isInMemory[source] = inMemory || (!isFirst && this.#isInMemory[source] === 1) ? 1 : 0;
    this.#blockWeight[source] = isFirst ? weight : Math.max(weight, this.#blockWeight[source]!);
  }

  /** Counts block `i` for those of `#detailed` that have it; the others have come to their end. */
  #settle(i: number): void {
    const detailed = this.#detailed;
    let left = 0;
    for (let at = 0; at < this.#detailedCount; at++) {
      const source = detailed[at]!;
      if (this.known[source] !== i + 1) continue;
      if (this.#isOnGpu[source] === 1 && this.#gpu[source] === i) this.#gpu[source] = i + 1;
      if (this.#isInMemory[source] === 1 && this.#memory[source] === i) this.#memory[source] = i + 1;
      this.#weight[source]! += this.#blockWeight[source]!;
      detailed[left++] = source;
    }
    this.#detailedCount = left;
  }
}

function forEachBit(bits: Uint32Array, words: number, visit: (number: number) => void): void {
  for (let word = 0; word < words; word++) {
    for (let left = bits[word]!; left !== 0; left &= left - 1) {
      visit(32 * word + 31 - Math.clz32(left & -left));
    }
  }
}
