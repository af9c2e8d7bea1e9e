import type { BlockHasher } from "./block-hasher.ts";
import { extraKey, rootKey } from "./block-identity.ts";
import type { HashedBlocks } from "./block-run.ts";
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
export class ChainMemory implements HashedBlocks {
  hashes: Int32Array = new Int32Array(1024);
  blocks: Int32Array = new Int32Array(512);
  readonly wasm: null = null;
}

/** Blocks that are hashed at once: few at first, since most prompts are held by nobody, then ever more. */
const FIRST_STRIDE = 4;
/** As many as are hashed side by side. */
const SECOND_STRIDE = 16;
const LONGEST_STRIDE = 256;

/**
 * The full blocks of a prompt as one context has them, hashed and looked up some at a time when they are first asked
 * for: a processor that is told of many places in memory waits for them together. None is looked up behind the first that
 * is missing before it is asked for, for as a rule nobody does.
 */
export class PromptChain {
  readonly context: Context;
  /** Full blocks of the prompt. */
  readonly length: number;
  readonly #index: HolderIndex;
  readonly #prompt: Prompt;
  readonly #memory: ChainMemory;
  /** Hashes that others give need not be of one prompt: of theirs each is looked at. */
  readonly #hasTokens: boolean;
  /** Those before are hashed; looked up; and from here on, as far as they are, noted to be like the ones before. */
  #hashed = 0;
  #known = 0;
  #likeFrom = 0;
  #stride = FIRST_STRIDE;

  constructor(index: HolderIndex, context: Context, prompt: Prompt, memory: ChainMemory) {
    this.context = context;
    this.length =
      "hashes" in prompt ? prompt.hashes.length : Math.floor(prompt.tokens.length / Math.max(1, context.blockSize));
    this.#index = index;
    this.#prompt = prompt;
    this.#hasTokens = "tokens" in prompt;
    this.#memory = memory;
  }

  /** Words of the chained hash of block `i`. */
  low(i: number): number {
    if (i >= this.#hashed) this.#hashTo(i);
    return this.#memory.hashes[2 * i]!;
  }

  high(i: number): number {
    if (i >= this.#hashed) this.#hashTo(i);
    return this.#memory.hashes[2 * i + 1]!;
  }

  /** Block `i`; 0 where nobody holds it. */
  block(i: number): number {
    if (i >= this.#known) this.#lookUpTo(i);
    return this.#memory.blocks[i]!;
  }

  /**
   * How many of the blocks from number `i` on, which is not 0 and has been asked for, are held as the one before is (see
   * `Holders.learnLike`), as far as they are looked up.
   */
  countLike(i: number): number {
    if (i >= this.#likeFrom) return this.#known - i;
    const found = this.#memory.blocks;
    const { blocks, holders } = this.#index;
    const like = blocks.countLikeBefore(found, i, this.#known);
    return like > 0 ? like : Number(holders.learnLike(found, i));
  }

  /** The first so many blocks are in use. */
  mention(count: number): void {
    if (count > this.#known) this.#lookUpTo(count - 1);
    this.#index.mention(this.#memory.blocks, count);
  }

  #lookUpTo(i: number): void {
    if (i >= this.#hashed) this.#hashTo(i);
    while (i >= this.#known) this.#lookUp();
  }

  /** What is hashed, up to the first that is missing: behind that all. */
  #lookUp(): void {
    const index = this.#index;
    const { hashes, blocks } = this.#memory;
    const to = this.#hashed;
    let i = this.#known;
    let before = i === 0 ? 0 : blocks[i - 1]!;
    const untilMissing = i === 0 || before !== 0;
    if (before !== 0 && this.#hasTokens && !index.expires) {
      const end = i + index.blocks.countLikeFollowing(before, hashes, i, to, index.wasm);
      while (i < end) blocks[i++] = ++before;
    }
    if (i === to) {
      this.#known = to;
      return;
    }
    this.#known = index.findAll(this.context, this.#memory, i, to, before, untilMissing);
    this.#likeFrom = this.#known;
  }

  #hashTo(i: number): void {
    const memory = this.#memory;
    const from = this.#hashed;
    const to = Math.min(this.length, Math.max(i + 1, from + this.#stride));
    this.#stride = Math.min(LONGEST_STRIDE, Math.max(SECOND_STRIDE, 2 * this.#stride));
    if (to > memory.blocks.length) this.#widen(to);
    const { hashes } = memory;
    const prompt = this.#prompt;
    if ("hashes" in prompt) {
      // Low word first: every platform of Node is little-endian.
      hashes.set(new Int32Array(prompt.hashes.buffer, prompt.hashes.byteOffset + 8 * from, 2 * (to - from)), 2 * from);
    } else {
      hashPrompt(prompt, this.context.blockSize, from, to, hashes);
    }
    this.#hashed = to;
  }

  #widen(length: number): void {
    const longer = Math.max(length, Math.min(this.length, 2 * this.#memory.blocks.length));
    const hashes = new Int32Array(2 * longer);
    hashes.set(this.#memory.hashes.subarray(0, 2 * this.#hashed));
    const blocks = new Int32Array(longer);
    blocks.set(this.#memory.blocks.subarray(0, this.#known));
    this.#memory.hashes = hashes;
    this.#memory.blocks = blocks;
  }
}
