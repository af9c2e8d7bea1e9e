/**
 * KV-cache events as an engine publishes them (vLLM `vllm/distributed/kv_events.py`), under the wire's names in
 * camelCase. What the wire omits is `null` here. Values are kept as sent; meaning is given by whoever folds them.
 */
export type KVEvent = BlockStored | BlockRemoved | AllBlocksCleared;

/**
 * A block hash as the engine names it, unsigned 64 bits. Signed integers are taken modulo 2^64; a hash of 8 bytes is
 * big-endian; of a SHA-256 (32 bytes) the last 8 count, as in vLLM's own integer form. A name within one engine
 * process only: engines seed their hashes differently.
 */
export type BlockHash = bigint;

/** One value of an `extra_keys` entry: what MessagePack can hold. */
export type ExtraKey = unknown;

/** Consecutive full blocks are now in the cache; each one's parent is the one before it, the first one's is `parentBlockHash`. */
export interface BlockStored {
  readonly type: "BlockStored";
  readonly blockHashes: readonly BlockHash[];
  /** `null`: the first block starts a prompt. */
  readonly parentBlockHash: BlockHash | null;
  /** `blockHashes.length × blockSize` ids; empty where a tier announces known blocks without their tokens. */
  readonly tokenIds: Uint32Array;
  /** Tokens per block. May be 0 without tokens: vLLM's offloading says so of blocks it knows by hash alone. */
  readonly blockSize: number;
  readonly loraId: number | null;
  readonly loraName: string | null;
  /** Tier as sent (`GPU`, `cpu`, `disk`, …); `null` means GPU. */
  readonly medium: string | null;
  /** One entry per block: what else went into the block's hash (multimodal ids, LoRA name, salt), or `null`. */
  readonly extraKeys: readonly (readonly ExtraKey[] | null)[] | null;
  /** Attention group of a hybrid model. */
  readonly groupIdx: number | null;
  readonly kvCacheSpecKind: string | null;
  /** Tokens. */
  readonly kvCacheSpecSlidingWindow: number | null;
  /** SGLang's metadata. */
  readonly cacheSalt: string | null;
}

/** These blocks left one tier (and, for hybrid models, one group; without a group: all groups of that tier). */
export interface BlockRemoved {
  readonly type: "BlockRemoved";
  readonly blockHashes: readonly BlockHash[];
  readonly medium: string | null;
  readonly groupIdx: number | null;
}

/** The engine dropped its whole cache. */
export interface AllBlocksCleared {
  readonly type: "AllBlocksCleared";
}

/** What one message carries. */
export interface EventBatch {
  /** Seconds since the epoch, by the engine's clock. */
  readonly ts: number;
  readonly events: readonly KVEvent[];
  readonly dataParallelRank: number | null;
}

/** The tier that a `medium` names: lower case, `gpu` when not said. An unknown name is its own tier. */
export function tierOf(medium: string | null): string {
  return medium === null || medium === "" ? "gpu" : medium.toLowerCase();
}
