import { type PackedBatch, type PackedEvent, PackedType } from "../events/packed-batch.ts";
import { hashOf } from "./block-hasher.ts";
import { BlockRun } from "./block-run.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { BlockSource } from "./indexer.ts";
import { OWN_PLACES } from "./place-sets.ts";
import { type Place, placeOf } from "./places.ts";
import type { Source } from "./sources.ts";

/** So many blocks are taken out together. */
const MAX_RUN = 64;
/** Fewer are taken out sooner one by one. */
const MIN_RUN = 3;

/** Takes the blocks of `BlockRemoved` events out of the index. */
export class BlockRemoval {
  readonly #index: HolderIndex;
  /** Of what is taken out together: names, holdings and blocks. */
  readonly #run = new BlockRun();

  constructor(index: HolderIndex) {
    this.#index = index;
  }

  /** The events of the batch from number `from` to before `to`, all `BlockRemoved`: engines send one for each block. */
  remove(of: BlockSource, batch: PackedBatch, from: number, to: number): void {
    const source = this.#index.sources.find(of);
    for (let i = from; i < to; ) {
      const event = batch.events[i]!;
      let end = event.hashStart + event.hashCount;
      for (i++; i < to && isContinued(event, batch.events[i]!, end); i++) end += batch.events[i]!.hashCount;
      if (source !== undefined) this.#removePlaces(source, batch.hashes, event.hashStart, end, placeOf(event));
      this.#index.bounds.sweepNext();
    }
  }

  /** This place of the blocks of these hashes, from pair `from` to before `to`. */
  #removePlaces(source: Source, hashes: Uint32Array, from: number, to: number, place: Place): void {
    for (let at = from; at < to; at += MAX_RUN) {
      const count = Math.min(MAX_RUN, to - at);
      const [blockSize, otherSize] = source.names.blockSizes;
      if (blockSize !== undefined && otherSize === undefined && count >= MIN_RUN) {
        this.#removeRun(source, blockSize, hashes, at, count, place);
        continue;
      }
      for (let i = at; i < at + count; i++) {
        this.#removePlace(source, hashes[2 * i]! | 0, hashes[2 * i + 1]! | 0, place);
      }
    }
    this.#index.sources.settle(source);
  }

  /** Of a source that holds blocks of one size. */
  #removeRun(source: Source, blockSize: number, hashes: Uint32Array, at: number, count: number, place: Place): void {
    const index = this.#index;
    const run = this.#run;
    run.reserve(count, index.wasm);
    for (let word = 0; word < 2 * count; word++) run.names[word] = hashes[2 * at + word]!;
    source.names.findAll(blockSize, run.names, run.holdings, 0, count);
    // Nearly all lie in the same places.
    let only = OWN_PLACES;
    for (let i = 0; i < count; i++) {
      const holding = run.holdings[i]!;
      if (holding === 0) continue;
      const places = index.holdings.places(holding);
      if (places !== only || places === OWN_PLACES) {
        if (index.isOnlyIn(holding, place)) {
          only = places;
        } else {
          index.removePlace(holding, place);
          run.holdings[i] = 0;
          continue;
        }
      }
      this.#disbelieve(source, holding);
    }
    index.releaseAll(source, blockSize, run, 0, count);
    if (source.orphans.size === 0) return;
    for (let i = 0; i < count; i++) this.#removeWaiting(source, run.names[2 * i]!, run.names[2 * i + 1]!, place);
  }

  #removePlace(source: Source, low: number, high: number, place: Place): void {
    const index = this.#index;
    const { blockSizes } = source.names;
    // From the end: a size under which nothing is left leaves the list.
    for (let at = blockSizes.length - 1; at >= 0; at--) {
      const holding = source.names.find(blockSizes[at]!, low, high);
      if (holding === 0 || index.removePlace(holding, place)) continue;
      this.#disbelieve(source, holding);
      index.release(source, holding);
    }
    if (source.orphans.size > 0) this.#removeWaiting(source, low, high, place);
  }

  #removeWaiting({ orphans }: Source, low: number, high: number, place: Place): void {
    for (const orphan of orphans.all(low, high)) orphans.removePlace(orphan, place);
  }

  /** What is removed is believed no more. */
  #disbelieve(source: Source, holding: number): void {
    const { blocks, holdings } = this.#index;
    const block = holdings.block(holding);
    const { speculative } = this.#index.contextOf(block);
    if (speculative.size > 0) speculative.drop(hashOf(blocks.low(block), blocks.high(block)), source.pod);
  }
}

/** Whether this event's hashes follow on pair `end`, and it speaks of the same place. */
function isContinued({ medium, groupIdx }: PackedEvent, event: PackedEvent, end: number): boolean {
  return event.hashStart === end && event.medium === medium && event.groupIdx === groupIdx;
}

/** The number of the first event from number `from` on that is no `BlockRemoved`; `to` if there is none before. */
export function endOfRemovals({ events }: PackedBatch, from: number, to: number): number {
  let end = from;
  while (end < to && events[end]!.type === PackedType.removed) end++;
  return end;
}
