import type { BlockStored, KVEvent } from "../../src/events/event.ts";

export const BLOCK_SIZE = 16;

/** vLLM's `max_num_batched_tokens` by default (chunked prefill, `vllm/config/scheduler.py`): so much of a prompt is computed in a step. */
const STEP_TOKENS = 2_048;
const STEP_BLOCKS = STEP_TOKENS / BLOCK_SIZE;

/** What a request leaves in the cache: its prompt and what was generated. */
export interface Sequence {
  readonly tokens: Uint32Array;
  /** A number for each full block with all that is before it. */
  readonly chain: readonly number[];
  /** So many of `chain` are full before anything is generated. */
  readonly promptBlocks: number;
}

/** The prefix cache of one engine. Blocks are known by a number, so that what it holds is known without any hash. */
export class Engine {
  readonly #pod: number;
  readonly #capacityBlocks: number;
  /** What no request uses, the least recently used first; of each prompt the end before the beginning, as vLLM frees them. */
  readonly #idle = new Set<number>();
  /** One iterator for all evictions: a new one would step over everything that was evicted. */
  readonly #oldest = this.#idle.values();

  constructor(pod: number, capacityBlocks: number) {
    this.#pod = pod;
    this.#capacityBlocks = capacityBlocks;
  }

  get heldBlocks(): number {
    return this.#idle.size;
  }

  /** How many of these blocks it holds, from the first on. Since ends go first, it holds none behind a missing one. */
  depthOf(chain: readonly number[]): number {
    const missing = chain.findIndex((block) => !this.#idle.has(block));
    return missing < 0 ? chain.length : missing;
  }

  /** Events that let the older half of its blocks go, one each, in the order in which it would do so. It keeps them. */
  olderHalf(): KVEvent[] {
    return [...this.#idle].slice(0, this.#idle.size / 2).map((block) => this.#removed(block));
  }

  /**
   * Serves a request, and gives the events of each step that has some: in front one for each block that goes, then one with
   * all blocks that became full. What is held already is not announced again. A step computes a chunk of the prompt, or
   * fills a block with what is generated, the first of which begins with the end of the prompt.
   *
   * @throws Error where the request needs more blocks than there are.
   */
  serve({ tokens, chain, promptBlocks }: Sequence): KVEvent[][] {
    const steps: KVEvent[][] = [];
    let full = this.depthOf(chain);
    for (let at = 0; at < full; at++) this.#idle.delete(chain[at]!);
    while (full < chain.length) {
      const end = full < promptBlocks ? Math.min(full + STEP_BLOCKS, promptBlocks) : full + 1;
      steps.push([...this.#makeRoom(end), this.#stored(tokens, chain, full, end)]);
      full = end;
    }
    for (let at = chain.length - 1; at >= 0; at--) this.#idle.add(chain[at]!);
    return steps;
  }

  /** Lets blocks go until so many fit that are in use. */
  #makeRoom(usedBlocks: number): KVEvent[] {
    const events: KVEvent[] = [];
    while (this.#idle.size + usedBlocks > this.#capacityBlocks) {
      const { value: block, done } = this.#oldest.next();
      if (done) throw new Error(`a request needs ${usedBlocks} of ${this.#capacityBlocks} blocks`);
      this.#idle.delete(block);
      events.push(this.#removed(block));
    }
    return events;
  }

  #removed(block: number): KVEvent {
    return { type: "BlockRemoved", blockHashes: [nameOf(this.#pod, block)], medium: "GPU", groupIdx: null };
  }

  #stored(tokens: Uint32Array, chain: readonly number[], from: number, end: number): BlockStored {
    return {
      type: "BlockStored",
      blockHashes: chain.slice(from, end).map((block) => nameOf(this.#pod, block)),
      parentBlockHash: from === 0 ? null : nameOf(this.#pod, chain[from - 1]!),
      tokenIds: tokens.slice(from * BLOCK_SIZE, end * BLOCK_SIZE),
      blockSize: BLOCK_SIZE,
      loraId: null,
      loraName: null,
      medium: "GPU",
      extraKeys: null,
      groupIdx: null,
      kvCacheSpecKind: null,
      kvCacheSpecSlidingWindow: null,
      cacheSalt: null,
    };
  }
}

/** As engines do: a name of its own in each pod, 64 bits. */
export function nameOf(pod: number, block: number): bigint {
  const low = Math.imul(block, 0x9e3779b1) ^ Math.imul(pod + 1, 0x85ebca6b);
  const high = Math.imul(block + 7, 0xc2b2ae35) ^ pod;
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0) | (1n << 63n);
}

/** The same events with one block each. */
export function oneBlockEach(events: readonly KVEvent[]): KVEvent[] {
  return events.flatMap((event): KVEvent[] => {
    if (event.type !== "BlockStored") return [event];
    return event.blockHashes.map((hash, at) => ({
      ...event,
      blockHashes: [hash],
      parentBlockHash: at === 0 ? event.parentBlockHash : event.blockHashes[at - 1]!,
      tokenIds: event.tokenIds.slice(at * event.blockSize, (at + 1) * event.blockSize),
    }));
  });
}
