import type { BlockHash } from "../events/event.ts";
import { Block, type Context, Contexts } from "./context.ts";
import type { EngineBlock } from "./engine-blocks.ts";
import type { AnnouncedBlock } from "./orphans.ts";
import type { Place } from "./places.ts";
import { type Source, Sources } from "./sources.ts";
import type { ResolvedTableOptions } from "./table-options.ts";

/** What one step may spend on dropping what has expired, so that no event waits for it. */
const SWEEP_BLOCKS = 64;

/** One name is normal; a broken engine must not make a block's list long, which every match reads. The oldest goes. */
const MAX_NAMES = 16;

/**
 * Blocks and their holders, found from both sides: by chained hash within a context, and by engine hash within a
 * source. Keeps the two sides equal, the bounds kept and no empty map behind; what events mean is not decided here.
 */
export class HolderIndex {
  readonly contexts: Contexts = new Contexts();
  readonly sources: Sources = new Sources();
  readonly #options: ResolvedTableOptions;
  /** Reading the clock for each block would cost as much as hashing it. */
  readonly #expires: boolean;
  #holders = 0;
  #evictedBlocks = 0;

  constructor(options: ResolvedTableOptions) {
    this.#options = options;
    this.#expires = options.entryTtlMs < Number.POSITIVE_INFINITY;
  }

  /** (block, source) pairs. */
  get holders(): number {
    return this.#holders;
  }

  get evictedBlocks(): number {
    return this.#evictedBlocks;
  }

  now(): number {
    return this.#options.clock.now();
  }

  /** A source's block by the source's name for it. */
  held(source: Source, blockSize: number, hash: BlockHash): EngineBlock | undefined {
    const engineBlock = source.blocks.get(blockSize, hash);
    if (engineBlock === undefined || !this.isExpired(engineBlock.block)) return engineBlock;
    this.drop(engineBlock.block);
    return undefined;
  }

  /** The same under every block size. */
  allHeld(source: Source, hash: BlockHash): EngineBlock[] {
    return source.blocks.all(hash).filter(({ block }) => {
      if (!this.isExpired(block)) return true;
      this.drop(block);
      return false;
    });
  }

  /** A block by its chained hash. */
  find(context: Context, hash: bigint): Block | undefined {
    const block = context.blocks.get(hash);
    if (block === undefined || !this.isExpired(block)) return block;
    this.drop(block);
    return undefined;
  }

  isExpired(block: Block): boolean {
    return this.#expires && this.now() - block.mentionedAtMs >= this.#options.entryTtlMs;
  }

  /** From now on the source holds this block, whose chained hash is `hash`, in these places (at least one). */
  hold(source: Source, context: Context, announced: AnnouncedBlock, hash: bigint, places: Place[]): EngineBlock {
    let block = this.find(context, hash);
    if (block === undefined) {
      block = new Block(context, hash, announced.local);
      context.blocks.set(hash, block);
    }
    this.#mention(block);
    const engineBlock: EngineBlock = { hash: announced.hash, parent: announced.parent, source, block, places };
    source.blocks.set(announced.blockSize, announced.hash, engineBlock);
    const names = block.holders.get(source);
    if (names === undefined) {
      block.holders.set(source, [engineBlock]);
      this.#holders++;
    } else {
      if (names.length === MAX_NAMES) this.release(names[0]!);
      names.push(engineBlock);
    }
    return engineBlock;
  }

  /** From now on the source holds nothing under this name. The source itself is settled by the caller. */
  release(engineBlock: EngineBlock): void {
    const { hash, source, block } = engineBlock;
    source.blocks.delete(block.context.blockSize, hash);
    const names = block.holders.get(source) ?? [];
    names.splice(names.indexOf(engineBlock), 1);
    if (names.length > 0) return;
    block.holders.delete(source);
    this.#holders--;
    if (block.holders.size === 0) this.#forget(block);
  }

  /** Nobody holds the block any more. */
  drop(block: Block): void {
    const { holders, context } = block;
    for (const [source, names] of holders) {
      for (const { hash } of names) source.blocks.delete(context.blockSize, hash);
      this.sources.settle(source);
    }
    this.#holders -= holders.size;
    holders.clear();
    this.#forget(block);
  }

  /** These blocks of one prompt, in its order, are in use. The deeper one counts as the older: without it, nothing else is lost. */
  mention(blocks: readonly Block[]): void {
    for (let i = blocks.length - 1; i >= 0; i--) {
      const block = blocks[i]!;
      if (block.context.recency.has(block)) this.#mention(block);
    }
  }

  /** Ends a step that changed this context: the bounds hold again, and some of what has expired is gone. */
  settle(context: Context): void {
    const { maxContexts, maxPrefixesPerContext } = this.#options;
    while (context.blocks.size > maxPrefixesPerContext) this.#evict(context.recency.oldest!);
    context.speculative.shrinkTo(maxPrefixesPerContext);
    this.contexts.settle(context);
    while (this.contexts.size > maxContexts) this.#evictContext(this.contexts.leastRecent!);
    this.#sweep(context);
    this.sweepNext();
  }

  /** Ends a step that changed the source's orphans. */
  settleOrphans(source: Source): void {
    this.#evictedBlocks += source.orphans.shrinkTo(this.#options.maxOrphansPerSource);
    this.sources.settle(source);
  }

  /** Drops some of what has expired in the context whose turn it is, so that one that nobody uses is emptied too. */
  sweepNext(): void {
    const context = this.contexts.next();
    if (context !== undefined) this.#sweep(context);
  }

  #sweep(context: Context): void {
    context.speculative.sweep(this.now(), SWEEP_BLOCKS);
    for (let dropped = 0; dropped < SWEEP_BLOCKS; dropped++) {
      const oldest = context.recency.oldest;
      if (oldest === undefined || !this.isExpired(oldest)) break;
      this.drop(oldest);
    }
    this.contexts.dropIfEmpty(context);
  }

  #evict(block: Block): void {
    this.drop(block);
    this.#evictedBlocks++;
  }

  #evictContext(context: Context): void {
    context.speculative.shrinkTo(0);
    for (const block of context.blocks.values()) this.#evict(block);
    this.contexts.dropIfEmpty(context);
  }

  #mention(block: Block): void {
    if (this.#expires) block.mentionedAtMs = this.now();
    block.context.recency.touch(block);
  }

  #forget(block: Block): void {
    const { context } = block;
    context.blocks.delete(block.hash);
    context.recency.remove(block);
    this.contexts.dropIfEmpty(context);
  }
}
