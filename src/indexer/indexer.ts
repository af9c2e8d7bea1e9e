import type { BlockHash, BlockRemoved, BlockStored } from "../events/event.ts";
import type { PackedBatch } from "../events/packed-batch.ts";
import type { AttentionGroup } from "./attention-groups.ts";
import type { Place } from "./places.ts";

export type { Place } from "./places.ts";

/** Whose blocks: one engine process, that is one data-parallel rank of one pod. Engine hashes mean something within it only. */
export interface BlockSource {
  readonly model: string;
  readonly pod: string;
  readonly rank: number;
  /** Adapter of the whole pod, −1 for none; an event's own `loraName` or `loraId` wins over it. */
  readonly loraId: number;
}

/** An adapter by name or by id; −1 is the base model. A name and an id never match each other: ids differ from engine to engine. */
export type Lora = string | number;

/** What else is part of a prompt's identity besides its tokens. */
export interface PromptIdentity {
  readonly cacheSalt?: string;
  /** One entry per block, as in `BlockStored.extraKeys`, without adapter and salt. */
  readonly extraKeys?: readonly (readonly unknown[] | null)[];
}

/**
 * How much of a prompt one rank holds, in blocks from the start of the prompt without a hole. Tiers are cumulative:
 * `gpu ≤ cpu ≤ disk = matchedBlocks`; tiers of other names count as disk.
 */
export interface RankMatch {
  readonly rank: number;
  readonly matchedBlocks: number;
  readonly gpuBlocks: number;
  readonly cpuBlocks: number;
  readonly diskBlocks: number;
  /** `matchedBlocks`, each weighed by its best tier (`tierWeights`); in a hybrid model by the group that has it worst. */
  readonly weightedBlocks: number;
  /**
   * Present where an attention group does not say how much of a prefix it needs: it was then taken to need all, and the
   * engine may find more.
   */
  readonly isLowerBound?: true;
}

/** How much of a prompt one pod holds; its best rank counts. Pods that hold nothing of it are not listed. */
export interface PodMatch {
  readonly pod: string;
  /** Tokens per block of this pod. */
  readonly blockSize: number;
  readonly matchedBlocks: number;
  readonly matchedTokens: number;
  /** Of the prompt's full blocks, 0 to 100, rounded down. */
  readonly matchPercent: number;
  readonly ranks: readonly RankMatch[];
}

/** One block that a source holds, for dumps and comparisons. */
export interface HeldBlock {
  readonly blockHash: BlockHash;
  /** `tier` or `tier/group`, sorted. */
  readonly places: readonly string[];
}

/**
 * All that the index knows of one block of one source, for another index of the same seed. Tokens are not part of it:
 * the index keeps none.
 */
export type ExportedBlock = ExportedHolding | ExportedOrphan;

interface ExportedName {
  readonly blockHash: BlockHash;
  readonly lora: Lora;
  /** Tokens; 0 where only the engine hash and places are known. */
  readonly blockSize: number;
  /** At least one. */
  readonly places: readonly Place[];
}

/** A block that the source holds. */
export interface ExportedHolding extends ExportedName {
  /** Of the block in its place, as in `getPrefixHashes`. */
  readonly chainedHash: bigint;
  /** 24 bits; see `proofOf` in `holdings.ts`. */
  readonly proof: number;
}

/** A block that waits for its parent, or for its tokens. */
export interface ExportedOrphan extends ExportedName {
  readonly chainedHash: null;
  /** The engine's name of the block before it; `null` at the start of a prompt, and where only a place is known. */
  readonly parentBlockHash: BlockHash | null;
  /** Of the block's own tokens and extra keys, wherever it stands. */
  readonly localHash: bigint;
}

export interface IndexStats {
  readonly contexts: number;
  /** Distinct blocks over all contexts, with those that only a source held that was cleared, until they are taken out. */
  readonly blocks: number;
  /** (block, source) pairs. */
  readonly holders: number;
  /** Blocks kept aside because their parent, or their tokens, are not known. */
  readonly orphans: number;
  readonly sources: number;
  /** Blocks dropped to stay within the bounds, since the start. */
  readonly evictedBlocks: number;
}

/** What one source takes of the index. */
export interface SourceStats {
  readonly model: string;
  readonly pod: string;
  readonly rank: number;
  /** Blocks that it holds, by its own names. */
  readonly blocks: number;
  /** Blocks of it that wait for their parent, or for their tokens. */
  readonly orphans: number;
  /** Memory for both, without what it shares with other sources. */
  readonly bytes: number;
}

/**
 * Which source holds which blocks: the fold of the events given to it. What is not known is never claimed. Nothing
 * here throws on any event that the decoder lets through.
 */
export interface PrefixIndexer {
  /** Applies the events of a batch from number `from` (0) to before `to` (all), one after the other, as the methods below do. */
  processEvents(source: BlockSource, batch: PackedBatch, from?: number, to?: number): void;
  processBlockStored(source: BlockSource, event: BlockStored): void;
  processBlockRemoved(source: BlockSource, event: BlockRemoved): void;
  /**
   * Also used where a source restarted, lost events or went away: nothing of it is held afterwards. What a large one held
   * takes its memory until it is taken out, some at a time, and before anything is dropped to stay within the bounds.
   */
  processAllBlocksCleared(source: BlockSource): void;

  /** Best first, ties by pod name. `readyPods` limits the answer to these pods. */
  matchPrefix(
    model: string,
    lora: Lora,
    tokens: Uint32Array | readonly number[],
    readyPods?: ReadonlySet<string>,
    identity?: PromptIdentity,
  ): PodMatch[];

  /**
   * The same for a prompt of which only the hashes are known: chained, one for each full block from its start, as
   * `getPrefixHashes` gives them. Only blocks of this size are looked at.
   */
  matchHashes(
    model: string,
    lora: Lora,
    prefixHashes: BigUint64Array,
    blockSize: number,
    readyPods?: ReadonlySet<string>,
  ): PodMatch[];

  /** Hash of each full block of the prompt, chained. Seeded per process: for `addPrefix` on the same instance only. */
  getPrefixHashes(
    model: string,
    lora: Lora,
    tokens: Uint32Array | readonly number[],
    blockSize: number,
    identity?: PromptIdentity,
  ): BigUint64Array;
  /** Believes for `ttlMs` that the pod will hold these blocks (a router just sent the prompt there); events overrule it. */
  addPrefix(
    model: string,
    lora: Lora,
    pod: string,
    prefixHashes: BigUint64Array,
    blockSize: number,
    ttlMs: number,
  ): void;
  /** Drops what `addPrefix` believed of this pod. Blocks that events reported stay. */
  removePrefix(model: string, lora: Lora, pod: string): void;

  /** What the index holds of this source, adopted and known by engine hash; orphans are not held. */
  heldBlocks(source: BlockSource): IterableIterator<HeldBlock>;
  stats(): IndexStats;
  /** Of each source that has anything, in time in proportion to their number. */
  sourceStats(): Iterable<SourceStats>;
  /** Memory that the index takes: exactly what its tables take, and what was measured for the little beside them. */
  readonly bytes: number;

  /** What seeds the hashes of blocks: 64 bits. Who knows it can make prompts that collide. */
  readonly seed: bigint;
  /**
   * Takes another seed. Throws KVEventSyncError `not-empty` where anything is indexed, waits or is believed, `fixed-seed`
   * where others know the hashes.
   */
  reseed(seed: bigint): void;
  /**
   * Everything that is known of this source: what is held, in any order, then what waits, the oldest first. The source
   * must not change before the end of the iteration.
   *
   * The contract with `importSource`: given to an index of the same seed in this order, in one call or in many, and
   * revealed, the source is there as it is here: the same `heldBlocks`, matches and orphans, now and after any further
   * events. Only which block the bounds drop first may differ.
   */
  exportSource(source: BlockSource): IterableIterator<ExportedBlock>;
  /** What this source has told of its attention groups. To be imported with its blocks. */
  exportGroups(source: BlockSource): readonly AttentionGroup[];
  /**
   * Takes over what another index of the same seed knew of this source. Nothing is answered from it before `reveal`;
   * `heldBlocks`, `stats` and all events see it at once. The bounds hold. The first call after events of other sources takes
   * time in proportion to their blocks. Throws KVEventSyncError `not-empty` where the source has told of blocks itself.
   */
  importSource(source: BlockSource, blocks: Iterable<ExportedBlock>, groups?: readonly AttentionGroup[]): void;
  /** From now on queries see what was imported of this source: its engine still holds it. */
  reveal(source: BlockSource): void;
}
