import { AttentionGroups } from "./attention-groups.ts";
import { BlocksByHash, type EngineBlock } from "./engine-blocks.ts";
import type { BlockSource } from "./indexer.ts";
import { getOrCreate } from "./maps.ts";
import { Orphans } from "./orphans.ts";

/** What one engine process has told: its indexed blocks by its own names, and those that wait. */
export class Source {
  readonly model: string;
  readonly pod: string;
  readonly rank: number;
  readonly blocks: BlocksByHash<EngineBlock> = new BlocksByHash();
  readonly orphans: Orphans = new Orphans();
  readonly groups: AttentionGroups = new AttentionGroups();
  /** Imported, and not known to be true still: queries pass over it. */
  isHidden = false;

  constructor({ model, pod, rank }: BlockSource) {
    this.model = model;
    this.pod = pod;
    this.rank = rank;
  }

  get isEmpty(): boolean {
    return this.blocks.size === 0 && this.orphans.size === 0;
  }
}

/** The sources that have anything, by model, pod and rank. */
export class Sources {
  readonly #models = new Map<string, Map<string, Map<number, Source>>>();
  readonly #withoutFirstBlock = new Set<Source>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find({ model, pod, rank }: BlockSource): Source | undefined {
    return this.#models.get(model)?.get(pod)?.get(rank);
  }

  /** The source, or a new one that is not in the table before `settle` finds something in it. */
  open(source: BlockSource): Source {
    return this.find(source) ?? new Source(source);
  }

  ranksOf(model: string, pod: string): Iterable<Source> {
    return this.#models.get(model)?.get(pod)?.values() ?? [];
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
    if (source.isEmpty) this.#delete(source);
    else this.#set(source);
  }

  #set(source: Source): void {
    const pods = getOrCreate(this.#models, source.model, () => new Map<string, Map<number, Source>>());
    const ranks = getOrCreate(pods, source.pod, () => new Map<number, Source>());
    if (!ranks.has(source.rank)) this.#size++;
    ranks.set(source.rank, source);
    if (source.groups.needFirstBlock) this.#withoutFirstBlock.delete(source);
    else this.#withoutFirstBlock.add(source);
  }

  #delete(source: Source): void {
    const pods = this.#models.get(source.model);
    const ranks = pods?.get(source.pod);
    if (pods === undefined || ranks === undefined || !ranks.delete(source.rank)) return;
    this.#size--;
    this.#withoutFirstBlock.delete(source);
    if (ranks.size === 0) pods.delete(source.pod);
    if (pods.size === 0) this.#models.delete(source.model);
  }
}
