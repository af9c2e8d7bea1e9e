import type { PackedBatch, PackedEvent } from "../events/packed-batch.ts";
import { type BlockHasher, hashOf } from "./block-hasher.ts";
import { extraKey, extraKeysOf, loraOf, rootKey } from "./block-identity.ts";
import { BlockRun } from "./block-run.ts";
import type { Context } from "./context.ts";
import type { HolderIndex } from "./holder-index.ts";
import { proofOf } from "./holdings.ts";
import type { BlockSource } from "./indexer.ts";
import { type AnnouncedBlock, placeOnly } from "./orphans.ts";
import { type Place, placeOf } from "./places.ts";
import type { Source } from "./sources.ts";
import { WasmRecords } from "./wasm-records.ts";

// Where the words of a hash stand in the scratch words of a step: of the block, of what it chains on, of its extra keys.
const BLOCK = 0;
const PARENT = 2;
const EXTRA = 4;
/** And of the engine's name of what comes before the event's blocks. */
const NAME = 6;

/** So many blocks are chained and stored together: a broken event may need that anew with each block. */
const MAX_RUN = 128;
/** Fewer are stored sooner one by one. */
const MIN_RUN = 3;

/** Puts the blocks of `BlockStored` events where they belong: into the index, or aside. */
export class BlockStore {
  readonly #index: HolderIndex;
  readonly #hasher: BlockHasher;
  readonly #words = new Int32Array(8);
  /** The blocks of the event that is being stored; chained as long as each comes after the one before it, up to a number. */
  readonly #run = new BlockRun();
  #chainedTo = 0;
  /** Whether any of them had a name that meant something to the source. */
  #hasKnown = false;
  /** What the next block of the same event chains on: the block before it, 0 where it is not held. */
  #previous = 0;
  /** The block whose chained hash stands in the words as the parent's; 0 for the start of a prompt. It may be gone by now. */
  #parent = 0;
  /** Parents before children. */
  #mentioned = new Int32Array(256);
  #mentions = 0;
  /** Whether all blocks of the event were stored together. */
  #isOneRun = false;
  #medium: string | null = null;
  /** Of the event that is being stored; nearly always that of the one before it. */
  #place: Place = placeOf({ medium: null, groupIdx: null });
  #places: readonly Place[] = [this.#place];

  constructor(index: HolderIndex, hasher: BlockHasher) {
    this.#index = index;
    this.#hasher = hasher;
  }

  /** `event`: a `BlockStored` of the batch. */
  store(of: BlockSource, batch: PackedBatch, event: PackedEvent): void {
    const source = this.#index.sources.open(of);
    const context = this.#contextOf(of, source, event);
    this.#takePlace(event);
    if (event.groupIdx !== null) source.groups.learn(event);
    this.#index.begin();
    this.#mentions = 0;
    this.#previous = 0;
    this.#hasKnown = false;
    this.#isOneRun = false;
    const count = blocksWithTokens(event);
    this.#readBlocks(batch, event, count);
    for (let i = 0; i < count; ) {
      const stored = this.#storeRun(source, context, event, i, count);
      if (stored === 0) this.#storeBlock(source, context, event, i, count);
      i += Math.max(1, stored);
    }
    for (let i = count; i < event.hashCount; i++) {
      this.#storePlace(source, event, batch.hashes, 2 * (event.hashStart + i));
    }
    if (this.#isOneRun) this.#index.mentionRun(this.#run.wasm!, this.#mentions === 0 ? 0 : this.#mentioned[0]!, count);
    else this.#index.mention(this.#mentioned, this.#mentions);
    this.#index.bounds.settle(context);
    if (source.lastContext !== context || !context.isKept) source.lastContext = context.isKept ? context : undefined;
    this.#index.bounds.settleOrphans(source);
  }

  #contextOf(of: BlockSource, source: Source, event: PackedEvent): Context {
    const last = source.lastContext;
    const lora = loraOf(event, of.loraId);
    if (last?.isKept && last.blockSize === event.blockSize && last.lora === lora) return last;
    return this.#index.contexts.open(of.model, lora, event.blockSize);
  }

  #takePlace(event: PackedEvent): void {
    if (event.medium === this.#medium && event.groupIdx === this.#place.group) return;
    this.#medium = event.medium;
    this.#place = placeOf(event);
    this.#places = [this.#place];
  }

  /** Names, local hashes and proofs of the event's blocks. */
  #readBlocks(batch: PackedBatch, event: PackedEvent, count: number): void {
    this.#run.reserve(count, this.#index.wasm);
    this.#chainedTo = 0;
    this.#hashLocals(batch, event, count);
    const { names, locals, proofs, wasm } = this.#run;
    const { hashes } = batch;
    const start = (2 * event.hashStart) | 0;
    const words = (2 * count) | 0;
    const { hasParent } = event;
    let parentLow = hasParent ? hashes[start - 2]! | 0 : 0;
    let parentHigh = hasParent ? hashes[start - 1]! | 0 : 0;
    this.#words[NAME] = parentLow;
    this.#words[NAME + 1] = parentHigh;
    if (wasm !== null && count >= WasmRecords.fewestBlocks) {
      names.set(hashes.subarray(start, start + words));
      wasm.steps.prove(count, hasParent ? 1 : 0, parentLow, parentHigh);
      return;
    }
    for (let at = 0; at < words; at = (at + 2) | 0) {
      proofs[at >> 1] = proofOf(at > 0 || hasParent, parentLow, parentHigh, locals[at]!, locals[at + 1]!);
      parentLow = hashes[start + at]! | 0;
      parentHigh = hashes[start + at + 1]! | 0;
      names[at] = parentLow;
      names[at + 1] = parentHigh;
    }
  }

  #hashLocals(batch: PackedBatch, event: PackedEvent, count: number): void {
    const { locals } = this.#run;
    const { blockSize, tokenStart } = event;
    if (event.extraKeys === null) {
      this.#hasher.locals(batch.tokens, tokenStart, blockSize, count, locals, 0);
      return;
    }
    const words = this.#words;
    for (let i = 0; i < count; i++) {
      const start = tokenStart + i * blockSize;
      this.#hasher.extra(extraKey(extraKeysOf(event, i), i === 0 && !event.hasParent), words, EXTRA);
      this.#hasher.local(batch.tokens, start, start + blockSize, words[EXTRA]!, words[EXTRA + 1]!, locals, 2 * i);
    }
  }

  /** Chains some blocks from number `i` on, the first one on what stands as the parent. */
  #chainFrom(i: number, count: number): void {
    const to = Math.min(count, i + MAX_RUN);
    this.#hasher.chainRun(this.#run, i, to, this.#words[PARENT]!, this.#words[PARENT + 1]!);
    this.#chainedTo = to;
  }

  /**
   * Stores the blocks from number `i` on that are new to the source, as nearly all are, as long as there is nothing else to
   * be done with any of them. Returns how many; of what follows, the first is for `#storeBlock`.
   */
  #storeRun(source: Source, context: Context, event: PackedEvent, i: number, count: number): number {
    const index = this.#index;
    const run = this.#run;
    if (count - i < MIN_RUN || index.expires || context.speculative.size > 0) return 0;
    const room = index.roomFor(source, context, Math.min(count - i, MAX_RUN));
    if (room < MIN_RUN) return 0;
    const isFirst = i === 0 && !event.hasParent;
    if (isFirst ? !this.#isFirst(event, count) : !this.#isAfterParent(source, context, i, count)) return 0;
    const news = this.#countNews(source, context, i, Math.min(i + room, this.#chainedTo));
    if (news === 0) return 0;
    const held = index.holdAll(source, context, run, i, i + news, this.#places, this.#parent);
    this.#hasKnown ||= held < news;
    if (held === 0) return 0;
    if (run.wasm !== null && held === event.hashCount) this.#isOneRun = true;
    else this.#mentionAll(run.blocks, i, i + held);
    source.lastHolding = run.holdings[i + held - 1]!;
    this.#previous = run.blocks[i + held - 1]!;
    return held;
  }

  /**
   * How many of the blocks from number `i` to before `to` have names of which the source has nothing, and for which nothing
   * waits. Of an event without any other so far nearly all have: then only the first is asked for, and the rest is seen when
   * they are held.
   */
  #countNews({ names, orphans }: Source, { blockSize }: Context, i: number, to: number): number {
    const run = this.#run;
    if (orphans.size > 0) {
      if (names.countMissing(blockSize, run.names, i, i + 1) === 0) return 0;
      return names.countMissing(blockSize, run.names, i, i + orphans.countStrangers(run.names, i, to));
    }
    if (this.#hasKnown) return names.countMissing(blockSize, run.names, i, to);
    return names.find(blockSize, run.names[2 * i]!, run.names[2 * i + 1]!) === 0 ? to - i : 0;
  }

  #storeBlock(source: Source, context: Context, event: PackedEvent, i: number, count: number): void {
    const index = this.#index;
    const words = this.#words;
    const { names, locals, hashes, proofs } = this.#run;
    const low = names[2 * i]!;
    const high = names[2 * i + 1]!;
    const proof = proofs[i]!;
    const hasParent = i > 0 || event.hasParent;
    const isPlaced = hasParent ? this.#isAfterParent(source, context, i, count) : this.#isFirst(event, count);
    if (isPlaced) {
      words[BLOCK] = hashes[2 * i]!;
      words[BLOCK + 1] = hashes[2 * i + 1]!;
    }
    const current = index.held(source, event.blockSize, low, high);
    if (current !== 0 && this.#isSame(current, context, isPlaced, proof)) {
      index.holdings.setProof(current, proof);
      this.#previous = this.#renew(current, source);
      return;
    }
    if (current !== 0) index.release(source, current);
    this.#previous = 0;
    const waits = source.orphans.size > 0 || !isPlaced;
    if (!waits) {
      this.#hold(source, context, low, high, proof, this.#places);
      return;
    }
    const announced: AnnouncedBlock = {
      low,
      high,
      hasParent,
      parentLow: this.#parentName(i, 0),
      parentHigh: this.#parentName(i, 1),
      localLow: locals[2 * i]!,
      localHigh: locals[2 * i + 1]!,
      lora: context.lora,
      blockSize: context.blockSize,
    };
    if (!isPlaced) {
      index.wait(source, announced, this.#places);
      return;
    }
    const places = source.orphans.claim(announced, this.#places);
    const holding = this.#hold(source, context, low, high, proof, places);
    if (holding !== 0) this.#adoptChildrenOf(source, context, holding);
  }

  /** A word, 0 or 1, of the engine's name of what comes before block `i`; 0 where nothing does. */
  #parentName(i: number, word: number): number {
    return i === 0 ? this.#words[NAME + word]! : this.#run.names[2 * i - 2 + word]!;
  }

  /** The first block of a prompt is in its place anyway. */
  #isFirst(event: PackedEvent, count: number): boolean {
    const keys = event.extraKeys === null ? null : extraKeysOf(event, 0);
    this.#hasher.root(rootKey(keys, event.cacheSalt), this.#words, PARENT);
    this.#parent = 0;
    if (this.#chainedTo === 0) this.#chainFrom(0, count);
    return true;
  }

  /** Whether the source holds what comes before block `i`; then its hash is chained on that. */
  #isAfterParent(source: Source, context: Context, i: number, count: number): boolean {
    const words = this.#words;
    const { hashes } = this.#run;
    this.#parent =
      this.#previous === 0
        ? this.#findParent(source, context, this.#parentName(i, 0), this.#parentName(i, 1), i === 0)
        : this.#previous;
    if (this.#parent === 0) return false;
    const { blocks } = this.#index;
    words[PARENT] = blocks.low(this.#parent);
    words[PARENT + 1] = blocks.high(this.#parent);
    // The first one is asked for twice at most, with the same answer.
    const follows = i === 0 || (words[PARENT] === hashes[2 * i - 2] && words[PARENT + 1] === hashes[2 * i - 1]);
    if (i >= this.#chainedTo || !follows) this.#chainFrom(i, count);
    return true;
  }

  /** What comes before the block; 0 if the source does not hold it in this context. */
  #findParent(source: Source, context: Context, low: number, high: number, isEventParent: boolean): number {
    const { blocks, holdings } = this.#index;
    const holding = this.#index.heldLately(source, context.blockSize, low, high);
    if (holding === 0) return 0;
    const parent = holdings.block(holding);
    if (blocks.context(parent) !== context.number) return 0;
    if (isEventParent) this.#mention(parent);
    return parent;
  }

  /** Whether the event speaks of the block that is known by this engine hash. */
  #isSame(holding: number, context: Context, isPlaced: boolean, proof: number): boolean {
    const { blocks, holdings } = this.#index;
    const block = holdings.block(holding);
    if (blocks.context(block) !== context.number) return false;
    if (isPlaced) return blocks.low(block) === this.#words[BLOCK] && blocks.high(block) === this.#words[BLOCK + 1];
    // The parent is gone meanwhile, yet an engine hash says which one it was.
    return holdings.proof(holding) === proof;
  }

  /** The block whose chained hash stands in the words, under this name; 0 where there is no room for it. */
  #hold(source: Source, context: Context, low: number, high: number, proof: number, places: readonly Place[]): number {
    const words = this.#words;
    const [blockLow, blockHigh] = [words[BLOCK]!, words[BLOCK + 1]!];
    // What was held since the parent was found may have taken its place.
    const isThere = this.#index.blocks.is(this.#parent, context.number, words[PARENT]!, words[PARENT + 1]!);
    const parent = isThere ? this.#parent : 0;
    const holding = this.#index.hold(source, context, low, high, proof, blockLow, blockHigh, places, parent);
    if (holding === 0) return 0;
    source.lastHolding = holding;
    this.#previous = this.#index.holdings.block(holding);
    this.#mention(this.#previous);
    if (context.speculative.size > 0) context.speculative.drop(hashOf(words[BLOCK]!, words[BLOCK + 1]!), source.pod);
    return holding;
  }

  /** Indexes all that waited for this block, and what waited for that. */
  #adoptChildrenOf(source: Source, context: Context, adopter: number): void {
    const { blocks, holdings } = this.#index;
    const { orphans } = source;
    const parents = [adopter];
    for (let parent = parents.pop(); parent !== undefined && orphans.size > 0; parent = parents.pop()) {
      // To make room for the others it may have been evicted meanwhile.
      if (!holdings.isOf(parent, source.number)) continue;
      const block = holdings.block(parent);
      this.#words[PARENT] = blocks.low(block);
      this.#words[PARENT + 1] = blocks.high(block);
      this.#parent = block;
      let child = orphans.firstChild(holdings.low(parent), holdings.high(parent));
      while (child !== 0) {
        const next = orphans.records.next(child);
        const holding = orphans.isOf(child, context.blockSize, context.lora) ? this.#adopt(source, context, child) : 0;
        if (holding !== 0) parents.push(holding);
        child = next;
      }
    }
    // Names were given, and perhaps taken, since the block was stored.
    this.#previous = 0;
  }

  /** Indexes what waited for the block whose chained hash stands in the words as the parent's. */
  #adopt(source: Source, context: Context, child: number): number {
    const words = this.#words;
    const { records } = source.orphans;
    const localLow = records.localLow(child);
    const localHigh = records.localHigh(child);
    const proof = proofOf(true, records.parentLow(child), records.parentHigh(child), localLow, localHigh);
    words[BLOCK] = localLow;
    words[BLOCK + 1] = localHigh;
    this.#hasher.chain(words[PARENT]!, words[PARENT + 1]!, words, BLOCK, 1);
    const low = records.low(child);
    const high = records.high(child);
    const places = records.places(child);
    source.orphans.remove(child);
    return this.#hold(source, context, low, high, proof, places);
  }

  #mention(block: number): void {
    if (this.#mentions === this.#mentioned.length) this.#widenMentioned(2 * this.#mentions);
    this.#mentioned[this.#mentions++] = block;
  }

  #mentionAll(blocks: Int32Array, from: number, to: number): void {
    const mentions = this.#mentions + to - from;
    if (mentions > this.#mentioned.length) this.#widenMentioned(2 * mentions);
    this.#mentioned.set(blocks.subarray(from, to), this.#mentions);
    this.#mentions = mentions;
  }

  #widenMentioned(length: number): void {
    const longer = new Int32Array(length);
    longer.set(this.#mentioned);
    this.#mentioned = longer;
  }

  /** A known block, perhaps in one more place. */
  #renew(holding: number, source: Source): number {
    const index = this.#index;
    index.addPlace(holding, this.#place);
    source.lastHolding = holding;
    const block = index.holdings.block(holding);
    const { speculative } = index.contextOf(block);
    if (speculative.size > 0) speculative.drop(hashOf(index.blocks.low(block), index.blocks.high(block)), source.pod);
    this.#mention(block);
    return block;
  }

  /**
   * A block without its tokens. Its block size need not be the one it was stored with (vLLM's offloading counts larger
   * blocks): without a block of that size, the hash decides.
   */
  #storePlace(source: Source, { blockSize }: PackedEvent, hashes: Uint32Array, at: number): void {
    this.#previous = 0;
    const { orphans } = source;
    const low = hashes[at]! | 0;
    const high = hashes[at + 1]! | 0;
    const exact = this.#index.held(source, blockSize, low, high);
    if (exact !== 0) {
      this.#renew(exact, source);
      return;
    }
    const exactOrphan = orphans.get(blockSize, low, high);
    if (exactOrphan !== 0) {
      orphans.addPlace(exactOrphan, this.#place);
      return;
    }
    const held = this.#index.allHeld(source, low, high);
    const waiting = orphans.all(low, high);
    for (const holding of held) this.#renew(holding, source);
    for (const orphan of waiting) orphans.addPlace(orphan, this.#place);
    if (held.length + waiting.length === 0) this.#index.wait(source, placeOnly(low, high), this.#places);
  }
}

/** A broken event may bring fewer tokens than its blocks have; those without are treated as blocks without tokens. */
function blocksWithTokens({ blockSize, tokenCount, hashCount }: PackedEvent): number {
  return blockSize < 1 ? 0 : Math.min(hashCount, Math.floor(tokenCount / blockSize));
}
