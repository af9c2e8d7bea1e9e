import type { Clock } from "../../src/clock.ts";
import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import { type BlockHasher, hashOf, highWord, lowWord } from "../../src/indexer/block-hasher.ts";
import type { BlockSource, HeldBlock, PodMatch } from "../../src/indexer/indexer.ts";
import type { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";

export const MODEL = "llama";

/** Tokens per block, unless a test says otherwise. */
export const BLOCK_SIZE = 4;

export function source(pod = "a", rank = 0, more: Partial<BlockSource> = {}): BlockSource {
  return { model: MODEL, pod, rank, loraId: -1, ...more };
}

/** Tokens of blocks with these numbers: block 7 is 70, 71, 72, 73. */
export function tokens(...blocks: number[]): Uint32Array {
  return Uint32Array.from(blocks.flatMap((block) => Array.from({ length: BLOCK_SIZE }, (_, i) => 10 * block + i)));
}

export function stored(
  blockHashes: readonly bigint[],
  parentBlockHash: bigint | null,
  tokenIds: Uint32Array,
  more: Partial<BlockStored> = {},
): BlockStored {
  return {
    type: "BlockStored",
    blockHashes,
    parentBlockHash,
    tokenIds,
    blockSize: BLOCK_SIZE,
    loraId: null,
    loraName: null,
    medium: null,
    extraKeys: null,
    groupIdx: null,
    kvCacheSpecKind: null,
    kvCacheSpecSlidingWindow: null,
    cacheSalt: null,
    ...more,
  };
}

/** Token-less, as offloading sends it. */
export function storedPlace(blockHashes: readonly bigint[], medium: string): BlockStored {
  return stored(blockHashes, null, new Uint32Array(), { medium });
}

export function removed(blockHashes: readonly bigint[], more: Partial<BlockRemoved> = {}): BlockRemoved {
  return { type: "BlockRemoved", blockHashes, medium: null, groupIdx: null, ...more };
}

/** Matched blocks by pod, best first: `a 3, b 1`. */
export function summary(matches: readonly PodMatch[]): string {
  return matches.map((match) => `${match.pod} ${match.matchedBlocks}`).join(", ");
}

/** `summary` of what the table answers for the base model. */
export function match(table: SyncPrefixHashTable, prompt: Uint32Array): string {
  return summary(table.matchPrefix(MODEL, -1, prompt));
}

/** What a source holds, by hash: `1 gpu; 2 cpu gpu/0`. */
export function held(blocks: Iterable<HeldBlock>): string {
  return [...blocks]
    .sort((left, right) => (left.blockHash < right.blockHash ? -1 : 1))
    .map(({ blockHash, places }) => `${blockHash} ${places.join(" ")}`)
    .join("; ");
}

/** A clock that stands until it is moved. */
export class ManualClock implements Clock {
  #nowMs = 1000;

  now(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  setTimeout(): unknown {
    throw new Error("the index needs no timers");
  }

  clearTimeout(): void {}
}

/** A hasher whose hashes are whole numbers instead of pairs of words. */
export class WholeHasher {
  readonly #hasher: BlockHasher;
  readonly #words = new Int32Array(2);

  constructor(hasher: BlockHasher) {
    this.#hasher = hasher;
  }

  root(key: string): bigint {
    this.#hasher.root(key, this.#words, 0);
    return this.#whole();
  }

  extra(key: string): bigint {
    this.#hasher.extra(key, this.#words, 0);
    return this.#whole();
  }

  local(tokens: Uint32Array, start: number, end: number, extra: bigint): bigint {
    this.#hasher.local(tokens, start, end, lowWord(extra), highWord(extra), this.#words, 0);
    return this.#whole();
  }

  chain(parent: bigint, local: bigint): bigint {
    this.#words.set([lowWord(local), highWord(local)]);
    this.#hasher.chain(lowWord(parent), highWord(parent), this.#words, 0, 1);
    return this.#whole();
  }

  step(parent: bigint, tokens: Uint32Array, start: number, end: number, extra: bigint): bigint {
    return this.chain(parent, this.local(tokens, start, end, extra));
  }

  /** Of all full blocks. */
  hashBlocks(
    tokens: Uint32Array,
    blockSize: number,
    root: bigint,
    extra: (block: number) => bigint = () => 0n,
  ): BigUint64Array {
    let parent = root;
    return BigUint64Array.from({ length: Math.floor(tokens.length / blockSize) }, (_, block) => {
      parent = this.step(parent, tokens, block * blockSize, (block + 1) * blockSize, extra(block));
      return parent;
    });
  }

  #whole(): bigint {
    return hashOf(this.#words[0]!, this.#words[1]!);
  }
}

/** Runs the step where no address space can be set aside. */
export function withoutWebAssembly(step: () => void): void {
  const { WebAssembly } = globalThis as { WebAssembly?: unknown };
  Reflect.deleteProperty(globalThis, "WebAssembly");
  try {
    step();
  } finally {
    Object.assign(globalThis, { WebAssembly });
  }
}
