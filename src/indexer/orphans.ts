import { BASE_MODEL } from "./block-identity.ts";
import type { HashTable } from "./hash-table.ts";
import type { Lora } from "./indexer.ts";
import { Names } from "./names.ts";
import type { AnnouncedBlock, OrphanRecords } from "./orphan-records.ts";
import { withoutPlace, withPlace } from "./place-sets.ts";
import { addPlace, type Place } from "./places.ts";
import type { Records } from "./records.ts";

export type { AnnouncedBlock } from "./orphan-records.ts";

/** Stands for blocks of which only the engine hash and a place are known. */
const TOKENS_UNKNOWN = 0;

/** What is known of a block without tokens. */
export function placeOnly(low: number, high: number): AnnouncedBlock {
  const nothing = { hasParent: false, parentLow: 0, parentHigh: 0, localLow: 0, localHigh: 0 };
  return { low, high, ...nothing, lora: BASE_MODEL, blockSize: TOKENS_UNKNOWN };
}

/**
 * Blocks of one engine whose parent, or whose tokens, are not known. They are kept as hashes, so that each takes the
 * same little memory, and waited for by the name of what they lack. An engine hash is either here or among the
 * engine's indexed blocks, never both, for any one block size. An orphan is a number, 0 for none; `records` says the
 * rest of it.
 */
export class Orphans {
  readonly records: OrphanRecords;
  readonly #newTable: (records: Records) => HashTable;
  readonly #names: Names;
  /** The first child of each parent by the parent's name; none where nothing waits for a parent. */
  #children: HashTable | undefined;
  #oldest = 0;
  #newest = 0;

  constructor(records: OrphanRecords, newTable: (records: Records) => HashTable) {
    this.records = records;
    this.#newTable = newTable;
    this.#names = new Names(() => newTable(records.named));
  }

  get size(): number {
    return this.#names.size;
  }

  /** Parents that are waited for. */
  get parents(): number {
    return this.#children?.size ?? 0;
  }

  /** The block of this name and size; 0 for none. */
  get(blockSize: number, low: number, high: number): number {
    return this.#names.find(blockSize, low, high);
  }

  /** Those of this name, whatever their size. */
  all(low: number, high: number): number[] {
    const found: number[] = [];
    for (const blockSize of this.#names.blockSizes) {
      const orphan = this.#names.find(blockSize, low, high);
      if (orphan !== 0) found.push(orphan);
    }
    return found;
  }

  /**
   * How many of the names from number `from` to before `to`, pairs of words, mean nothing here, up to the first that
   * something has or waits for.
   */
  countStrangers(names: Int32Array, from: number, to: number): number {
    let end = to;
    for (const blockSize of this.#names.blockSizes) end = from + this.#names.countMissing(blockSize, names, from, end);
    return this.#children === undefined ? end - from : this.#children.countMissing(names, from, end);
  }

  /** The oldest first. */
  *byAge(): IterableIterator<number> {
    for (let orphan = this.#oldest; orphan !== 0; orphan = this.records.newer(orphan)) yield orphan;
  }

  /**
   * Keeps a block, nothing of whose name may be here (`claim`), in these places, at least one, of an array that does not
   * change afterwards. False where no number is left for it.
   */
  add(block: AnnouncedBlock, places: readonly Place[]): boolean {
    const orphan = this.records.create(block, places);
    if (orphan === 0) return false;
    this.#names.add(block.blockSize, block.low, block.high, orphan);
    this.#linkByAge(orphan);
    if (block.hasParent) this.#linkSibling(orphan, block.parentLow, block.parentHigh);
    return true;
  }

  /** The block lies in this place too. */
  addPlace(orphan: number, place: Place): void {
    const places = this.records.places(orphan);
    const more = withPlace(places, place);
    if (more.length > places.length || more.at(-1) !== places.at(-1)) this.records.setPlaces(orphan, more);
  }

  /** The block lies in this place no more; without any place it waits no more. */
  removePlace(orphan: number, place: Place): void {
    const places = this.records.places(orphan);
    const rest = withoutPlace(places, place);
    if (rest.length === 0) this.remove(orphan);
    else if (rest.length < places.length) this.records.setPlaces(orphan, rest);
  }

  /**
   * Ends the waiting of whatever is kept under this block's name. Returns these places, and before them those that hold
   * for the block besides: what came without tokens, and what an earlier announcement said unless of another block.
   */
  claim(block: AnnouncedBlock, places: readonly Place[]): readonly Place[] {
    if (this.size === 0) return places;
    const earlier = this.get(block.blockSize, block.low, block.high);
    const unplaced = block.blockSize === TOKENS_UNKNOWN ? 0 : this.get(TOKENS_UNKNOWN, block.low, block.high);
    if (earlier === 0 && unplaced === 0) return places;
    const all: Place[] = [];
    if (earlier !== 0 && this.records.isSame(earlier, block)) all.push(...this.records.places(earlier));
    if (unplaced !== 0) for (const place of this.records.places(unplaced)) addPlace(all, place);
    if (earlier !== 0) this.remove(earlier);
    if (unplaced !== 0) this.remove(unplaced);
    for (const place of places) addPlace(all, place);
    return all;
  }

  /** Ends the waiting of whatever is kept under this name. */
  end(blockSize: number, low: number, high: number): void {
    for (const size of [blockSize, TOKENS_UNKNOWN]) {
      const orphan = this.get(size, low, high);
      if (orphan !== 0) this.remove(orphan);
    }
  }

  /** The first of what waits for the parent of this name; further ones by `records.next`. 0 for none. */
  firstChild(parentLow: number, parentHigh: number): number {
    return this.#children === undefined ? 0 : this.#children.find(parentLow, parentHigh);
  }

  /** Whether the orphan is of this adapter and block size, as its parent has to be. */
  isOf(orphan: number, blockSize: number, lora: Lora): boolean {
    return this.records.blockSize(orphan) === blockSize && this.records.lora(orphan) === lora;
  }

  /** Drops the oldest until no more than `limit` are left; returns how many. */
  shrinkTo(limit: number): number {
    let dropped = 0;
    while (this.#oldest !== 0 && this.size > limit) {
      this.remove(this.#oldest);
      dropped++;
    }
    return dropped;
  }

  remove(orphan: number): void {
    const { records } = this;
    this.#names.remove(records.blockSize(orphan), records.low(orphan), records.high(orphan), orphan);
    this.#unlinkByAge(orphan);
    if (records.hasParent(orphan)) this.#unlinkSibling(orphan);
    records.free(orphan);
  }

  #linkByAge(orphan: number): void {
    const older = this.#newest;
    this.records.setOlder(orphan, older);
    if (older === 0) this.#oldest = orphan;
    else this.records.setNewer(older, orphan);
    this.#newest = orphan;
  }

  #unlinkByAge(orphan: number): void {
    const newer = this.records.newer(orphan);
    const older = this.records.older(orphan);
    if (newer === 0) this.#newest = older;
    else this.records.setOlder(newer, older);
    if (older === 0) this.#oldest = newer;
    else this.records.setNewer(older, newer);
  }

  /** As the last of its parent's children. */
  #linkSibling(orphan: number, parentLow: number, parentHigh: number): void {
    const { records } = this;
    this.#children ??= this.#newTable(records.siblings);
    const first = this.#children.find(parentLow, parentHigh);
    if (first === 0) {
      records.setPrevious(orphan, orphan);
      this.#children.add(parentLow, parentHigh, orphan);
      return;
    }
    const last = records.previous(first);
    records.setNext(last, orphan);
    records.setPrevious(orphan, last);
    records.setPrevious(first, orphan);
  }

  #unlinkSibling(orphan: number): void {
    const { records } = this;
    const children = this.#children!;
    const parentLow = records.parentLow(orphan);
    const parentHigh = records.parentHigh(orphan);
    const previous = records.previous(orphan);
    const next = records.next(orphan);
    const first = children.find(parentLow, parentHigh);
    if (orphan !== first) {
      records.setNext(previous, next);
      records.setPrevious(next === 0 ? first : next, previous);
      return;
    }
    children.remove(parentLow, parentHigh, orphan);
    if (next !== 0) {
      records.setPrevious(next, previous);
      children.add(parentLow, parentHigh, next);
    } else if (children.size === 0) {
      children.drop();
      this.#children = undefined;
    }
  }
}
