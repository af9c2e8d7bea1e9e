import { KVEventSyncError } from "../errors.ts";
import type { BlockRemoved, BlockStored } from "../events/event.ts";
import { PackedBatch, PackedType, packEvent } from "../events/packed-batch.ts";
import type { AttentionGroup } from "./attention-groups.ts";
import { SeededBlockHasher } from "./block-hash.ts";
import { type BlockHasher, hashOf } from "./block-hasher.ts";
import { canonicalLora } from "./block-identity.ts";
import { BlockRemoval, endOfRemovals } from "./block-removal.ts";
import { BlockStore } from "./block-store.ts";
import { AT_ONCE } from "./departures.ts";
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
import { Matcher } from "./match.ts";
import { placeName } from "./places.ts";
import { hashPrompt, type Prompt } from "./prompt-chain.ts";
import { type HashName, resolveTableOptions, type SyncPrefixHashTableOptions } from "./table-options.ts";
import type { TierWeights } from "./tiers.ts";
import { Xxh3BlockHasher } from "./xxh3-block-hasher.ts";

export type { SyncPrefixHashTableOptions } from "./table-options.ts";

/**
 * The prefix index in tables of 32-bit words (`HolderIndex`). A block's identity is its context (model, adapter, block size), and in the chained
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
  readonly #hash: HashName;
  #seed: bigint;
  readonly #tierWeights: TierWeights;
  readonly #matcher: Matcher;
  #hasher: BlockHasher;
  #store: BlockStore;
  readonly #removal: BlockRemoval;
  /** For events that come one by one. */
  readonly #batch = new PackedBatch();

  /** Throws `ConfigurationError` for a bound that is not a whole number from 1, or a negative time. */
  constructor(options: SyncPrefixHashTableOptions = {}) {
    const resolved = resolveTableOptions(options);
    this.#index = new HolderIndex(resolved);
    this.#tierWeights = resolved.tierWeights;
    this.#matcher = new Matcher(this.#index, resolved.tierWeights);
    this.#seed = resolved.seed;
    this.#hash = resolved.hash;
    this.#hasher = hasherOf(resolved.hash, resolved.seed);
    this.#store = new BlockStore(this.#index, this.#hasher);
    this.#removal = new BlockRemoval(this.#index);
  }

  processEvents(source: BlockSource, batch: PackedBatch, from: number = 0, to: number = batch.eventCount): void {
    for (let at = from; at < to; at++) {
      const event = batch.events[at]!;
      if (event.type === PackedType.stored) {
        this.#store.store(source, batch, event);
      } else if (event.type === PackedType.removed) {
        const end = endOfRemovals(batch, at, to);
        this.#removal.remove(source, batch, at, end);
        at = end - 1;
      } else {
        this.processAllBlocksCleared(source);
      }
    }
  }

  processBlockStored(source: BlockSource, event: BlockStored): void {
    this.#processOne(source, event);
  }

  processBlockRemoved(source: BlockSource, event: BlockRemoved): void {
    this.#processOne(source, event);
  }

  processAllBlocksCleared(source: BlockSource): void {
    const { contexts, sources } = this.#index;
    for (const context of contexts.ofModel(source.model)) {
      context.speculative.dropPod(source.pod);
      contexts.dropIfEmpty(context);
    }
    const known = sources.find(source);
    if (known !== undefined) this.#index.leave(known);
    this.#index.bounds.sweepNext();
  }

  /** A pod that matches at several block sizes is listed once, with the most tokens, of equals with the smallest block. */
  matchPrefix(
    model: string,
    lora: Lora,
    tokens: Uint32Array | readonly number[],
    readyPods?: ReadonlySet<string>,
    identity: PromptIdentity = {},
  ): PodMatch[] {
    return this.#match(model, lora, this.#promptOf(tokens, identity), readyPods);
  }

  /** Throws `KVEventSyncError` with code `invalid-block-size`. */
  matchHashes(
    model: string,
    lora: Lora,
    prefixHashes: BigUint64Array,
    blockSize: number,
    readyPods?: ReadonlySet<string>,
  ): PodMatch[] {
    checkBlockSize(blockSize);
    return this.#match(model, lora, { hashes: prefixHashes }, readyPods, blockSize);
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
    const hashes = new BigUint64Array(Math.floor(prompt.tokens.length / blockSize));
    hashPrompt(prompt, blockSize, 0, hashes.length, new Int32Array(hashes.buffer));
    return hashes;
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
    this.#index.begin();
    // From the end, so that what the bound drops first is the end of a prompt.
    for (let i = prefixHashes.length - 1; i >= 0; i--) context.speculative.add(prefixHashes[i]!, pod, expiresAtMs);
    this.#index.bounds.settle(context);
  }

  removePrefix(model: string, lora: Lora, pod: string): void {
    for (const context of this.#index.contexts.find(model, canonicalLora(lora))) {
      context.speculative.dropPod(pod);
      this.#index.contexts.dropIfEmpty(context);
    }
    this.#index.bounds.sweepNext();
  }

  /** Each engine hash once, with the places of all blocks it names (see `Names`). */
  *heldBlocks(source: BlockSource): IterableIterator<HeldBlock> {
    const index = this.#index;
    const known = index.sources.find(source);
    if (known === undefined) return;
    for (const holding of known.names.values()) {
      if (!known.isKept) return;
      const { holdings } = index;
      const [low, high] = [holdings.low(holding), holdings.high(holding)];
      const namesakes = known.names.blockSizes
        .map((blockSize) => known.names.find(blockSize, low, high))
        .filter((namesake) => namesake !== 0 && !index.isExpired(holdings.block(namesake)));
      if (namesakes[0] !== holding) continue;
      const places = new Set(namesakes.flatMap((namesake) => index.placesOf(namesake).places.map(placeName)));
      yield { blockHash: hashOf(low, high), places: [...places].sort() };
    }
  }

  /** Takes time in proportion to the number of contexts and sources. Beliefs are not counted as blocks. */
  stats(): IndexStats {
    const { contexts, sources, blocks, pairs, bounds } = this.#index;
    let orphans = 0;
    for (const source of sources.all()) orphans += source.orphans.size;
    return {
      contexts: contexts.size,
      blocks: blocks.size,
      holders: pairs,
      orphans,
      sources: sources.size,
      evictedBlocks: bounds.evictedBlocks,
    };
  }

  *sourceStats(): IterableIterator<SourceStats> {
    for (const source of this.#index.sources.all()) {
      const { model, pod, rank, names, orphans } = source;
      yield { model, pod, rank, blocks: names.size, orphans: orphans.size, bytes: this.#index.memory.bytesOf(source) };
    }
  }

  get bytes(): number {
    return this.#index.memory.bytes;
  }

  get seed(): bigint {
    return this.#seed;
  }

  reseed(seed: bigint): void {
    if (this.#hash === "xxh3" && BigInt.asUintN(64, seed) !== this.#seed) {
      const problem = `index: its hashes are of the seed ${this.#seed}, by which others know them, not of ${seed}`;
      throw new KVEventSyncError("fixed-seed", problem);
    }
    const { contexts, sources } = this.#index;
    while (this.#index.work(AT_ONCE));
    if (contexts.size > 0 || sources.size > 0) {
      throw new KVEventSyncError("not-empty", "index: has blocks of another seed; take a new index, or clear this one");
    }
    this.#seed = BigInt.asUintN(64, seed);
    this.#hasher = hasherOf(this.#hash, this.#seed);
    this.#store = new BlockStore(this.#index, this.#hasher);
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
    if (known !== undefined) this.#index.sources.setHidden(known, false);
  }

  #promptOf(
    tokens: Uint32Array | readonly number[],
    identity: PromptIdentity,
  ): Extract<Prompt, { readonly hasher: BlockHasher }> {
    const array = tokens instanceof Uint32Array ? tokens : Uint32Array.from(tokens);
    return { tokens: array, hasher: this.#hasher, identity };
  }

  #match(
    model: string,
    lora: Lora,
    prompt: Prompt,
    readyPods: ReadonlySet<string> | undefined,
    blockSize?: number,
  ): PodMatch[] {
    const request = { model, lora: canonicalLora(lora), prompt, blockSize, readyPods, tierWeights: this.#tierWeights };
    this.#index.work();
    const matches = this.#matcher.match(request);
    if (blockSize !== undefined || this.#index.contexts.size === 1) return matches;
    // The best comes first, so that what follows of the same pod is of another block size, and no better.
    const pods = new Set<string>();
    return matches.filter(({ pod }) => !pods.has(pod) && pods.add(pod));
  }

  #processOne(source: BlockSource, event: BlockStored | BlockRemoved): void {
    this.#batch.clear();
    packEvent(this.#batch, event);
    this.processEvents(source, this.#batch);
  }
}

function hasherOf(hash: HashName, seed: bigint): BlockHasher {
  return hash === "xxh3" ? new Xxh3BlockHasher(seed) : new SeededBlockHasher(seed);
}

function checkBlockSize(blockSize: number): void {
  if (Number.isInteger(blockSize) && blockSize >= 1) return;
  throw new KVEventSyncError("invalid-block-size", `blockSize is ${blockSize}: use a whole number of tokens from 1`);
}
