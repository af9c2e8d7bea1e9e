import { KVEventSyncError } from "../errors.ts";
import type { AttentionGroup } from "./attention-groups.ts";
import type { Block, Context } from "./context.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { BlockSource, ExportedBlock } from "./indexer.ts";
import type { AnnouncedBlock } from "./orphans.ts";
import { addPlace, type Place } from "./places.ts";
import type { Source } from "./sources.ts";

/** See `PrefixIndexer.exportSource`. */
export function* exportBlocks(index: HolderIndex, of: BlockSource): IterableIterator<ExportedBlock> {
  const source = index.sources.find(of);
  if (source === undefined) return;
  for (const { hash, parent, block, places } of source.blocks.values()) {
    if (index.isExpired(block)) continue;
    const { lora, blockSize } = block.context;
    yield exportedBlock({ hash, parent, lora, blockSize, local: block.local }, block.hash, places);
  }
  for (const { announced, places } of source.orphans.byAge()) yield exportedBlock(announced, null, places);
}

function exportedBlock(
  { hash, parent, lora, blockSize, local }: AnnouncedBlock,
  chainedHash: bigint | null,
  places: readonly Place[],
): ExportedBlock {
  return { blockHash: hash, parentBlockHash: parent, lora, blockSize, localHash: local, chainedHash, places };
}

/** See `PrefixIndexer.importSource`. */
export function importBlocks(
  index: HolderIndex,
  into: BlockSource,
  blocks: Iterable<ExportedBlock>,
  groups: readonly AttentionGroup[],
): void {
  const source = index.sources.open(into);
  if (!source.isEmpty && !source.isHidden) {
    throw new KVEventSyncError(
      "not-empty",
      `index: pod ${into.pod} rank ${into.rank} has told of blocks already; import before its events`,
    );
  }
  source.isHidden = true;
  for (const group of groups) source.groups.add(group);
  new ImportStep(index, source).run(blocks);
}

/** What is shared by the blocks of one import. */
class ImportStep {
  readonly #index: HolderIndex;
  readonly #source: Source;
  #context: Context | undefined;
  readonly #mentioned = new Map<Context, Block[]>();

  constructor(index: HolderIndex, source: Source) {
    this.#index = index;
    this.#source = source;
  }

  run(blocks: Iterable<ExportedBlock>): void {
    for (const exported of blocks) {
      const { blockHash: hash, parentBlockHash: parent, lora, blockSize, localHash: local } = exported;
      const announced = { hash, parent, lora, blockSize, local };
      if (exported.chainedHash === null) this.#wait(announced, exported.places);
      else this.#hold(announced, exported.chainedHash, exported.places);
    }
    for (const [context, held] of this.#mentioned) {
      this.#index.mention(held);
      this.#index.settle(context);
    }
    this.#index.settleOrphans(this.#source);
  }

  /** An index exports each name once. What somebody else wrote must not make the two sides of the index differ. */
  #hold(announced: AnnouncedBlock, hash: bigint, places: readonly Place[]): void {
    const current = this.#index.held(this.#source, announced.blockSize, announced.hash);
    if (current !== undefined) this.#index.release(current);
    this.#source.orphans.claim(announced);
    const context = this.#contextOf(announced);
    const own: Place[] = [];
    for (const place of places) addPlace(own, place);
    this.#mentioned.get(context)!.push(this.#index.hold(this.#source, context, announced, hash, own).block);
  }

  #wait(announced: AnnouncedBlock, places: readonly Place[]): void {
    if (this.#index.held(this.#source, announced.blockSize, announced.hash) !== undefined) return;
    for (const place of places) this.#source.orphans.add(announced, place);
  }

  /** One that is new is not in the table before it is settled, and must not be made twice. */
  #contextOf({ lora, blockSize }: AnnouncedBlock): Context {
    const isWanted = (context: Context): boolean => context.lora === lora && context.blockSize === blockSize;
    if (this.#context !== undefined && isWanted(this.#context)) return this.#context;
    const known = [...this.#mentioned.keys()].find(isWanted);
    this.#context = known ?? this.#index.contexts.open(this.#source.model, lora, blockSize);
    if (known === undefined) this.#mentioned.set(this.#context, []);
    return this.#context;
  }
}
