import { type PackedBatch, type PackedEvent, PackedType } from "../events/packed-batch.ts";
import { hashOf } from "./block-hasher.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { BlockSource } from "./indexer.ts";
import { type Place, placeOf } from "./places.ts";
import type { Source } from "./sources.ts";

/** So many hashes are looked for together, before anything is removed. */
const TOUCHED_AHEAD = 16;

/** Takes the blocks of `BlockRemoved` events out of the index. */
export class BlockRemoval {
  readonly #index: HolderIndex;
  /** Holdings of the hashes that are looked for together. */
  readonly #holdings = new Int32Array(TOUCHED_AHEAD);
  /** Up to which of the batch's hashes that was done. */
  #touchedTo = 0;
  /** Never read: see `HashTable.touch`. */
  #touched = 0;

  constructor(index: HolderIndex) {
    this.#index = index;
  }

  /** Event `eventIndex` of the batch, a `BlockRemoved`. Engines send one for each block, many in a batch. */
  remove(of: BlockSource, batch: PackedBatch, eventIndex: number): void {
    const event = batch.events[eventIndex]!;
    const source = this.#index.sources.find(of);
    if (source !== undefined) {
      const place = placeOf(event);
      const end = event.hashStart + event.hashCount;
      const isBegun = eventIndex > 0 && batch.events[eventIndex - 1]!.type === PackedType.removed;
      if (!isBegun) this.#touchedTo = event.hashStart;
      for (let at = event.hashStart; at < end; at++) {
        if (at >= this.#touchedTo) this.#touch(source, batch, at, eventIndex);
        this.#removePlace(source, batch.hashes[2 * at]! | 0, batch.hashes[2 * at + 1]! | 0, place);
      }
      this.#index.sources.settle(source);
    }
    this.#index.sweepNext();
  }

  /** Asks the memory for what the removal of some hashes from number `from` on, of this and the following events, will look at. */
  #touch(source: Source, batch: PackedBatch, from: number, eventIndex: number): void {
    const { blocks, holdings } = this.#index;
    const { names } = source;
    const blockSize = names.blockSizes[0];
    const to = Math.min(from + TOUCHED_AHEAD, endOfRemovals(batch, eventIndex));
    this.#touchedTo = to;
    if (blockSize === undefined || to - from < 2) return;
    const { hashes } = batch;
    let touched = 0;
    for (let at = from; at < to; at++) {
      touched ^= names.touch(blockSize, hashes[2 * at]! | 0, hashes[2 * at + 1]! | 0);
    }
    for (let at = from; at < to; at++) {
      this.#holdings[at - from] = names.find(blockSize, hashes[2 * at]! | 0, hashes[2 * at + 1]! | 0);
    }
    for (let i = 0; i < to - from; i++) {
      const block = this.#holdings[i] === 0 ? 0 : holdings.block(this.#holdings[i]!);
      if (block !== 0) touched ^= this.#index.contextOf(block).touch(blocks.low(block), blocks.high(block));
    }
    this.#touched ^= touched;
  }

  #removePlace(source: Source, low: number, high: number, place: Place): void {
    const index = this.#index;
    const { blockSizes } = source.names;
    // From the end: a size under which nothing is left leaves the list.
    for (let at = blockSizes.length - 1; at >= 0; at--) {
      const holding = source.names.find(blockSizes[at]!, low, high);
      if (holding === 0 || index.removePlace(holding, place)) continue;
      const block = index.holdings.block(holding);
      const { speculative } = index.contextOf(block);
      if (speculative.size > 0) speculative.drop(hashOf(index.blocks.low(block), index.blocks.high(block)), source.pod);
      index.release(source, holding);
    }
    if (source.orphans.size === 0) return;
    for (const orphan of source.orphans.all(low, high)) source.orphans.removePlace(orphan, place);
  }
}

/** Behind the last hash of this event and of those of its kind that follow without another between them. */
function endOfRemovals({ events, eventCount }: PackedBatch, eventIndex: number): number {
  let last: PackedEvent = events[eventIndex]!;
  for (let index = eventIndex; index < eventCount && events[index]!.type === PackedType.removed; index++) {
    last = events[index]!;
    if (index - eventIndex >= TOUCHED_AHEAD) break;
  }
  return last.hashStart + last.hashCount;
}
