import { KVEventSyncError } from "../errors.ts";
import type { AttentionGroup } from "./attention-groups.ts";
import { hashOf, highWord, lowWord } from "./block-hasher.ts";
import type { Context } from "./context.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { BlockSource, ExportedBlock, ExportedHolding, ExportedOrphan } from "./indexer.ts";
import { type AnnouncedBlock, MAX_BLOCK_SIZE, type OrphanRecords } from "./orphan-records.ts";
import { addPlace, type Place } from "./places.ts";
import type { Source } from "./sources.ts";

/** See `PrefixIndexer.exportSource`. */
export function* exportBlocks(index: HolderIndex, of: BlockSource): IterableIterator<ExportedBlock> {
  const source = index.sources.find(of);
  if (source === undefined) return;
  for (const holding of source.names.values()) {
    // Cleared meanwhile.
    if (!source.isKept) return;
    if (!index.isExpired(index.holdings.block(holding))) yield exportedHolding(index, holding);
  }
  for (const orphan of source.orphans.byAge()) {
    if (!source.isKept) return;
    yield exportedOrphan(index.orphans, orphan);
  }
}

function exportedOrphan(records: OrphanRecords, orphan: number): ExportedOrphan {
  const parent = records.hasParent(orphan) ? hashOf(records.parentLow(orphan), records.parentHigh(orphan)) : null;
  return {
    blockHash: hashOf(records.low(orphan), records.high(orphan)),
    parentBlockHash: parent,
    lora: records.lora(orphan),
    blockSize: records.blockSize(orphan),
    localHash: hashOf(records.localLow(orphan), records.localHigh(orphan)),
    chainedHash: null,
    places: records.places(orphan),
  };
}

function exportedHolding(index: HolderIndex, holding: number): ExportedHolding {
  const { blocks, holdings } = index;
  const block = holdings.block(holding);
  const { lora, blockSize } = index.contextOf(block);
  return {
    blockHash: hashOf(holdings.low(holding), holdings.high(holding)),
    lora,
    blockSize,
    chainedHash: hashOf(blocks.low(block), blocks.high(block)),
    proof: holdings.proof(holding),
    places: index.placesOf(holding).places,
  };
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
  index.sources.setHidden(source, true);
  for (const group of groups) source.groups.add(group);
  new ImportStep(index, source).run(blocks);
}

/** What is shared by the blocks of one import. */
class ImportStep {
  readonly #index: HolderIndex;
  readonly #source: Source;
  #context: Context | undefined;
  readonly #mentioned = new Map<Context, number[]>();

  constructor(index: HolderIndex, source: Source) {
    this.#index = index;
    this.#source = source;
  }

  run(blocks: Iterable<ExportedBlock>): void {
    this.#index.begin();
    for (const exported of blocks) {
      if (exported.chainedHash === null) this.#wait(exported);
      else this.#hold(exported);
    }
    for (const [context, held] of this.#mentioned) {
      this.#index.mention(Int32Array.from(held));
      this.#index.bounds.settle(context);
    }
    this.#index.bounds.settleOrphans(this.#source);
  }

  /** An index exports each name once. What somebody else wrote must not make the two sides of the index differ. */
  #hold(exported: ExportedHolding): void {
    const index = this.#index;
    const source = this.#source;
    const { blockHash, blockSize, chainedHash, proof } = exported;
    const [nameLow, nameHigh] = [lowWord(blockHash), highWord(blockHash)];
    const current = index.held(source, blockSize, nameLow, nameHigh);
    if (current !== 0) index.release(source, current);
    source.orphans.end(blockSize, nameLow, nameHigh);
    const context = this.#contextOf(exported);
    const own = ownPlaces(exported.places);
    const [low, high] = [lowWord(chainedHash), highWord(chainedHash)];
    // What comes before it is not said.
    index.blocks.listAll((number) => index.contexts.numbered(number));
    const holding = index.hold(source, context, nameLow, nameHigh, proof, low, high, own, 0);
    if (holding !== 0) this.#mentioned.get(context)!.push(index.holdings.block(holding));
  }

  #wait({ blockHash, parentBlockHash: parent, lora, blockSize, localHash, places }: ExportedOrphan): void {
    const [low, high] = [lowWord(blockHash), highWord(blockHash)];
    if (places.length === 0 || blockSize > MAX_BLOCK_SIZE) return;
    if (this.#index.held(this.#source, blockSize, low, high) !== 0) return;
    const announced: AnnouncedBlock = {
      low,
      high,
      hasParent: parent !== null,
      parentLow: lowWord(parent ?? 0n),
      parentHigh: highWord(parent ?? 0n),
      localLow: lowWord(localHash),
      localHigh: highWord(localHash),
      lora,
      blockSize,
    };
    this.#index.wait(this.#source, announced, ownPlaces(places));
  }

  /** One that is new is not in the table before it is settled, and must not be made twice. */
  #contextOf({ lora, blockSize }: ExportedHolding): Context {
    const isWanted = (context: Context): boolean => context.lora === lora && context.blockSize === blockSize;
    if (this.#context !== undefined && isWanted(this.#context)) return this.#context;
    const known = [...this.#mentioned.keys()].find(isWanted);
    this.#context = known ?? this.#index.contexts.open(this.#source.model, lora, blockSize);
    if (known === undefined) this.#mentioned.set(this.#context, []);
    return this.#context;
  }
}

/** Each once, in an array that nobody else has. */
function ownPlaces(places: readonly Place[]): Place[] {
  const own: Place[] = [];
  for (const place of places) addPlace(own, place);
  return own;
}
