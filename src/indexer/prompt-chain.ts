import type { BlockHasher } from "./block-hash.ts";
import { extraKey, rootKey } from "./block-identity.ts";
import type { Block, Context } from "./context.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { PromptIdentity } from "./indexer.ts";

/** A prompt whose blocks can be named. */
export interface Prompt {
  readonly tokens: Uint32Array;
  readonly hasher: BlockHasher;
  readonly identity: PromptIdentity;
}

/** What the first block of this prompt chains on. */
export function rootOf({ hasher, identity }: Prompt): bigint {
  return hasher.root(rootKey(identity.extraKeys?.[0] ?? null, identity.cacheSalt ?? null));
}

/** What else is in the hash of a block of this prompt. */
export function extraOf({ hasher, identity }: Prompt, blockIndex: number): bigint {
  return hasher.extra(extraKey(identity.extraKeys?.[blockIndex] ?? null, blockIndex === 0));
}

/** The full blocks of a prompt as one context has them: each is hashed and looked up when it is first asked for. */
export class PromptChain {
  readonly context: Context;
  /** Full blocks of the prompt. */
  readonly length: number;
  readonly #index: HolderIndex;
  readonly #prompt: Prompt;
  readonly #hashes: bigint[] = [];
  readonly #blocks: (Block | undefined)[] = [];
  #last: bigint;

  constructor(index: HolderIndex, context: Context, prompt: Prompt) {
    this.context = context;
    this.length = Math.floor(prompt.tokens.length / context.blockSize);
    this.#index = index;
    this.#prompt = prompt;
    this.#last = rootOf(prompt);
  }

  /** Chained hash of block `i`. */
  hash(i: number): bigint {
    this.#extendTo(i);
    return this.#hashes[i]!;
  }

  /** Block `i`, where anybody holds it. */
  block(i: number): Block | undefined {
    this.#extendTo(i);
    return this.#blocks[i];
  }

  /** The first so many blocks are in use. */
  mention(count: number): void {
    this.#extendTo(count - 1);
    this.#index.mention(this.#blocks.slice(0, count).filter((block) => block !== undefined));
  }

  #extendTo(i: number): void {
    const { tokens, hasher } = this.#prompt;
    const { blockSize } = this.context;
    for (let at = this.#hashes.length; at <= i; at++) {
      const start = at * blockSize;
      this.#last = hasher.step(this.#last, tokens, start, start + blockSize, extraOf(this.#prompt, at));
      this.#hashes.push(this.#last);
      this.#blocks.push(this.#index.find(this.context, this.#last));
    }
  }
}
