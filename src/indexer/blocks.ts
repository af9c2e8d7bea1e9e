import type { BlockRun } from "./block-run.ts";
import type { Context } from "./context.ts";
import type { MemoryRange } from "./growing-memory.ts";
import { Records } from "./records.ts";
import type { WasmRecords } from "./wasm-records.ts";

/** Bits of a block's number in a holding. */
export const BLOCK_BITS = 26;

// Words of a block's record, after the two of its chained hash.
const CONTEXT = 2;
const HOLDERS = 3;
const NEWER = 4;
const OLDER = 5;
const EPOCH = 6;
const WORDS = 7;
// Only where blocks expire: milliseconds, low word first.
const MENTIONED_AT = 7;
const WORDS_WITH_TIME = 9;

/** So many mentions share an epoch: 30 bits then count a hundred thousand mentions a second for years. */
const MENTIONS_PER_EPOCH = 8192;

// In the word of the epoch: see `isLikeBefore` and `follows`.
const LIKE_BEFORE = 0x8000_0000 | 0;
const FOLLOWS = 0x4000_0000;
const FLAGS = LIKE_BEFORE | FOLLOWS;
const EPOCH_MASK = ~FLAGS;

/** After `listAll` one part of so many of the blocks has to come anew before any follows again. */
const LISTED_SHARE = 16;

/**
 * The blocks of all contexts. A block is a number, and in its context's list by last mention as long as it is in use. Who
 * holds it is for `Holders` to say.
 *
 * A block that follows is found through its parent, the block of the record before: in use, of the same context, and what
 * it was chained on. All others that are in use are in their context's table. So whoever looks for a block has to know the
 * one before it in its prompt: it has the record behind that, or is in the table, or is not there.
 */
export class Blocks {
  readonly records: Records;
  readonly #expires: boolean;
  #following = 0;
  /** So many new ones do not follow: see `listAll`. */
  #listed = 0;
  #epoch = 0;
  #mentions = 0;

  /** `home`: see `GrowingMemory`; of no use where blocks expire, which has other records. */
  constructor(expires: boolean, home?: () => MemoryRange | null) {
    this.#expires = expires;
    this.records = new Records(expires ? WORDS_WITH_TIME : WORDS, (1 << BLOCK_BITS) - 1, expires ? undefined : home);
  }

  get size(): number {
    return this.records.size;
  }

  /** How many follow. */
  get following(): number {
    return this.#following;
  }

  low(block: number): number {
    return this.records.data[this.records.at(block)]!;
  }

  high(block: number): number {
    return this.records.data[this.records.at(block) + 1]!;
  }

  /** The context's number; 0 where the block is in use no more. */
  context(block: number): number {
    return this.records.data[this.records.at(block) + CONTEXT]!;
  }

  /** Whether it is found through the block of the record before, and is in no table. */
  follows(block: number): boolean {
    return (this.records.data[this.records.at(block) + EPOCH]! & FOLLOWS) !== 0;
  }

  /** Whether this record is in use, as that of the block of this chained hash in the context of this number, which is not 0. */
  is(block: number, context: number, low: number, high: number): boolean {
    const words = this.records.data;
    const at = this.records.at(block);
    return at < words.length && words[at] === low && words[at + 1] === high && words[at + CONTEXT] === context;
  }

  /**
   * How many of the chained hashes from number `from` to before `to` are those of the blocks whose records follow on this
   * one, in the context of this number.
   */
  countFollowing(block: number, context: number, hashes: Int32Array, from: number, to: number): number {
    const { data: words, words: step } = this.records;
    const number = context | 0;
    let at = this.records.at(block);
    // As many as there are whole records behind this one.
    const end = Math.min(to, from + Math.floor((words.length - at) / step) - 1) | 0;
    let i = from | 0;
    for (; i < end; i++) {
      at = (at + step) | 0;
      const low = words[at]! ^ hashes[2 * i]!;
      const high = words[at + 1]! ^ hashes[2 * i + 1]!;
      if ((low | high | (words[at + CONTEXT]! ^ number)) !== 0) break;
    }
    return i - from;
  }

  /** See `Holders`; 0 for nobody. */
  holders(block: number): number {
    return this.records.data[this.records.at(block) + HOLDERS]!;
  }

  setHolders(block: number, holders: number): void {
    this.records.data[this.records.at(block) + HOLDERS] = holders;
  }

  /** What `Holders` has noted of the block: that whoever holds the block of the record before holds it, too, and nobody else. */
  isLikeBefore(block: number): boolean {
    return this.records.data[this.records.at(block) + EPOCH]! < 0;
  }

  /** How many of the blocks from number `from`, which is not 0, to before `to` are that, and have the record behind that of the one before. */
  countLikeBefore(blocks: Int32Array, from: number, to: number): number {
    const words = this.records.data;
    let before = blocks[from - 1]!;
    for (let i = from; i < to; i++) {
      const block = blocks[i]!;
      if (block !== before + 1 || words[this.records.at(block) + EPOCH]! >= 0) return i - from;
      before = block;
    }
    return to - from;
  }

  /**
   * How many of the chained hashes of a prompt from number `from` to before `to` are those of the blocks whose records follow
   * on this one, which is that of the hash before, as far as those follow and are noted to be like the ones before. A chained
   * hash says all that is before it, so that one look at a hash tells of all up to there.
   */
  countLikeFollowing(
    block: number,
    hashes: Int32Array,
    from: number,
    to: number,
    wasm: WasmRecords | null = null,
  ): number {
    const { data: words, words: step } = this.records;
    const first = this.records.at(block);
    const like = wasm === null ? this.#countLike(first, to - from) : wasm.steps.countLike(block, to - from);
    // Of so many it is known that the hashes are theirs, and of so many that they are not.
    let some = 0;
    let tooMany = like + 1;
    let tried = like;
    while (tried > some) {
      const record = first + tried * step;
      const hash = 2 * (from + tried - 1);
      if (words[record] === hashes[hash] && words[record + 1] === hashes[hash + 1]) some = tried;
      else tooMany = tried;
      tried = (some + tooMany) >>> 1;
    }
    return some;
  }

  #countLike(first: number, most: number): number {
    const { data: words, words: step } = this.records;
    const end = Math.min(words.length - step - EPOCH, first + most * step);
    let at = first;
    while (at < end && (words[at + step + EPOCH]! & FLAGS) === FLAGS) at += step;
    return (at - first) / step;
  }

  setLikeBefore(block: number): void {
    this.records.data[this.records.at(block) + EPOCH]! |= LIKE_BEFORE;
  }

  /** To be called when anything about a block's holders changes: neither it nor the one behind it is like the one before. */
  setUnlike(block: number): void {
    const words = this.records.data;
    const at = this.records.at(block) + EPOCH;
    words[at]! &= ~LIKE_BEFORE;
    const next = at + this.records.words;
    if (next < words.length) words[next]! &= ~LIKE_BEFORE;
  }

  /** When it was last mentioned, counted in thousands of mentions of any block. */
  epoch(block: number): number {
    return this.records.data[this.records.at(block) + EPOCH]! & EPOCH_MASK;
  }

  /** Milliseconds. Only where blocks expire. */
  mentionedAtMs(block: number): number {
    const words = this.records.data;
    const at = this.records.at(block) + MENTIONED_AT;
    return (words[at]! >>> 0) + words[at + 1]! * 2 ** 32;
  }

  /**
   * A new block that nobody holds yet, chained on block `parent` of the context, 0 for none, as the context's newest, or as
   * the next older one than `newer`, if that is not 0 and a block of the context; 0 where there is no number left.
   */
  create(context: Context, low: number, high: number, parent: number, newer: number, nowMs: number): number {
    const block = this.records.take();
    if (block === 0) return 0;
    const words = this.records.data;
    const at = this.records.at(block);
    words[at] = low;
    words[at + 1] = high;
    words[at + CONTEXT] = context.number;
    words[at + HOLDERS] = 0;
    words[at + EPOCH] = this.#epochOf(1);
    if (this.#mayFollow(1) && parent !== 0 && block === parent + 1) {
      words[at + EPOCH]! |= FOLLOWS;
      this.#following++;
    } else {
      context.table.add(low, high, block);
    }
    context.size++;
    this.#link(context, block, block, newer);
    if (this.#expires) setTime(words, at, nowMs);
    return block;
  }

  /**
   * New blocks for the chained hashes of a run from number `from` to before `to`, as `create` makes them: the first chained
   * on `parent`, and the next older one than that, likewise each other one and the one before. Each has the holding of the run
   * as its only one. There is room for all of them.
   */
  createAll(context: Context, run: BlockRun, from: number, to: number, parent: number): void {
    if (run.wasm !== null) {
      this.#createAllBy(run.wasm, context, run, from, to, parent);
      return;
    }
    const { hashes, blocks, holdings } = run;
    const { data: words, words: step } = this.records;
    const number = context.number | 0;
    const epoch = this.#epochOf(to - from) | 0;
    const mayFollow = this.#mayFollow(to - from);
    const first = from | 0;
    const end = to | 0;
    let before = parent | 0;
    // The first of those that are still to be put into the table.
    let listed = first;
    let following = 0;
    this.records.takeAll(blocks, from, to);
    for (let i = first; i < end; i++) {
      const block = blocks[i]!;
      const at = Math.imul(block, step);
      words[at] = hashes[2 * i]!;
      words[at + 1] = hashes[2 * i + 1]!;
      words[at + CONTEXT] = number;
      words[at + HOLDERS] = holdings[i]!;
      words[at + NEWER] = before;
      words[at + EPOCH] = epoch;
      if (i > first) words[Math.imul(before, step) + OLDER] = block;
      if (mayFollow && before !== 0 && block === before + 1) {
        words[at + EPOCH] = epoch | FOLLOWS;
        following++;
        if (listed < i) context.table.addAll(hashes, blocks, listed, i);
        listed = i + 1;
      }
      before = block;
    }
    this.#following += following;
    context.size += to - from;
    this.#link(context, blocks[from]!, before, parent);
    if (listed < to) context.table.addAll(hashes, blocks, listed, to);
  }

  #createAllBy(
    wasm: WasmRecords,
    context: Context,
    { hashes, blocks }: BlockRun,
    from: number,
    to: number,
    parent: number,
  ): void {
    const { records } = this;
    const count = to - from;
    const epoch = this.#epochOf(count);
    const mayFollow = this.#mayFollow(count) ? 1 : 0;
    const following = wasm.steps.createBlocks(
      from,
      to,
      parent,
      context.number,
      epoch,
      mayFollow,
      records.firstFree,
      records.firstNew,
    );
    records.tookAll(count, wasm.firstFree, wasm.firstNew);
    this.#following += following;
    context.size += count;
    this.#link(context, blocks[from]!, blocks[to - 1]!, parent);
    // As a rule all but the first follow.
    for (let i = from, left = count - following; left > 0; i++) {
      if (this.follows(blocks[i]!)) continue;
      let end = i + 1;
      while (end < to && !this.follows(blocks[end]!)) end++;
      context.table.addAll(hashes, blocks, i, end);
      left -= end - i;
      i = end;
    }
  }

  free(context: Context, block: number): void {
    const words = this.records.data;
    const at = this.records.at(block);
    if (this.follows(block)) this.#following--;
    else context.table.remove(words[at]!, words[at + 1]!, block);
    words[at + EPOCH] = 0;
    const next = at + this.records.words;
    if (next < words.length && this.follows(block + 1)) this.#list(context, block + 1);
    this.#unlink(context, block, block);
    words[at + CONTEXT] = 0;
    context.size--;
    this.records.give(block);
  }

  /**
   * `free` for the blocks of a run from number `from` to before `to`, up to one that is of another context than this, or
   * may not be freed without anything being done with tables or the context's ends. Returns its number.
   */
  freeAll(wasm: WasmRecords, context: Context, from: number, to: number): number {
    const { records } = this;
    const end = wasm.steps.free(from, to, context.number, records.firstFree);
    records.tookAll(from - end, wasm.firstFree, records.firstNew);
    this.#following -= end - from;
    context.size -= end - from;
    return end;
  }

  /**
   * Puts all blocks that follow into their tables, for whoever knows hashes without what comes before them. That takes a
   * pass over all records, so that for some time none follows: who does it often finds nothing to do as a rule.
   */
  listAll(contextOf: (number: number) => Context): void {
    if (this.#following === 0) return;
    for (let block = 1; this.records.at(block) < this.records.data.length; block++) {
      if (this.follows(block)) this.#list(contextOf(this.context(block)), block);
    }
    this.#listed = this.size / LISTED_SHARE;
  }

  /**
   * Makes the blocks from number `from` to before `to` the newest of their context, the first of them the newest of all. Ends
   * at one that is of another context, and returns its number. 0 and the same one twice in a row are passed over. Those that
   * follow each other already, as those of a prompt do, move together. `wasm`: where the blocks are its column `mentioned`.
   */
  mention(
    context: Context,
    blocks: ArrayLike<number>,
    from: number,
    to: number,
    nowMs: number,
    wasm: WasmRecords | null = null,
  ): number {
    const { data: words, words: step } = this.records;
    const { number } = context;
    const epoch = this.#epochOf(to - from) | 0;
    const expires = this.#expires;
    // The last one that has its place, and the first and last of those that are to be moved behind it.
    let newer = 0;
    let first = 0;
    let last = 0;
    let i = from;
    for (; i < to; i++) {
      let block = blocks[i]!;
      if (block === 0 || block === last) continue;
      let at = block * step;
      if (words[at + CONTEXT] !== number) break;
      // One that was given its place a moment ago, and comes again, is not to be moved behind itself.
      if (last === 0 || block === newer || words[last * step + OLDER] !== block) {
        this.#move(context, first, last, newer);
        newer = last;
        first = block;
      }
      if (wasm !== null) {
        const more = wasm.steps.mention(i, to, newer, epoch) - 1;
        i += more;
        last = block + more;
        continue;
      }
      words[at + EPOCH] = (words[at + EPOCH]! & FLAGS) | epoch;
      if (expires) setTime(words, at, nowMs);
      // Nearly always it goes on in the next record, which is of the same context then.
      while (i + 1 < to && blocks[i + 1] === block + 1 && words[at + OLDER] === block + 1 && block + 1 !== newer) {
        i++;
        block++;
        at += step;
        words[at + EPOCH] = (words[at + EPOCH]! & FLAGS) | epoch;
        if (expires) setTime(words, at, nowMs);
      }
      last = block;
    }
    this.#move(context, first, last, newer);
    return i;
  }

  /** The epoch of so many mentions. */
  #epochOf(mentions: number): number {
    this.#mentions += mentions;
    if (this.#mentions >= MENTIONS_PER_EPOCH) {
      this.#mentions = 0;
      // At the end all are as old as each other, and the flags stay what they are.
      if (this.#epoch < EPOCH_MASK) this.#epoch++;
    }
    return this.#epoch;
  }

  /** Whether so many new blocks may follow. */
  #mayFollow(count: number): boolean {
    if (this.#listed <= 0) return true;
    this.#listed -= count;
    return false;
  }

  /** A block that follows does so no more. */
  #list(context: Context, block: number): void {
    const words = this.records.data;
    const at = this.records.at(block);
    words[at + EPOCH]! &= ~FOLLOWS;
    this.#following--;
    context.table.add(words[at]!, words[at + 1]!, block);
  }

  /** These, each the next older one than the one before, come behind `newer`, or before all where that is 0. None if they are 0. */
  #move(context: Context, first: number, last: number, newer: number): void {
    if (first === (newer === 0 ? context.newest : this.#older(newer)) || first === 0) return;
    this.#unlink(context, first, last);
    this.#link(context, first, last, newer);
  }

  /** As the next older ones than `newer`, or as the newest where that is 0. */
  #link(context: Context, first: number, last: number, newer: number): void {
    const words = this.records.data;
    const older = newer === 0 ? context.newest : this.#older(newer);
    words[this.records.at(first) + NEWER] = newer;
    words[this.records.at(last) + OLDER] = older;
    if (newer === 0) context.newest = first;
    else words[this.records.at(newer) + OLDER] = first;
    if (older === 0) context.oldest = last;
    else words[this.records.at(older) + NEWER] = last;
  }

  #unlink(context: Context, first: number, last: number): void {
    const words = this.records.data;
    const newer = words[this.records.at(first) + NEWER]!;
    const older = this.#older(last);
    if (newer === 0) context.newest = older;
    else words[this.records.at(newer) + OLDER] = older;
    if (older === 0) context.oldest = newer;
    else words[this.records.at(older) + NEWER] = newer;
  }

  #older(block: number): number {
    return this.records.data[this.records.at(block) + OLDER]!;
  }
}

function setTime(words: Int32Array, at: number, nowMs: number): void {
  words[at + MENTIONED_AT] = nowMs;
  words[at + MENTIONED_AT + 1] = nowMs / 2 ** 32;
}
