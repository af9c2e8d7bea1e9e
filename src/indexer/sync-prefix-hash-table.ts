import { KVEventSyncError } from "../errors.ts";
import type { BlockHash, BlockRemoved, BlockStored } from "../events/event.ts";
import type { AttentionGroup } from "./attention-groups.ts";
import { BlockHasher } from "./block-hash.ts";
import { canonicalLora } from "./block-identity.ts";
import { exportBlocks, importBlocks } from "./export.ts";
import { HolderIndex } from "./holder-index.ts";
import type {
  BlockSource,
  ExportedBlock,
  HeldBlock,
  IndexStats,
  Lora,
  PodMatch,
  PrefixIndexer,
  PromptIdentity,
  SourceStats,
} from "./indexer.ts";
import { matchBlocks } from "./match.ts";
import { type Place, placeName, placeOf, removePlace } from "./places.ts";
import { extraOf, type Prompt, rootOf } from "./prompt-chain.ts";
import type { Source } from "./sources.ts";
import { storeBlocks } from "./store-blocks.ts";
import { resolveTableOptions, type SyncPrefixHashTableOptions } from "./table-options.ts";
import type { TierWeights } from "./tiers.ts";

export type { SyncPrefixHashTableOptions } from "./table-options.ts";

/** Measured on Node 20 with blocks of 16 tokens: a block, one more holder of it, and one that waits. */
const BLOCK_BYTES = 350;
const HOLDER_BYTES = 370;
const ORPHAN_BYTES = 580;

/**
 * The prefix index in plain maps. A block's identity is its context (model, adapter, block size), and in the chained
 * hash all tokens and extra keys up to its end and the salt. It is held by a source in a set of places; a removal takes
 * out one place of one source.
 *
 * A block whose parent the source does not hold is kept aside and indexed when the parent is: never at the root. One
 * that is indexed already stays, even if its parent goes; it just cannot be reached until the parent is back. Where an
 * engine gives a known hash to another block, the later event is right and the earlier one forgotten.
 *
 * Beliefs (`addPrefix`) add to `PodMatch.matchedBlocks`; `RankMatch` has only what events said, so that a pod can be
 * listed with fewer blocks on each rank, or with no ranks.
 */
export class SyncPrefixHashTable implements PrefixIndexer {
  readonly #index: HolderIndex;
  #seed: bigint;
  readonly #tierWeights: TierWeights;
  #hasher: BlockHasher;

  /** Throws `ConfigurationError` for a bound that is not a whole number from 1, or a negative time. */
  constructor(options: SyncPrefixHashTableOptions = {}) {
    const resolved = resolveTableOptions(options);
    this.#index = new HolderIndex(resolved);
    this.#tierWeights = resolved.tierWeights;
    this.#seed = resolved.seed;
    this.#hasher = new BlockHasher(resolved.seed);
  }

  processBlockStored(source: BlockSource, event: BlockStored): void {
    storeBlocks(this.#index, this.#hasher, source, event);
  }

  processBlockRemoved(source: BlockSource, event: BlockRemoved): void {
    const known = this.#index.sources.find(source);
    if (known !== undefined) {
      const place = placeOf(event);
      for (const hash of event.blockHashes) this.#removePlace(known, hash, place);
      this.#index.sources.settle(known);
    }
    this.#index.sweepNext();
  }

  processAllBlocksCleared(source: BlockSource): void {
    const { contexts, sources } = this.#index;
    for (const context of contexts.ofModel(source.model)) {
      context.speculative.dropPod(source.pod);
      contexts.dropIfEmpty(context);
    }
    const known = sources.find(source);
    if (known !== undefined) {
      for (const engineBlock of known.blocks.values()) this.#index.release(engineBlock);
      known.orphans.shrinkTo(0);
      sources.settle(known);
    }
    this.#index.sweepNext();
  }

  /** A pod that matches at several block sizes is listed once, with the most tokens, of equals with the smallest block. */
  matchPrefix(
    model: string,
    lora: Lora,
    tokens: Uint32Array | readonly number[],
    readyPods?: ReadonlySet<string>,
    identity: PromptIdentity = {},
  ): PodMatch[] {
    const prompt = this.#promptOf(tokens, identity);
    const request = { model, lora: canonicalLora(lora), prompt, readyPods, tierWeights: this.#tierWeights };
    const best = new Map<string, PodMatch>();
    for (const match of matchBlocks(this.#index, request)) {
      const other = best.get(match.pod);
      if (other === undefined || other.matchedTokens < match.matchedTokens) best.set(match.pod, match);
    }
    return [...best.values()].sort(
      (left, right) => right.matchedTokens - left.matchedTokens || (left.pod < right.pod ? -1 : 1),
    );
  }

  /** Throws `KVEventSyncError` with code `invalid-block-size`. */
  getPrefixHashes(
    _model: string,
    _lora: Lora,
    tokens: Uint32Array | readonly number[],
    blockSize: number,
    identity: PromptIdentity = {},
  ): BigUint64Array {
    checkBlockSize(blockSize);
    const prompt = this.#promptOf(tokens, identity);
    return this.#hasher.hashBlocks(prompt.tokens, blockSize, rootOf(prompt), (i) => extraOf(prompt, i));
  }

  /** Throws `KVEventSyncError` with code `invalid-block-size`. */
  addPrefix(
    model: string,
    lora: Lora,
    pod: string,
    prefixHashes: BigUint64Array,
    blockSize: number,
    ttlMs: number,
  ): void {
    checkBlockSize(blockSize);
    const context = this.#index.contexts.open(model, canonicalLora(lora), blockSize);
    const expiresAtMs = this.#index.now() + ttlMs;
    // From the end, so that what the bound drops first is the end of a prompt.
    for (let i = prefixHashes.length - 1; i >= 0; i--) context.speculative.add(prefixHashes[i]!, pod, expiresAtMs);
    this.#index.settle(context);
  }

  removePrefix(model: string, lora: Lora, pod: string): void {
    for (const context of this.#index.contexts.find(model, canonicalLora(lora))) {
      context.speculative.dropPod(pod);
      this.#index.contexts.dropIfEmpty(context);
    }
    this.#index.sweepNext();
  }

  /** Each engine hash once, with the places of all blocks it names (see `BlocksByHash`). */
  *heldBlocks(source: BlockSource): IterableIterator<HeldBlock> {
    const blocks = this.#index.sources.find(source)?.blocks;
    if (blocks === undefined) return;
    for (const engineBlock of blocks.values()) {
      const namesakes = blocks.all(engineBlock.hash).filter(({ block }) => !this.#index.isExpired(block));
      if (namesakes[0] !== engineBlock) continue;
      const places = new Set(namesakes.flatMap((namesake) => namesake.places.map(placeName)));
      yield { blockHash: engineBlock.hash, places: [...places].sort() };
    }
  }

  /** Takes time in proportion to the number of contexts and sources. Beliefs are not counted as blocks. */
  stats(): IndexStats {
    const { contexts, sources, holders, evictedBlocks } = this.#index;
    let blocks = 0;
    for (const context of contexts.all()) blocks += context.blocks.size;
    let orphans = 0;
    for (const source of sources.all()) orphans += source.orphans.size;
    return { contexts: contexts.size, blocks, holders, orphans, sources: sources.size, evictedBlocks };
  }

  *sourceStats(): IterableIterator<SourceStats> {
    for (const { model, pod, rank, blocks, orphans } of this.#index.sources.all()) {
      const estimatedBytes = blocks.size * HOLDER_BYTES + orphans.size * ORPHAN_BYTES;
      yield { model, pod, rank, blocks: blocks.size, orphans: orphans.size, estimatedBytes };
    }
  }

  get estimatedBytes(): number {
    const { blocks, holders, orphans } = this.stats();
    return blocks * BLOCK_BYTES + holders * HOLDER_BYTES + orphans * ORPHAN_BYTES;
  }

  get seed(): bigint {
    return this.#seed;
  }

  reseed(seed: bigint): void {
    const { contexts, sources } = this.#index;
    if (contexts.size > 0 || sources.size > 0) {
      throw new KVEventSyncError("not-empty", "index: has blocks of another seed; take a new index, or clear this one");
    }
    this.#seed = BigInt.asUintN(64, seed);
    this.#hasher = new BlockHasher(this.#seed);
  }

  exportSource(source: BlockSource): IterableIterator<ExportedBlock> {
    return exportBlocks(this.#index, source);
  }

  exportGroups(source: BlockSource): readonly AttentionGroup[] {
    return [...(this.#index.sources.find(source)?.groups.values() ?? [])];
  }

  importSource(source: BlockSource, blocks: Iterable<ExportedBlock>, groups: readonly AttentionGroup[] = []): void {
    importBlocks(this.#index, source, blocks, groups);
  }

  reveal(source: BlockSource): void {
    const known = this.#index.sources.find(source);
    if (known !== undefined) known.isHidden = false;
  }

  #promptOf(tokens: Uint32Array | readonly number[], identity: PromptIdentity): Prompt {
    const array = tokens instanceof Uint32Array ? tokens : Uint32Array.from(tokens);
    return { tokens: array, hasher: this.#hasher, identity };
  }

  #removePlace(source: Source, hash: BlockHash, place: Place): void {
    for (const engineBlock of source.blocks.all(hash)) {
      const { block, places } = engineBlock;
      removePlace(places, place);
      if (places.length > 0) continue;
      block.context.speculative.drop(block.hash, source.pod);
      this.#index.release(engineBlock);
    }
    for (const orphan of source.orphans.all(hash)) {
      removePlace(orphan.places, place);
      if (orphan.places.length === 0) source.orphans.remove(orphan);
    }
  }
}

function checkBlockSize(blockSize: number): void {
  if (Number.isInteger(blockSize) && blockSize >= 1) return;
  throw new KVEventSyncError("invalid-block-size", `blockSize is ${blockSize}: use a whole number of tokens from 1`);
}
