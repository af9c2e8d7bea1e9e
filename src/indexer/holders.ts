import type { BlockRun } from "./block-run.ts";
import type { Blocks } from "./blocks.ts";
import { Crowd } from "./crowd.ts";
import type { Holdings } from "./holdings.ts";
import type { PlaceSets } from "./place-sets.ts";

/** A block's word for its holders: the first holding of a list, or with this bit, so below 0, the number of a crowd. */
const CROWD = 0x8000_0000 | 0;

/** Longest list where there is memory for a crowd; each step of a walk through it is a look at a record elsewhere. */
const MAX_LIST = 24;
/** A crowd that has become smaller than this is a list again. */
const MIN_CROWD = 12;

/**
 * Who holds a block, and under which names: a list through the holdings, the newest first, or where there are many a
 * `Crowd`.
 */
export class Holders {
  readonly #blocks: Blocks;
  readonly #holdings: Holdings;
  readonly #sets: PlaceSets;
  readonly #mayGather: () => boolean;
  readonly #crowds: (Crowd | undefined)[] = [];
  readonly #freeCrowds: number[] = [];
  #crowdBytes = 0;

  /** `mayGather`: whether there is memory for one more crowd. */
  constructor(blocks: Blocks, holdings: Holdings, sets: PlaceSets, mayGather: () => boolean) {
    this.#blocks = blocks;
    this.#holdings = holdings;
    this.#sets = sets;
    this.#mayGather = mayGather;
  }

  /** Of the crowds. */
  get bytes(): number {
    return this.#crowdBytes;
  }

  /** Where many hold the block. */
  crowd(block: number): Crowd | undefined {
    const holders = this.#blocks.holders(block);
    return holders < 0 ? this.#crowds[holders & ~CROWD] : undefined;
  }

  /** The first holding of the list, where the block has no crowd; further ones by `next`. */
  list(block: number): number {
    return this.#blocks.holders(block);
  }

  /** Asks the memory for the first of the list; see `HashTable.touch`. */
  touch(block: number): number {
    const holders = this.#blocks.holders(block);
    return holders <= 0 ? 0 : this.#holdings.next(holders);
  }

  /** The source's newest name for the block; 0 where it does not hold it. Further ones: `nextName`. */
  name(block: number, source: number): number {
    const crowd = this.crowd(block);
    return crowd === undefined ? this.#sameFrom(this.list(block), source) : crowd.head(source);
  }

  /** The name that the same source gave to the block before this one; 0 for none. */
  nextName(block: number, source: number, holding: number): number {
    const next = this.#holdings.next(holding);
    return this.crowd(block) === undefined ? this.#sameFrom(next, source) : next;
  }

  /**
   * Whether block `i`, which is not the first, has the record behind that of the one before, and the same sources hold both,
   * this one plainly (see `Crowd`). That is noted until anything changes (`Blocks.isLikeBefore`): prompts are held from their
   * start on, so that nearly all blocks of one are alike.
   */
  learnLike(blocks: Int32Array, i: number): boolean {
    const block = blocks[i]!;
    if (block === 0 || block !== blocks[i - 1]! + 1 || !this.#isLike(block - 1, block)) return false;
    this.#blocks.setLikeBefore(block);
    return true;
  }

  /** `holding`: of no list yet. Returns how many names the source had for the block before. */
  add(block: number, source: number, holding: number): number {
    this.#blocks.setUnlike(block);
    const crowd = this.crowd(block);
    if (crowd !== undefined) {
      const names = this.#countNames(crowd.head(source));
      this.#change(crowd, () => crowd.add(source, holding));
      this.#mark(crowd, source);
      return names;
    }
    const head = this.list(block);
    this.#blocks.setHolders(block, holding);
    if (head === 0) return 0;
    this.#holdings.setNext(holding, head);
    let length = 1;
    let names = 0;
    for (let other = head; other !== 0; other = this.#holdings.next(other)) {
      length++;
      if (this.#holdings.source(other) === source) names++;
    }
    if (length > MAX_LIST && this.#mayGather()) this.#gather(block, holding);
    return names;
  }

  /**
   * `add` of a run's holdings from number `from` to before `to` to its blocks, as long as that takes nothing but a step in a
   * list: up to a block that has a crowd, or should get one, or that the source has another name for. Blocks that were made
   * for their holding have it already. Returns how many that are.
   */
  addAll({ blocks, holdings, wasm }: BlockRun, source: number, from: number, to: number): number {
    if (wasm !== null) return wasm.steps.addHolders(from, to, source, MAX_LIST);
    const end = to | 0;
    for (let i = from | 0; i < end; i++) {
      const holding = holdings[i]!;
      const head = this.#blocks.holders(blocks[i]!);
      if (head === holding) continue;
      if (head <= 0 || !this.#holdings.isShortWithout(head, source, MAX_LIST)) return i - from;
      this.#blocks.setUnlike(blocks[i]!);
      this.#blocks.setHolders(blocks[i]!, holding);
      this.#holdings.setNext(holding, head);
    }
    return to - from;
  }

  /** The source's oldest name for a block that it holds. */
  oldestName(block: number, source: number): number {
    let oldest = this.name(block, source);
    for (let name = oldest; name !== 0; name = this.nextName(block, source, name)) oldest = name;
    return oldest;
  }

  /** Returns whether the source has another name for the block. */
  remove(block: number, source: number, holding: number): boolean {
    this.#blocks.setUnlike(block);
    const crowd = this.crowd(block);
    if (crowd === undefined) return this.#unlist(block, source, holding);
    // Nothing of a crowd shrinks or grows here. Who holds the block plainly has no other name for it.
    const isLastName = ((crowd.plain[source >>> 5]! >>> (source & 31)) & 1) === 1;
    crowd.remove(source, holding);
    if (isLastName) crowd.mark(source, false, false);
    else this.#mark(crowd, source);
    const hasOther = crowd.head(source) !== 0;
    if (crowd.size < MIN_CROWD) this.#disperse(block);
    return hasOther;
  }

  /** To be called when the places of a holding have changed. */
  changed(block: number, source: number): void {
    this.#blocks.setUnlike(block);
    const crowd = this.crowd(block);
    if (crowd !== undefined) this.#mark(crowd, source);
  }

  /** All names of all sources. */
  all(block: number): number[] {
    const crowd = this.crowd(block);
    const found: number[] = [];
    for (const head of crowd === undefined ? [this.list(block)] : crowd.heads) {
      for (let holding = head; holding !== 0; holding = this.#holdings.next(holding)) found.push(holding);
    }
    return found;
  }

  /** Nobody holds the block any more; what its holdings say of each other is of no meaning then. */
  clear(block: number): void {
    this.#blocks.setUnlike(block);
    if (this.crowd(block) !== undefined) this.#dropCrowd(this.#blocks.holders(block) & ~CROWD);
    this.#blocks.setHolders(block, 0);
  }

  #isLike(left: number, right: number): boolean {
    const before = this.crowd(left);
    const crowd = this.crowd(right);
    if (before !== undefined || crowd !== undefined) return before !== undefined && crowd?.isLike(before) === true;
    let other = this.list(left);
    for (let holding = this.list(right); holding !== 0; holding = this.#holdings.next(holding)) {
      if (other === 0 || this.#holdings.source(other) !== this.#holdings.source(holding)) return false;
      if (!this.#isPlain(holding)) return false;
      other = this.#holdings.next(other);
    }
    return other === 0;
  }

  #isPlain(holding: number): boolean {
    return this.#sets.isPlain(holding, this.#holdings.places(holding));
  }

  #sameFrom(first: number, source: number): number {
    let holding = first;
    while (holding !== 0 && this.#holdings.source(holding) !== source) holding = this.#holdings.next(holding);
    return holding;
  }

  /** In a crowd, where a source's names follow each other. */
  #countNames(first: number): number {
    let names = 0;
    for (let name = first; name !== 0; name = this.#holdings.next(name)) names++;
    return names;
  }

  #unlist(block: number, source: number, holding: number): boolean {
    let before = 0;
    let hasOther = false;
    for (let other = this.list(block); other !== 0; other = this.#holdings.next(other)) {
      if (other !== holding) {
        if (this.#holdings.source(other) === source) hasOther = true;
        before = other;
      } else if (before === 0) {
        this.#blocks.setHolders(block, this.#holdings.next(holding));
      } else {
        this.#holdings.setNext(before, this.#holdings.next(holding));
      }
    }
    return hasOther;
  }

  /** From the oldest on, so that each source's names keep their order. */
  #gather(block: number, head: number): void {
    const crowd = new Crowd(this.#holdings);
    const listed: number[] = [];
    for (let holding = head; holding !== 0; holding = this.#holdings.next(holding)) listed.push(holding);
    for (const holding of listed.reverse()) crowd.add(this.#holdings.source(holding), holding);
    for (const first of crowd.heads) this.#mark(crowd, this.#holdings.source(first));
    const number = this.#freeCrowds.pop() ?? this.#crowds.length;
    this.#crowds[number] = crowd;
    this.#crowdBytes += crowd.bytes;
    this.#blocks.setHolders(block, CROWD | number);
  }

  #disperse(block: number): void {
    const names = this.all(block);
    if (names.length > MAX_LIST) return;
    this.#dropCrowd(this.#blocks.holders(block) & ~CROWD);
    let head = 0;
    for (const holding of names.reverse()) {
      this.#holdings.setNext(holding, head);
      head = holding;
    }
    this.#blocks.setHolders(block, head);
  }

  #dropCrowd(number: number): void {
    this.#crowdBytes -= this.#crowds[number]!.bytes;
    this.#crowds[number] = undefined;
    this.#freeCrowds.push(number);
  }

  #mark(crowd: Crowd, source: number): void {
    const head = crowd.head(source);
    const isPlain = head !== 0 && this.#holdings.next(head) === 0 && this.#isPlain(head);
    this.#change(crowd, () => crowd.mark(source, head !== 0, isPlain));
  }

  #change(crowd: Crowd, step: () => void): void {
    this.#crowdBytes -= crowd.bytes;
    step();
    this.#crowdBytes += crowd.bytes;
  }
}
