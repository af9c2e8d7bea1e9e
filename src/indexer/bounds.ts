import type { Context } from "./context.ts";
import { AT_ONCE } from "./departures.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { Source } from "./sources.ts";
import type { ResolvedTableOptions } from "./table-options.ts";

/** What one step may spend on dropping what has expired, so that no event waits for it. */
const SWEEP_BLOCKS = 64;

/**
 * Steps for room that give none, since others hold the same blocks, before an event takes the room of what is held: some
 * milliseconds.
 */
const MOST_IN_VAIN = 32;

/**
 * Blocks that may be evicted to make room for one, which itself is dropped where that gives none. Of a source or a context
 * that is new only one: where there are too many of them, they must not empty the index.
 */
const MOST_EVICTED = 64;

/** Keeps an index within its bounds: drops what has expired, and where there is too much what was mentioned least recently. */
export class Bounds {
  readonly #index: HolderIndex;
  readonly #options: ResolvedTableOptions;
  /** Dropped, or not taken in, for want of room. */
  evictedBlocks = 0;
  /** Steps for room that gave none, since the event began. */
  #inVain = 0;

  constructor(index: HolderIndex, options: ResolvedTableOptions) {
    this.#index = index;
    this.#options = options;
  }

  /** Begins an event. */
  begin(): void {
    this.#inVain = 0;
  }

  /** Ends a step that changed this context: the bounds hold again, and some of what has expired is gone. */
  settle(context: Context): void {
    const index = this.#index;
    // Nearly always nothing is to be done, a million times a second.
    if (!index.expires && !index.hasWork && index.contexts.isSettled(context, this.#options.maxPrefixesPerContext))
      return;
    const { maxContexts, maxPrefixesPerContext } = this.#options;
    while (context.size > maxPrefixesPerContext) if (!this.#workForRoom()) this.#evict(context.oldest);
    context.speculative.shrinkTo(maxPrefixesPerContext);
    index.contexts.settle(context);
    while (index.contexts.size > maxContexts) {
      if (!this.#workForRoom()) this.#evictContext(index.contexts.leastRecent!);
    }
    this.#sweep(context);
    this.sweepNext();
  }

  /** Ends a step that changed the source's orphans. */
  settleOrphans(source: Source): void {
    if (source.isKept && source.orphans.size === 0 && source.names.size > 0 && source.groups.size === 0) return;
    this.evictedBlocks += source.orphans.shrinkTo(this.#options.maxOrphansPerSource);
    this.#index.sources.settle(source);
  }

  /**
   * Drops some of what has expired in the context whose turn it is, so that one that nobody uses is emptied too, and some
   * of what sources that have left held.
   */
  sweepNext(): void {
    const index = this.#index;
    index.work();
    const context = index.contexts.next();
    if (context !== undefined) this.#sweep(context);
  }

  /**
   * False where there is no room for one more block. Each eviction frees a record of both kinds, so that few are enough as
   * a rule. What has left goes first.
   */
  makeRoom(source: Source, context: Context): boolean {
    const { memory } = this.#index;
    let left = source.isKept && context.isKept ? MOST_EVICTED : 1;
    while (!memory.mayHold(source, context)) {
      if (this.#workForRoom()) {
        if (memory.mayHold(source, context)) this.#inVain--;
        continue;
      }
      const oldest = this.#oldestBlock();
      if (oldest === 0 || left === 0) return false;
      this.#evict(oldest);
      left--;
    }
    return true;
  }

  /** Takes out some of what has left; false where nothing is left, or that was in vain too often. */
  #workForRoom(): boolean {
    if (this.#inVain >= MOST_IN_VAIN || !this.#index.work(AT_ONCE)) return false;
    this.#inVain++;
    return true;
  }

  /** The least recently mentioned of all contexts. */
  #oldestBlock(): number {
    const index = this.#index;
    let oldest = 0;
    for (const context of index.contexts.all()) {
      if (context.oldest === 0) continue;
      if (oldest === 0 || index.blocks.epoch(context.oldest) < index.blocks.epoch(oldest)) oldest = context.oldest;
    }
    return oldest;
  }

  #sweep(context: Context): void {
    const index = this.#index;
    if (context.speculative.size > 0) context.speculative.sweep(index.now(), SWEEP_BLOCKS);
    if (index.expires) {
      for (let dropped = 0; dropped < SWEEP_BLOCKS; dropped++) {
        if (context.oldest === 0 || !index.isExpired(context.oldest)) break;
        index.drop(context.oldest);
      }
    }
    index.contexts.dropIfEmpty(context);
  }

  #evict(block: number): void {
    this.#index.drop(block);
    this.evictedBlocks++;
  }

  #evictContext(context: Context): void {
    context.speculative.shrinkTo(0);
    while (context.oldest !== 0) this.#evict(context.oldest);
    this.#index.contexts.dropIfEmpty(context);
  }
}
