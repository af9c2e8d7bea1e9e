import { AttentionGroups } from "./attention-groups.ts";
import type { Context } from "./context.ts";
import type { HashTable } from "./hash-table.ts";
import { MAX_SOURCE } from "./holdings.ts";
import type { BlockSource } from "./indexer.ts";
import { getOrCreate } from "./maps.ts";
import { Names } from "./names.ts";
import { NumberedList } from "./numbered.ts";
import type { Orphans } from "./orphans.ts";
import { PodOrder } from "./pod-order.ts";

/** What one engine process has told: its indexed blocks by its own names, and those that wait. */
export class Source {
  readonly model: string;
  readonly pod: string;
  readonly rank: number;
  /** By which its holdings name it; 0 as long as it has none. */
  number = 0;
  readonly names: Names;
  readonly orphans: Orphans;
  readonly groups: AttentionGroups = new AttentionGroups();
  /** Imported, and not known to be true still: queries pass over it. See `Sources.setHidden`. */
  isHidden = false;
  /** Cleared, with holdings that are still to be taken out: see `Departures`. */
  isLeaving = false;
  /** Distinct blocks that it holds, under whatever names. */
  blocks = 0;
  /** Whether `Sources` knows it. */
  isKept = false;
  /** Where its last event belonged: the next one's belongs there, too, as a rule. */
  lastContext: Context | undefined;
  /** What its last event spoke of last; 0 for none. It may be gone by now, or be another source's: see `Holdings.is`. */
  lastHolding = 0;

  constructor({ model, pod, rank }: BlockSource, newTable: () => HashTable, newOrphans: () => Orphans) {
    this.model = model;
    this.pod = pod;
    this.rank = rank;
    this.names = new Names(newTable);
    this.orphans = newOrphans();
  }

  get isEmpty(): boolean {
    return this.names.size === 0 && this.orphans.size === 0;
  }
}

/** The sources that have anything, by model, pod and rank. */
export class Sources {
  readonly #newTable: () => HashTable;
  readonly #newOrphans: () => Orphans;
  readonly #models = new Map<string, Map<string, Map<number, Source>>>();
  /** A stream gives the same object with each of its events. */
  readonly #known = new WeakMap<BlockSource, Source>();
  readonly #numbers = new NumberedList<Source>(MAX_SOURCE);
  readonly #leaving: Source[] = [];
  readonly #hybrid = new Set<Source>();
  readonly #withoutFirstBlock = new Set<Source>();
  /** Pods of which more than one rank is kept. */
  #podsWithRanks = 0;
  #podOrder: PodOrder | null = null;
  #size = 0;

  constructor(newTable: () => HashTable, newOrphans: () => Orphans) {
    this.#newTable = newTable;
    this.#newOrphans = newOrphans;
  }

  get size(): number {
    return this.#size;
  }

  /** One more than the highest number. */
  get numbers(): number {
    return this.#numbers.length;
  }

  /** Gives the source a number by which its holdings can name it, unless too many have one. */
  number(source: Source): number {
    if (source.number === 0) {
      source.number = this.#numbers.add(source);
      this.#podOrder = null;
    }
    return source.number;
  }

  numbered(number: number): Source {
    return this.#numbers.get(number);
  }

  find(of: BlockSource): Source | undefined {
    const known = this.#known.get(of);
    if (known?.isKept) return known;
    const found = this.#models.get(of.model)?.get(of.pod)?.get(of.rank);
    if (found !== undefined) this.#known.set(of, found);
    return found;
  }

  /** The source, or a new one that is not in the table before `settle` finds something in it. */
  open(source: BlockSource): Source {
    return this.find(source) ?? new Source(source, this.#newTable, this.#newOrphans);
  }

  /** Those that are known no more and still have a number, the first one to leave first. */
  get leaving(): readonly Source[] {
    return this.#leaving;
  }

  /** Nobody finds the source any more. It keeps its number, by which its holdings name it, until `left`. */
  leave(source: Source): void {
    source.isHidden = true;
    source.isLeaving = true;
    this.#leaving.push(source);
    this.#unlist(source);
  }

  /** Nothing is left of the first one that leaves. */
  left(): void {
    const source = this.#leaving.shift();
    if (source !== undefined) this.#unnumber(source);
  }

  ranksOf(model: string, pod: string): Iterable<Source> {
    return this.#models.get(model)?.get(pod)?.values() ?? [];
  }

  /** Of all that are there now; made anew after one has come, gone or changed. */
  podOrder(): PodOrder {
    this.#podOrder ??= new PodOrder(this.all(), this.numbers);
    return this.#podOrder;
  }

  /** Queries pass over a source that is hidden. */
  setHidden(source: Source, isHidden: boolean): void {
    source.isHidden = isHidden;
    this.#podOrder = null;
  }

  /** Whether any rank has told of attention groups. */
  get haveGroups(): boolean {
    return this.#hybrid.size > 0;
  }

  /** Whether any pod has more than one rank. */
  get haveRanks(): boolean {
    return this.#podsWithRanks > 0;
  }

  /** Ranks of hybrid models none of whose groups has to hold a prompt from its start. */
  *withoutFirstBlock(model: string): IterableIterator<Source> {
    for (const source of this.#withoutFirstBlock) if (source.model === model) yield source;
  }

  *all(): IterableIterator<Source> {
    for (const pods of this.#models.values()) for (const ranks of pods.values()) yield* ranks.values();
  }

  /** Keeps the source in the table if it has anything, and out of it otherwise. */
  settle(source: Source): void {
    if (source.isEmpty) {
      this.#delete(source);
      return;
    }
    if (!source.isKept) this.#set(source);
    if (source.groups.size === 0) return;
    if (!this.#hybrid.has(source)) this.#podOrder = null;
    this.#hybrid.add(source);
    if (source.groups.needFirstBlock) this.#withoutFirstBlock.delete(source);
    else this.#withoutFirstBlock.add(source);
  }

  #set(source: Source): void {
    const pods = getOrCreate(this.#models, source.model, () => new Map<string, Map<number, Source>>());
    const ranks = getOrCreate(pods, source.pod, () => new Map<number, Source>());
    ranks.set(source.rank, source);
    if (ranks.size === 2) this.#podsWithRanks++;
    source.isKept = true;
    this.#podOrder = null;
    this.#size++;
  }

  #delete(source: Source): void {
    this.#unnumber(source);
    this.#unlist(source);
  }

  #unnumber(source: Source): void {
    if (source.number !== 0) this.#numbers.remove(source.number);
    source.number = 0;
  }

  #unlist(source: Source): void {
    if (!source.isKept) return;
    source.isKept = false;
    source.lastContext = undefined;
    this.#podOrder = null;
    const pods = this.#models.get(source.model);
    const ranks = pods?.get(source.pod);
    if (pods === undefined || ranks === undefined) return;
    ranks.delete(source.rank);
    if (ranks.size === 1) this.#podsWithRanks--;
    this.#size--;
    this.#hybrid.delete(source);
    this.#withoutFirstBlock.delete(source);
    if (ranks.size === 0) pods.delete(source.pod);
    if (pods.size === 0) this.#models.delete(source.model);
  }
}
