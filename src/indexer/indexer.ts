import type { BlockHash, BlockRemoved, BlockStored } from "../events/event.ts";

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

export interface IndexStats {
  readonly contexts: number;
  /** Distinct blocks over all contexts. */
  readonly blocks: number;
  /** (block, source) pairs. */
  readonly holders: number;
  /** Blocks kept aside because their parent, or their tokens, are not known. */
  readonly orphans: number;
  readonly sources: number;
  /** Blocks dropped to stay within the bounds, since the start. */
  readonly evictedBlocks: number;
}

/**
 * Which source holds which blocks: the fold of the events given to it. What is not known is never claimed. Nothing
 * here throws on any event that the decoder lets through.
 */
export interface PrefixIndexer {
  processBlockStored(source: BlockSource, event: BlockStored): void;
  processBlockRemoved(source: BlockSource, event: BlockRemoved): void;
  /** Also used where a source restarted, lost events or went away: nothing of it is left afterwards. */
  processAllBlocksCleared(source: BlockSource): void;

  /** Best first, ties by pod name. `readyPods` limits the answer to these pods. */
  matchPrefix(
    model: string,
    lora: Lora,
    tokens: Uint32Array | readonly number[],
    readyPods?: ReadonlySet<string>,
    identity?: PromptIdentity,
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
}
