import type { Lora } from "./indexer.ts";
import { NumberedList } from "./numbered.ts";
import { PLACE_SET_BITS, PlaceSets } from "./place-sets.ts";
import type { Place } from "./places.ts";
import { Records } from "./records.ts";
import type { TierWeights } from "./tiers.ts";

// Words of an orphan's record, after the two of its name.
const LOCAL = 2;
const NEWER = 4;
const OLDER = 5;
const BLOCK_SIZE = 6;
const LORA = 7;
const WORDS = 8;

// Words of its record among siblings, after the two of its parent's name.
const PREVIOUS = 2;
const NEXT = 3;
const SIBLING_WORDS = 4;

const LORA_BITS = 32 - PLACE_SET_BITS;
const LORA_MASK = (1 << LORA_BITS) - 1;

/** Addresses are set aside for so many. */
const MAX_ORPHANS = (1 << 24) - 1;

/** Tokens of the largest block that can wait: more than any event has. */
export const MAX_BLOCK_SIZE: number = 2 ** 31 - 1;

/** What an event says of one block, with its tokens and extra keys already hashed. Hashes are in signed words. */
export interface AnnouncedBlock {
  /** The engine's name for it. */
  readonly low: number;
  readonly high: number;
  /** False at the start of a prompt, and where only a place is known; the parent's words are 0 then. */
  readonly hasParent: boolean;
  readonly parentLow: number;
  readonly parentHigh: number;
  /** `BlockHasher.local` of the block. */
  readonly localLow: number;
  readonly localHigh: number;
  readonly lora: Lora;
  /** Tokens, up to `MAX_BLOCK_SIZE`. */
  readonly blockSize: number;
}

/**
 * The blocks of all sources that cannot be indexed yet. Each is a number, 0 for none, and has a record in `named`, where
 * a `HashTable` finds it by its name, and one in `siblings`, where another finds the first child of a parent by the
 * parent's name. Both are taken and given back together, so that both have the same number.
 */
export class OrphanRecords {
  readonly named: Records = new Records(WORDS, MAX_ORPHANS);
  readonly siblings: Records = new Records(SIBLING_WORDS, MAX_ORPHANS);
  readonly #sets: PlaceSets;
  readonly #loras = new Loras();

  constructor(weights: TierWeights) {
    this.#sets = new PlaceSets(weights);
  }

  get size(): number {
    return this.named.size;
  }

  /** Of the records. */
  get bytes(): number {
    return this.named.bytes + this.siblings.bytes;
  }

  /** What one more adds to `bytes`; infinite where no number is left. */
  get growth(): number {
    return this.named.growth + this.siblings.growth;
  }

  /** Of one orphan. */
  get bytesEach(): number {
    return 4 * (this.named.words + this.siblings.words);
  }

  /** Sets of places that have no number, which are on the heap. */
  get ownPlaceSets(): number {
    return this.#sets.ownSize;
  }

  /** Adapters that any of them is of, which are on the heap. */
  get loras(): number {
    return this.#loras.size;
  }

  low(orphan: number): number {
    return this.#word(orphan, 0);
  }

  high(orphan: number): number {
    return this.#word(orphan, 1);
  }

  localLow(orphan: number): number {
    return this.#word(orphan, LOCAL);
  }

  localHigh(orphan: number): number {
    return this.#word(orphan, LOCAL + 1);
  }

  /** Tokens; 0 where only places are known. */
  blockSize(orphan: number): number {
    return this.#word(orphan, BLOCK_SIZE);
  }

  lora(orphan: number): Lora {
    return this.#loras.of(this.#word(orphan, LORA) & LORA_MASK);
  }

  /** Not to be changed. */
  places(orphan: number): readonly Place[] {
    return this.#sets.of(orphan, this.#placeSet(orphan)).places;
  }

  /** At least one. The array must not change afterwards. */
  setPlaces(orphan: number, places: readonly Place[]): void {
    this.#sets.forget(orphan, this.#placeSet(orphan));
    this.#keepPlaces(orphan, places);
  }

  /** The one that came after it to the same source; 0 for none. */
  newer(orphan: number): number {
    return this.#word(orphan, NEWER);
  }

  setNewer(orphan: number, newer: number): void {
    this.#setWord(orphan, NEWER, newer);
  }

  older(orphan: number): number {
    return this.#word(orphan, OLDER);
  }

  setOlder(orphan: number, older: number): void {
    this.#setWord(orphan, OLDER, older);
  }

  /** Of no meaning without a parent. */
  parentLow(orphan: number): number {
    return this.#siblingWord(orphan, 0);
  }

  parentHigh(orphan: number): number {
    return this.#siblingWord(orphan, 1);
  }

  hasParent(orphan: number): boolean {
    return this.previous(orphan) !== 0;
  }

  /** The child of the same parent that came before it; of the first one the last one; 0 without a parent. */
  previous(orphan: number): number {
    return this.#siblingWord(orphan, PREVIOUS);
  }

  setPrevious(orphan: number, previous: number): void {
    this.siblings.data[this.siblings.at(orphan) + PREVIOUS] = previous;
  }

  /** The child of the same parent that came after it; 0 for none. */
  next(orphan: number): number {
    return this.#siblingWord(orphan, NEXT);
  }

  setNext(orphan: number, next: number): void {
    this.siblings.data[this.siblings.at(orphan) + NEXT] = next;
  }

  /** Whether what is known of the two, besides name and block size, is the same. */
  isSame(orphan: number, block: AnnouncedBlock): boolean {
    if (this.localLow(orphan) !== block.localLow || this.localHigh(orphan) !== block.localHigh) return false;
    if (this.lora(orphan) !== block.lora || this.hasParent(orphan) !== block.hasParent) return false;
    if (!block.hasParent) return true;
    return this.parentLow(orphan) === block.parentLow && this.parentHigh(orphan) === block.parentHigh;
  }

  /** In no list yet. 0 where there is no number left. `places`: at least one; the array must not change afterwards. */
  create(block: AnnouncedBlock, places: readonly Place[]): number {
    const lora = this.#loras.take(block.lora);
    if (lora === 0) return 0;
    const orphan = this.named.take();
    if (orphan === 0) {
      this.#loras.give(lora);
      return 0;
    }
    this.siblings.take();
    const { data } = this.named;
    const at = this.named.at(orphan);
    data[at] = block.low;
    data[at + 1] = block.high;
    data[at + LOCAL] = block.localLow;
    data[at + LOCAL + 1] = block.localHigh;
    data[at + NEWER] = 0;
    data[at + OLDER] = 0;
    data[at + BLOCK_SIZE] = block.blockSize;
    data[at + LORA] = lora;
    const siblings = this.siblings.data;
    const siblingAt = this.siblings.at(orphan);
    siblings[siblingAt] = block.parentLow;
    siblings[siblingAt + 1] = block.parentHigh;
    siblings[siblingAt + PREVIOUS] = 0;
    siblings[siblingAt + NEXT] = 0;
    this.#keepPlaces(orphan, places);
    return orphan;
  }

  /** It must be in no list any more. */
  free(orphan: number): void {
    this.#sets.forget(orphan, this.#placeSet(orphan));
    this.#loras.give(this.#word(orphan, LORA) & LORA_MASK);
    this.named.give(orphan);
    this.siblings.give(orphan);
  }

  #placeSet(orphan: number): number {
    return this.#word(orphan, LORA) >>> LORA_BITS;
  }

  #keepPlaces(orphan: number, places: readonly Place[]): void {
    const number = this.#sets.keep(orphan, places);
    this.#setWord(orphan, LORA, (this.#word(orphan, LORA) & LORA_MASK) | (number << LORA_BITS));
  }

  #word(orphan: number, word: number): number {
    return this.named.data[this.named.at(orphan) + word]!;
  }

  #setWord(orphan: number, word: number, value: number): void {
    this.named.data[this.named.at(orphan) + word] = value;
  }

  #siblingWord(orphan: number, word: number): number {
    return this.siblings.data[this.siblings.at(orphan) + word]!;
  }
}

interface CountedLora {
  readonly lora: Lora;
  uses: number;
}

/** Adapters by numbers from 1; one that no orphan is of any more is forgotten. */
class Loras {
  readonly #numbers = new Map<Lora, number>();
  readonly #list = new NumberedList<CountedLora>(LORA_MASK);

  get size(): number {
    return this.#numbers.size;
  }

  of(number: number): Lora {
    return this.#list.get(number).lora;
  }

  /** The adapter's number, for one more orphan; 0 where none is left. */
  take(lora: Lora): number {
    let number = this.#numbers.get(lora);
    if (number === undefined) {
      number = this.#list.add({ lora, uses: 0 });
      if (number === 0) return 0;
      this.#numbers.set(lora, number);
    }
    this.#list.get(number).uses++;
    return number;
  }

  give(number: number): void {
    const counted = this.#list.get(number);
    if (--counted.uses > 0) return;
    this.#numbers.delete(counted.lora);
    this.#list.remove(number);
  }
}
