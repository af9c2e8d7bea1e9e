import type { BlockHash } from "../events/event.ts";
import type { Block } from "./block.ts";

/**
 * The blocks of one memory, as vLLM's block pool keeps them (`vllm/v1/core/block_pool.py`): those that no request uses
 * wait in a queue and are evicted from its head.
 */
export class BlockTier {
  readonly #capacityBlocks: number;
  readonly #held = new Map<BlockHash, Block>();
  /** In the order of eviction. */
  readonly #idle = new Map<BlockHash, Block>();

  constructor(capacityBlocks: number) {
    this.#capacityBlocks = capacityBlocks;
  }

  get size(): number {
    return this.#held.size;
  }

  get(hash: BlockHash): Block | undefined {
    return this.#held.get(hash);
  }

  blocks(): IterableIterator<Block> {
    return this.#held.values();
  }

  /** Takes the block into use, and in where it is not held; returns the one that had to go for it. */
  acquire(block: Block): Block | undefined {
    this.#idle.delete(block.blockHash);
    if (this.#held.has(block.blockHash)) return undefined;
    const evicted = this.#held.size < this.#capacityBlocks ? undefined : this.#evict();
    this.#held.set(block.blockHash, block);
    return evicted;
  }

  /** Ends the use of a chain, from its last block to its first: tails go before what more requests share. */
  release(chain: readonly Block[]): void {
    for (const block of chain.toReversed()) this.#idle.set(block.blockHash, block);
  }

  clear(): void {
    this.#held.clear();
    this.#idle.clear();
  }

  #evict(): Block {
    const [block] = this.#idle.values();
    if (block === undefined) throw new Error(`all ${this.#capacityBlocks} blocks are in use`);
    this.#idle.delete(block.blockHash);
    this.#held.delete(block.blockHash);
    return block;
  }
}
