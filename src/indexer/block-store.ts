import type { PackedBatch, PackedEvent } from "../events/packed-batch.ts";
import { type BlockHasher, hashOf } from "./block-hasher.ts";
import { extraKey, extraKeysOf, loraOf, rootKey } from "./block-identity.ts";
import type { Context } from "./context.ts";
import type { HolderIndex } from "./holder-index.ts";
import { proofOf } from "./holdings.ts";
import type { BlockSource } from "./indexer.ts";
import { type AnnouncedBlock, placeOnly } from "./orphans.ts";
import { type Place, placeOf } from "./places.ts";
import type { Source } from "./sources.ts";

// Where the words of a hash stand in the scratch words of a step: of the block, of what it chains on, of its extra keys.
const BLOCK = 0;
const PARENT = 2;
const EXTRA = 4;

/** So many blocks of an event are asked of the memory together, before they are stored. */
const TOUCHED_AHEAD = 32;
/** And so many are chained: a broken event may need that anew with each block. */
const CHAINED_AHEAD = 128;

/** Puts the blocks of `BlockStored` events where they belong: into the index, or aside. */
export class BlockStore {
  readonly #index: HolderIndex;
  readonly #hasher: BlockHasher;
  readonly #words = new Int32Array(6);
  // Of the blocks of an event: local hashes, and up to a number chained ones, as long as each comes after the one before it.
  #locals = new Int32Array(256);
  #chained = new Int32Array(256);
  #chainedTo = 0;
  /** What the next block of the same event chains on: the block before it, 0 where it is not held. */
  #previous = 0;
  /** Parents before children. */
  readonly #mentioned: number[] = [];
  #mentions = 0;
  /** Never read: see `HashTable.touch`. */
  #touched = 0;
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
    const count = blocksWithTokens(event);
    this.#hashLocals(batch, event, count);
    for (let i = 0; i < count; i++) {
      if (i % TOUCHED_AHEAD === 0) this.#touchNames(source, batch, event, i, count);
      this.#storeBlock(source, context, batch, event, i, count);
    }
    for (let i = count; i < event.hashCount; i++) {
      this.#storePlace(source, event, batch.hashes, 2 * (event.hashStart + i));
    }
    this.#index.mention(this.#mentioned, this.#mentions);
    this.#index.settle(context);
    if (source.lastContext !== context || !context.isKept) source.lastContext = context.isKept ? context : undefined;
    this.#index.settleOrphans(source);
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

  #hashLocals(batch: PackedBatch, event: PackedEvent, count: number): void {
    if (2 * count > this.#locals.length) {
      this.#locals = new Int32Array(4 * count);
      this.#chained = new Int32Array(4 * count);
    }
    this.#chainedTo = 0;
    const { blockSize, tokenStart } = event;
    if (event.extraKeys === null) {
      this.#hasher.locals(batch.tokens, tokenStart, blockSize, count, this.#locals, 0);
      return;
    }
    const words = this.#words;
    for (let i = 0; i < count; i++) {
      const start = tokenStart + i * blockSize;
      this.#hasher.extra(extraKey(extraKeysOf(event, i), i === 0 && !event.hasParent), words, EXTRA);
      this.#hasher.local(batch.tokens, start, start + blockSize, words[EXTRA]!, words[EXTRA + 1]!, this.#locals, 2 * i);
    }
  }

  /** Chains some blocks from number `i` on, the first one on what stands as the parent. */
  #chainFrom(context: Context, i: number, count: number): void {
    const chained = this.#chained;
    const to = Math.min(count, i + CHAINED_AHEAD);
    for (let at = 2 * i; at < 2 * to; at++) chained[at] = this.#locals[at]!;
    this.#hasher.chain(this.#words[PARENT]!, this.#words[PARENT + 1]!, chained, 2 * i, to - i);
    this.#chainedTo = to;
    this.#touchBlocks(context, i, to);
  }

  #touchNames(source: Source, { hashes }: PackedBatch, event: PackedEvent, from: number, count: number): void {
    const first = 2 * event.hashStart;
    for (let i = from; i < Math.min(count, from + TOUCHED_AHEAD); i++) {
      this.#touched ^= source.names.touch(event.blockSize, hashes[first + 2 * i]! | 0, hashes[first + 2 * i + 1]! | 0);
    }
  }

  #touchBlocks(context: Context, from: number, count: number): void {
    for (let i = from; i < Math.min(count, from + TOUCHED_AHEAD); i++) {
      this.#touched ^= context.touch(this.#chained[2 * i]!, this.#chained[2 * i + 1]!);
    }
  }

  #storeBlock(
    source: Source,
    context: Context,
    batch: PackedBatch,
    event: PackedEvent,
    i: number,
    count: number,
  ): void {
    const index = this.#index;
    const words = this.#words;
    const { hashes } = batch;
    const at = 2 * (event.hashStart + i);
    const low = hashes[at]! | 0;
    const high = hashes[at + 1]! | 0;
    const hasParent = i > 0 || event.hasParent;
    const parentLow = hasParent ? hashes[at - 2]! | 0 : 0;
    const parentHigh = hasParent ? hashes[at - 1]! | 0 : 0;
    const localLow = this.#locals[2 * i]!;
    const localHigh = this.#locals[2 * i + 1]!;
    const proof = proofOf(hasParent, parentLow, parentHigh, localLow, localHigh);
    const isPlaced = hasParent
      ? this.#isAfterParent(source, context, parentLow, parentHigh, i, count)
      : this.#isFirst(context, event, count);
    if (isPlaced) {
      words[BLOCK] = this.#chained[2 * i]!;
      words[BLOCK + 1] = this.#chained[2 * i + 1]!;
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
      parentLow,
      parentHigh,
      localLow,
      localHigh,
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

  /** The first block of a prompt is in its place anyway. */
  #isFirst(context: Context, event: PackedEvent, count: number): boolean {
    const keys = event.extraKeys === null ? null : extraKeysOf(event, 0);
    this.#hasher.root(rootKey(keys, event.cacheSalt), this.#words, PARENT);
    this.#chainFrom(context, 0, count);
    return true;
  }

  /** Whether the source holds what comes before block `i`; then its hash is chained on that. */
  #isAfterParent(
    source: Source,
    context: Context,
    parentLow: number,
    parentHigh: number,
    i: number,
    count: number,
  ): boolean {
    const words = this.#words;
    const chained = this.#chained;
    const parent =
      this.#previous === 0 ? this.#findParent(source, context, parentLow, parentHigh, i === 0) : this.#previous;
    if (parent === 0) return false;
    const { blocks } = this.#index;
    words[PARENT] = blocks.low(parent);
    words[PARENT + 1] = blocks.high(parent);
    const follows = i > 0 && words[PARENT] === chained[2 * i - 2] && words[PARENT + 1] === chained[2 * i - 1];
    if (i >= this.#chainedTo || !follows) this.#chainFrom(context, i, count);
    else if (i % TOUCHED_AHEAD === 0) this.#touchBlocks(context, i, this.#chainedTo);
    return true;
  }

  /** What comes before the block; 0 if the source does not hold it in this context. */
  #findParent(source: Source, context: Context, low: number, high: number, isEventParent: boolean): number {
    const { blocks, holdings } = this.#index;
    const holding = this.#index.heldLately(source, context.blockSize, low, high);
    if (holding === 0) return 0;
    const parent = holdings.block(holding);
    if (blocks.context(parent) !== context.number) return 0;
    if (isEventParent) this.#mentioned[this.#mentions++] = parent;
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
    const holding = this.#index.hold(source, context, low, high, proof, words[BLOCK]!, words[BLOCK + 1]!, places);
    if (holding === 0) return 0;
    source.lastHolding = holding;
    this.#previous = this.#index.holdings.block(holding);
    this.#mentioned[this.#mentions++] = this.#previous;
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
      if (holdings.source(parent) !== source.number) continue;
      const block = holdings.block(parent);
      this.#words[PARENT] = blocks.low(block);
      this.#words[PARENT + 1] = blocks.high(block);
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

  /** A known block, perhaps in one more place. */
  #renew(holding: number, source: Source): number {
    const index = this.#index;
    index.addPlace(holding, this.#place);
    source.lastHolding = holding;
    const block = index.holdings.block(holding);
    const { speculative } = index.contextOf(block);
    if (speculative.size > 0) speculative.drop(hashOf(index.blocks.low(block), index.blocks.high(block)), source.pod);
    this.#mentioned[this.#mentions++] = block;
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
