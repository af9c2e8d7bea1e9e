import type { EngineBlock } from "./engine-blocks.ts";
import type { Lora } from "./indexer.ts";
import { getOrCreate } from "./maps.ts";
import { type RecencyLinks, RecencyList } from "./recency.ts";
import type { Source } from "./sources.ts";
import { SpeculativeBlocks } from "./speculative.ts";

/** A block of tokens in its place after others, and who holds it. It is in the index as long as somebody does. */
export class Block implements RecencyLinks<Block> {
  readonly context: Context;
  /** Chained (`BlockHasher.chain`): names the block with all that is before it. */
  readonly hash: bigint;
  /** `BlockHasher.local`. */
  readonly local: bigint;
  /** Who holds it, and under which names: more than one where an engine names the same block twice. */
  readonly holders: Map<Source, EngineBlock[]> = new Map();
  mentionedAtMs = 0;
  newer: Block | undefined = undefined;
  older: Block | undefined = undefined;

  constructor(context: Context, hash: bigint, local: bigint) {
    this.context = context;
    this.hash = hash;
    this.local = local;
  }
}

/** Blocks that can be compared: of one model with one adapter, cut at one size. */
export class Context implements RecencyLinks<Context> {
  readonly model: string;
  readonly lora: Lora;
  /** Tokens. */
  readonly blockSize: number;
  readonly blocks: Map<bigint, Block> = new Map();
  readonly recency: RecencyList<Block> = new RecencyList();
  readonly speculative: SpeculativeBlocks = new SpeculativeBlocks();
  newer: Context | undefined = undefined;
  older: Context | undefined = undefined;

  constructor(model: string, lora: Lora, blockSize: number) {
    this.model = model;
    this.lora = lora;
    this.blockSize = blockSize;
  }

  get isEmpty(): boolean {
    return this.blocks.size === 0 && this.speculative.size === 0;
  }
}

/** The contexts that have anything, by model, adapter and block size, in the order of their last use. */
export class Contexts {
  readonly #models = new Map<string, Map<Lora, Map<number, Context>>>();
  readonly #recency = new RecencyList<Context>();
  #size = 0;
  #round: Iterator<Context> = this.all();

  get size(): number {
    return this.#size;
  }

  get leastRecent(): Context | undefined {
    return this.#recency.oldest;
  }

  /** The context, or a new one that is not in the table before `settle` finds something in it. */
  open(model: string, lora: Lora, blockSize: number): Context {
    return this.#models.get(model)?.get(lora)?.get(blockSize) ?? new Context(model, lora, blockSize);
  }

  /** One context for each block size, small ones first. */
  find(model: string, lora: Lora): Context[] {
    const found = [...(this.#models.get(model)?.get(lora)?.values() ?? [])];
    return found.sort((left, right) => left.blockSize - right.blockSize);
  }

  ofModel(model: string): Context[] {
    return [...(this.#models.get(model)?.values() ?? [])].flatMap((sizes) => [...sizes.values()]);
  }

  *all(): IterableIterator<Context> {
    for (const loras of this.#models.values()) for (const sizes of loras.values()) yield* sizes.values();
  }

  /** Each context in turn, over and over; `undefined` at the end of a round. */
  next(): Context | undefined {
    const step = this.#round.next();
    if (!step.done) return step.value;
    this.#round = this.all();
    return undefined;
  }

  /** Keeps the context in the table if it has anything, as the last one used, and out of it otherwise. */
  settle(context: Context): void {
    if (context.isEmpty) this.dropIfEmpty(context);
    else this.#keep(context);
  }

  dropIfEmpty(context: Context): void {
    if (!context.isEmpty) return;
    const { model, lora, blockSize } = context;
    const loras = this.#models.get(model);
    const sizes = loras?.get(lora);
    if (loras === undefined || sizes === undefined || !sizes.delete(blockSize)) return;
    this.#size--;
    this.#recency.remove(context);
    if (sizes.size === 0) loras.delete(lora);
    if (loras.size === 0) this.#models.delete(model);
  }

  #keep(context: Context): void {
    this.#recency.touch(context);
    const { model, lora, blockSize } = context;
    const loras = getOrCreate(this.#models, model, () => new Map<Lora, Map<number, Context>>());
    const sizes = getOrCreate(loras, lora, () => new Map<number, Context>());
    if (!sizes.has(blockSize)) this.#size++;
    sizes.set(blockSize, context);
  }
}
