import type { BlockHasher } from "./block-hasher.ts";
import { extraKey, rootKey } from "./block-identity.ts";
import type { Context } from "./context.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { PromptIdentity } from "./indexer.ts";

/** A prompt, or the chained hashes of its blocks. */
export type Prompt =
  | { readonly tokens: Uint32Array; readonly hasher: BlockHasher; readonly identity: PromptIdentity }
  | { readonly hashes: BigUint64Array };

const words = new Int32Array(2);

/** Writes the chained hashes of the prompt's blocks from number `from` to before `to`; those before must stand there. */
export function hashPrompt(
  { tokens, hasher, identity }: Extract<Prompt, { readonly hasher: BlockHasher }>,
  blockSize: number,
  from: number,
  to: number,
  hashes: Int32Array,
): void {
  const { extraKeys, cacheSalt } = identity;
  if (from >= to) return;
  if (from === 0) hasher.root(rootKey(extraKeys?.[0] ?? null, cacheSalt ?? null), words, 0);
  const parentLow = from === 0 ? words[0]! : hashes[2 * from - 2]!;
  const parentHigh = from === 0 ? words[1]! : hashes[2 * from - 1]!;
  if (extraKeys == null) {
    hasher.hashes(tokens, from * blockSize, blockSize, to - from, parentLow, parentHigh, hashes, 2 * from);
    return;
  }
  for (let block = from; block < to; block++) {
    hasher.extra(extraKey(extraKeys[block] ?? null, block === 0), words, 0);
    hasher.local(tokens, block * blockSize, (block + 1) * blockSize, words[0]!, words[1]!, hashes, 2 * block);
  }
  hasher.chain(parentLow, parentHigh, hashes, 2 * from, to - from);
}

/** Memory for the chains of prompts, used again by the next query. */
export class ChainMemory {
  hashes: Int32Array = new Int32Array(1024);
  blocks: Int32Array = new Int32Array(512);
}

/** Blocks that are hashed and looked up at once: few at first, since most prompts are held by nobody, then more. */
const FIRST_STRIDE = 4;
const LONGEST_STRIDE = 64;

/**
 * The full blocks of a prompt as one context has them, hashed and looked up some at a time when they are first asked
 * for: a processor that is told of many places in memory waits for them together.
 */
export class PromptChain {
  readonly context: Context;
  /** Full blocks of the prompt. */
  readonly length: number;
  readonly #index: HolderIndex;
  readonly #prompt: Prompt;
  readonly #memory: ChainMemory;
  #known = 0;
  #stride = FIRST_STRIDE;

  constructor(index: HolderIndex, context: Context, prompt: Prompt, memory: ChainMemory) {
    this.context = context;
    this.length =
      "hashes" in prompt ? prompt.hashes.length : Math.floor(prompt.tokens.length / Math.max(1, context.blockSize));
    this.#index = index;
    this.#prompt = prompt;
    this.#memory = memory;
  }

  /** So many blocks are looked up already. */
  get known(): number {
    return this.#known;
  }

  /** Those that are, 0 where nobody holds one. */
  get blocks(): Int32Array {
    return this.#memory.blocks;
  }

  /** Words of the chained hash of block `i`. */
  low(i: number): number {
    if (i >= this.#known) this.#extendTo(i);
    return this.#memory.hashes[2 * i]!;
  }

  high(i: number): number {
    if (i >= this.#known) this.#extendTo(i);
    return this.#memory.hashes[2 * i + 1]!;
  }

  /** Block `i`; 0 where nobody holds it. */
  block(i: number): number {
    if (i >= this.#known) this.#extendTo(i);
    return this.#memory.blocks[i]!;
  }

  /** The first so many blocks are in use. */
  mention(count: number): void {
    if (count > this.#known) this.#extendTo(count - 1);
    this.#index.mention(this.#memory.blocks, count);
  }

  #extendTo(i: number): void {
    const memory = this.#memory;
    const from = this.#known;
    const to = Math.min(this.length, Math.max(i + 1, from + this.#stride));
    this.#stride = Math.min(LONGEST_STRIDE, 2 * this.#stride);
    if (to > memory.blocks.length) this.#widen(to);
    const { hashes, blocks } = memory;
    const prompt = this.#prompt;
    if ("hashes" in prompt) {
      // Low word first: every platform of Node is little-endian.
      hashes.set(new Int32Array(prompt.hashes.buffer, prompt.hashes.byteOffset + 8 * from, 2 * (to - from)), 2 * from);
    } else {
      hashPrompt(prompt, this.context.blockSize, from, to, hashes);
    }
    this.#index.findAll(this.context, hashes, blocks, from, to);
    this.#known = to;
  }

  #widen(length: number): void {
    const longer = Math.max(length, Math.min(this.length, 2 * this.#memory.blocks.length));
    const hashes = new Int32Array(2 * longer);
    hashes.set(this.#memory.hashes.subarray(0, 2 * this.#known));
    const blocks = new Int32Array(longer);
    blocks.set(this.#memory.blocks.subarray(0, this.#known));
    this.#memory.hashes = hashes;
    this.#memory.blocks = blocks;
  }
}
