import type { HashTable } from "./hash-table.ts";
import type { Lora } from "./indexer.ts";
import { getOrCreate } from "./maps.ts";
import { NumberedList } from "./numbered.ts";
import { type RecencyLinks, RecencyList } from "./recency.ts";
import { SpeculativeBlocks } from "./speculative.ts";

/** A context's number takes a word of each of its blocks. */
const MAX_CONTEXT = 0xffff_ffff;

/** Blocks that can be compared: of one model with one adapter, cut at one size. */
export class Context implements RecencyLinks<Context> {
  readonly model: string;
  readonly lora: Lora;
  /** Tokens. */
  readonly blockSize: number;
  /** By which its blocks name it; 0 as long as it has none. */
  number = 0;
  readonly speculative: SpeculativeBlocks = new SpeculativeBlocks();
  /** Ends of the list of its blocks by last mention (`Blocks`); 0 without any. */
  newest = 0;
  oldest = 0;
  /** Number of its blocks: `Blocks` counts them. */
  size = 0;
  newer: Context | undefined = undefined;
  older: Context | undefined = undefined;
  /** Where it stands among those that `Contexts` knows; −1 where it is none of them. */
  position = -1;
  readonly #newTable: () => HashTable;
  #table: HashTable | undefined;

  constructor(model: string, lora: Lora, blockSize: number, newTable: () => HashTable) {
    this.model = model;
    this.lora = lora;
    this.blockSize = blockSize;
    this.#newTable = newTable;
  }

  /** Its blocks by chained hash, but for those that follow (`Blocks`). */
  get table(): HashTable {
    this.#table ??= this.#newTable();
    return this.#table;
  }

  /** Whether `Contexts` knows it. */
  get isKept(): boolean {
    return this.position >= 0;
  }

  get isEmpty(): boolean {
    return this.size === 0 && this.speculative.size === 0;
  }

  /** The block of this chained hash in the table; 0 for none. */
  find(low: number, high: number): number {
    return this.#table === undefined ? 0 : this.#table.find(low, high);
  }

  /** See `HashTable.countMissing`. */
  countMissing(hashes: Int32Array, from: number, to: number): number {
    return this.#table === undefined ? to - from : this.#table.countMissing(hashes, from, to);
  }

  /** See `HashTable.touch`. */
  touch(low: number, high: number): number {
    return this.#table === undefined ? 0 : this.#table.touch(low, high);
  }

  /** Gives back what it takes without blocks. */
  dropTable(): void {
    this.#table?.drop();
    this.#table = undefined;
  }
}

/** The contexts that have anything, by model, adapter and block size, in the order of their last use. */
export class Contexts {
  readonly #newTable: () => HashTable;
  readonly #models = new Map<string, Map<Lora, Map<number, Context>>>();
  readonly #numbers = new NumberedList<Context>(MAX_CONTEXT);
  readonly #recency = new RecencyList<Context>();
  readonly #kept: Context[] = [];
  #turn = 0;

  constructor(newTable: () => HashTable) {
    this.#newTable = newTable;
  }

  get size(): number {
    return this.#kept.length;
  }

  get leastRecent(): Context | undefined {
    return this.#recency.oldest;
  }

  /** The context, or a new one that is not in the table before `settle` finds something in it. */
  open(model: string, lora: Lora, blockSize: number): Context {
    const known = this.#models.get(model)?.get(lora)?.get(blockSize);
    return known ?? new Context(model, lora, blockSize, this.#newTable);
  }

  /** Gives the context a number by which its blocks can name it. */
  number(context: Context): void {
    if (context.number === 0) context.number = this.#numbers.add(context);
  }

  numbered(number: number): Context {
    return this.#numbers.get(number);
  }

  /** One context for each block size, small ones first. */
  find(model: string, lora: Lora): Context[] {
    const found = [...(this.#models.get(model)?.get(lora)?.values() ?? [])];
    return found.sort((left, right) => left.blockSize - right.blockSize);
  }

  ofModel(model: string): Context[] {
    return [...(this.#models.get(model)?.values() ?? [])].flatMap((sizes) => [...sizes.values()]);
  }

  /** In any order. */
  all(): readonly Context[] {
    return this.#kept;
  }

  /** Each context in turn, over and over; `undefined` at the end of a round. */
  next(): Context | undefined {
    const context = this.#kept[this.#turn++];
    if (context === undefined) this.#turn = 0;
    return context;
  }

  /** Whether `settle` and all that belongs to it would change nothing: no beliefs anywhere, and room in this context. */
  isSettled(context: Context, maxBlocks: number): boolean {
    if (this.#kept.length !== 1 || context.position !== 0 || context.speculative.size > 0) return false;
    const { size } = context;
    return size > 0 && size <= maxBlocks;
  }

  /** Keeps the context in the table if it has anything, as the last one used, and out of it otherwise. */
  settle(context: Context): void {
    if (context.isEmpty) this.dropIfEmpty(context);
    else this.#keep(context);
  }

  dropIfEmpty(context: Context): void {
    if (!context.isEmpty) return;
    context.dropTable();
    if (context.number !== 0) this.#numbers.remove(context.number);
    context.number = 0;
    if (!context.isKept) return;
    const last = this.#kept.pop()!;
    if (last !== context) {
      this.#kept[context.position] = last;
      last.position = context.position;
    }
    context.position = -1;
    const { model, lora, blockSize } = context;
    const loras = this.#models.get(model);
    const sizes = loras?.get(lora);
    if (loras === undefined || sizes === undefined) return;
    sizes.delete(blockSize);
    this.#recency.remove(context);
    if (sizes.size === 0) loras.delete(lora);
    if (loras.size === 0) this.#models.delete(model);
  }

  #keep(context: Context): void {
    this.#recency.touch(context);
    if (context.isKept) return;
    context.position = this.#kept.push(context) - 1;
    const { model, lora, blockSize } = context;
    const loras = getOrCreate(this.#models, model, () => new Map<Lora, Map<number, Context>>());
    const sizes = getOrCreate(loras, lora, () => new Map<number, Context>());
    sizes.set(blockSize, context);
  }
}
