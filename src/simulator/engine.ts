import { ConfigurationError, KVEventSyncError } from "../errors.ts";
import type { BlockHash, BlockRemoved, BlockStored, KVEvent } from "../events/event.ts";
import { type Block, type BlockIdentity, blockHash, extraKeysOf, prefixTokens } from "./block.ts";
import { BlockTier } from "./block-tier.ts";

/** As vLLM. */
export const DEFAULT_BLOCK_SIZE = 16;
/** A small engine, so that a demo shows evictions. */
export const DEFAULT_CAPACITY_BLOCKS = 4_096;

export interface EngineOptions {
  /** Tokens per block. Default 16, as vLLM. */
  readonly blockSize?: number;
  /** Blocks that fit on the GPU. Default 4,096: a small engine, so that a demo shows evictions. */
  readonly capacityBlocks?: number;
  /** Blocks that fit into an offloading tier in the CPU's memory, to which every request's blocks are copied. Default 0: none. */
  readonly cpuCapacityBlocks?: number;
  /** Of the block hashes; a restarted process has another one. Default 0. */
  readonly hashSeed?: number;
}

export interface EngineRequest {
  readonly tokens: ArrayLike<number>;
  /** What the engine generates; cached block by block as it fills them. */
  readonly outputTokens?: ArrayLike<number>;
  readonly loraName?: string;
  readonly cacheSalt?: string;
}

export interface EngineResult {
  /** Tokens of the prompt that need not be computed; at least one always is. A multiple of the block size. */
  readonly cachedTokens: number;
  /** What the cache did, in order; empty for a request that found everything. */
  readonly events: readonly KVEvent[];
}

/** A block that an engine holds, with what an index ought to know of it. */
export interface PooledBlock {
  readonly blockHash: BlockHash;
  readonly parentBlockHash: BlockHash | null;
  /** Of this block alone. */
  readonly tokenIds: Uint32Array;
  readonly loraName: string | null;
  readonly cacheSalt: string | null;
  /** Where it lies: `gpu`, `cpu` or both, in this order. */
  readonly tiers: readonly string[];
  /** All tokens from the start of the prompt to the end of this block. */
  prefixTokens(): Uint32Array;
}

const CPU = "CPU";
const GPU = "GPU";

/**
 * The prefix cache of an engine, without a model: full blocks are named by a chain of hashes, found again by later
 * requests, and evicted in the order of their last use, tails first (vLLM v1, `vllm/v1/core/block_pool.py`). Requests
 * run one after the other. Pure: the same options and requests give the same events.
 *
 * Differs from vLLM in that a block is never held twice: a prompt that is cached whole computes its last block again
 * without storing it again.
 */
export class SimulatedEngine {
  readonly blockSize: number;
  readonly capacityBlocks: number;
  readonly cpuCapacityBlocks: number;
  readonly #hashSeed: number;
  readonly #gpu: BlockTier;
  readonly #cpu: BlockTier | undefined;

  /** @throws ConfigurationError `invalid-option` for a size or capacity that is no positive integer. */
  constructor(options: EngineOptions = {}) {
    this.blockSize = checkedInteger("blockSize", options.blockSize ?? DEFAULT_BLOCK_SIZE, 1);
    this.capacityBlocks = checkedInteger("capacityBlocks", options.capacityBlocks ?? DEFAULT_CAPACITY_BLOCKS, 1);
    this.cpuCapacityBlocks = checkedInteger("cpuCapacityBlocks", options.cpuCapacityBlocks ?? 0, 0);
    this.#hashSeed = options.hashSeed ?? 0;
    this.#gpu = new BlockTier(this.capacityBlocks);
    this.#cpu = this.cpuCapacityBlocks === 0 ? undefined : new BlockTier(this.cpuCapacityBlocks);
  }

  /**
   * Serves one request to its end.
   *
   * @throws KVEventSyncError `request-too-long` where its full blocks do not fit into a tier all at once.
   */
  run(request: EngineRequest): EngineResult {
    const chain = this.#chainOf(request);
    const promptBlocks = Math.floor(request.tokens.length / this.blockSize);
    const events: KVEvent[] = [];
    const held = this.#countHeld(chain);
    const reusable = Math.max(0, Math.ceil(request.tokens.length / this.blockSize) - 1);
    this.#store(chain.slice(0, promptBlocks), events);
    for (const block of chain.slice(promptBlocks)) this.#store([block], events);
    this.#gpu.release(chain);
    this.#offload(chain, events);
    return { cachedTokens: Math.min(held, reusable) * this.blockSize, events };
  }

  /** Drops the whole cache, as vLLM's `reset_prefix_cache` does. */
  reset(): readonly KVEvent[] {
    this.#gpu.clear();
    this.#cpu?.clear();
    return [{ type: "AllBlocksCleared" }];
  }

  /** What the engine holds now: the truth to compare an index with. A block's parent is always among them. */
  *pool(): IterableIterator<PooledBlock> {
    for (const block of this.#gpu.blocks())
      yield pooled(block, this.#cpu?.get(block.blockHash) ? ["gpu", "cpu"] : ["gpu"]);
    for (const block of this.#cpu?.blocks() ?? []) {
      if (this.#gpu.get(block.blockHash) === undefined) yield pooled(block, ["cpu"]);
    }
  }

  /** Full blocks of prompt and output; those that are held are the held ones themselves. */
  #chainOf(request: EngineRequest): readonly Block[] {
    const { tokens, outputTokens = [], loraName = null, cacheSalt = null } = request;
    const identity: BlockIdentity = { loraName, cacheSalt };
    const blocks = Math.floor((tokens.length + outputTokens.length) / this.blockSize);
    const least = Math.min(this.capacityBlocks, this.cpuCapacityBlocks || this.capacityBlocks);
    if (blocks > least) {
      throw new KVEventSyncError(
        "request-too-long",
        `engine: request of ${blocks} blocks exceeds capacityBlocks ${least}; raise it or shorten the request`,
      );
    }
    const chain: Block[] = [];
    let parent: Block | null = null;
    for (let start = 0; chain.length < blocks; start += this.blockSize) {
      const tokenIds = Uint32Array.from({ length: this.blockSize }, (_, offset) => {
        const index = start + offset;
        return index < tokens.length ? tokens[index]! : outputTokens[index - tokens.length]!;
      });
      const hash = blockHash(this.#hashSeed, parent?.blockHash ?? null, tokenIds, identity);
      const known = this.#gpu.get(hash) ?? this.#cpu?.get(hash);
      const block: Block = known ?? { blockHash: hash, parent, tokenIds, ...identity };
      chain.push(block);
      parent = block;
    }
    return chain;
  }

  #countHeld(chain: readonly Block[]): number {
    const missing = chain.findIndex(({ blockHash: hash }) => !this.#gpu.get(hash) && !this.#cpu?.get(hash));
    return missing < 0 ? chain.length : missing;
  }

  /** Takes the blocks onto the GPU. As a block's parent stays as long as the block, those to be stored follow each other. */
  #store(blocks: readonly Block[], events: KVEvent[]): void {
    const stored = blocks.filter(({ blockHash: hash }) => this.#gpu.get(hash) === undefined);
    for (const block of blocks) {
      const evicted = this.#gpu.acquire(block);
      if (evicted !== undefined) events.push(removed([evicted], GPU));
    }
    if (stored.length > 0) events.push(storedWithTokens(stored, this.blockSize));
  }

  /** vLLM's offloading announces copies by their hashes alone (`offloading_connector.py`). */
  #offload(chain: readonly Block[], events: KVEvent[]): void {
    const cpu = this.#cpu;
    if (cpu === undefined) return;
    const copied = chain.filter(({ blockHash: hash }) => cpu.get(hash) === undefined);
    const evicted = chain.map((block) => cpu.acquire(block)).filter((block) => block !== undefined);
    cpu.release(chain);
    if (evicted.length > 0) events.push(removed(evicted, CPU));
    if (copied.length > 0) events.push(storedByHash(copied, this.blockSize));
  }
}

function storedWithTokens(blocks: readonly Block[], blockSize: number): BlockStored {
  const [first] = blocks;
  const tokenIds = new Uint32Array(blocks.length * blockSize);
  for (const [index, block] of blocks.entries()) tokenIds.set(block.tokenIds, index * blockSize);
  const extraKeys = blocks.map(extraKeysOf);
  return {
    ...storedByHash(blocks, blockSize),
    parentBlockHash: first?.parent?.blockHash ?? null,
    tokenIds,
    loraName: first?.loraName ?? null,
    medium: GPU,
    extraKeys: extraKeys.some((keys) => keys !== null) ? extraKeys : null,
  };
}

function storedByHash(blocks: readonly Block[], blockSize: number): BlockStored {
  return {
    type: "BlockStored",
    blockHashes: blocks.map((block) => block.blockHash),
    parentBlockHash: null,
    tokenIds: new Uint32Array(),
    blockSize,
    loraId: null,
    loraName: null,
    medium: CPU,
    extraKeys: null,
    groupIdx: null,
    kvCacheSpecKind: null,
    kvCacheSpecSlidingWindow: null,
    cacheSalt: null,
  };
}

function removed(blocks: readonly Block[], medium: string): BlockRemoved {
  return { type: "BlockRemoved", blockHashes: blocks.map((block) => block.blockHash), medium, groupIdx: null };
}

function pooled(block: Block, tiers: readonly string[]): PooledBlock {
  const { tokenIds, loraName, cacheSalt } = block;
  return {
    blockHash: block.blockHash,
    parentBlockHash: block.parent?.blockHash ?? null,
    tokenIds,
    loraName,
    cacheSalt,
    tiers,
    prefixTokens: () => prefixTokens(block),
  };
}

function checkedInteger(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ConfigurationError("invalid-option", `engine: ${name} is ${value}; expected an integer from ${least}`);
}
