import { addPlace, type Place, removePlace } from "./places.ts";
import { bestWeight, isInMemory, isOnGpu, type TierWeights } from "./tiers.ts";

/** Bits of a set's number in a holding. */
export const PLACE_SET_BITS = 6;

/** What a table of sets has no number for is kept with the holding itself (`OwnPlaces`). */
export const OWN_PLACES: number = (1 << PLACE_SET_BITS) - 1;

/** Of a set of places: what a match needs of it. */
export interface PlaceSet {
  readonly places: readonly Place[];
  readonly onGpu: boolean;
  readonly inMemory: boolean;
  readonly weight: number;
  /** On the GPU, and worth what a block there is: nearly all are. */
  readonly isPlain: boolean;
}

/**
 * Sets of places, each kept once: engines know few of them, and a holding can then say where it lies in 6 bits. A set
 * that nobody uses is forgotten, so that a broken engine cannot use the numbers up for the others.
 */
export class PlaceSets {
  readonly #weights: TierWeights;
  readonly #sets: (PlaceSet | undefined)[] = [];
  readonly #uses: number[] = [];
  /** `isPlain` of each set: read for each holding that a match meets. */
  readonly #plain = new Uint8Array(OWN_PLACES);
  /** Of holdings whose set has no number. */
  readonly #own = new Map<number, PlaceSet>();
  /** What was kept last, and its number: the places of one event after the other are the same array. */
  #lastPlaces: readonly Place[] = [];
  #lastNumber = 0;

  constructor(weights: TierWeights) {
    this.#weights = weights;
  }

  /** Sets that have no number. */
  get ownSize(): number {
    return this.#own.size;
  }

  /** Of holding `holding`, which says that its set has this number. */
  of(holding: number, number: number): PlaceSet {
    return number === OWN_PLACES ? this.#own.get(holding)! : this.#sets[number]!;
  }

  isPlain(holding: number, number: number): boolean {
    return number === OWN_PLACES ? this.of(holding, number).isPlain : this.#plain[number] === 1;
  }

  /** The number by which the holding names these places from now on. */
  keep(holding: number, places: readonly Place[]): number {
    const last = this.#sets[this.#lastNumber];
    if (last !== undefined && this.#lastPlaces === places) {
      this.#uses[this.#lastNumber]!++;
      return this.#lastNumber;
    }
    const number = this.#number(holding, places);
    if (number !== OWN_PLACES) {
      this.#lastNumber = number;
      this.#lastPlaces = places;
    }
    return number;
  }

  /** The same for so many holdings at once, if these places were kept last; −1 otherwise. */
  keepAgain(places: readonly Place[], holdings: number): number {
    if (this.#sets[this.#lastNumber] === undefined || this.#lastPlaces !== places) return -1;
    this.#uses[this.#lastNumber]! += holdings;
    return this.#lastNumber;
  }

  #number(holding: number, places: readonly Place[]): number {
    let free = -1;
    for (let number = 0; number < OWN_PLACES; number++) {
      const set = this.#sets[number];
      if (set === undefined) {
        if (free < 0) free = number;
        if (number >= this.#sets.length) break;
      } else if (isSame(set.places, places)) {
        this.#uses[number]!++;
        return number;
      }
    }
    const set = this.#describe([...places]);
    if (free < 0) {
      this.#own.set(holding, set);
      return OWN_PLACES;
    }
    this.#sets[free] = set;
    this.#uses[free] = 1;
    this.#plain[free] = set.isPlain ? 1 : 0;
    return free;
  }

  /** The holding says this number no more. */
  forget(holding: number, number: number): void {
    if (number === OWN_PLACES) this.#own.delete(holding);
    else if (--this.#uses[number]! === 0) this.#sets[number] = undefined;
  }

  /** So many holdings say this number, which is not that of sets of their own, no more. */
  forgetAll(number: number, holdings: number): void {
    this.#uses[number]! -= holdings;
    if (this.#uses[number] === 0) this.#sets[number] = undefined;
  }

  /** Whether this place is one of them already. */
  has(holding: number, number: number, { tier, group }: Place): boolean {
    return this.of(holding, number).places.some((place) => place.tier === tier && place.group === group);
  }

  #describe(places: readonly Place[]): PlaceSet {
    const onGpu = places.some(isOnGpu);
    const weight = bestWeight(places, this.#weights);
    const isPlain = onGpu && weight === this.#weights["gpu"];
    return { places, onGpu, inMemory: places.some(isInMemory), weight, isPlain };
  }
}

/** These places and one more. */
export function withPlace(places: readonly Place[], place: Place): Place[] {
  const more = [...places];
  addPlace(more, place);
  return more;
}

/** These places without what a removal takes out. */
export function withoutPlace(places: readonly Place[], place: Place): Place[] {
  const rest = [...places];
  removePlace(rest, place);
  return rest;
}

function isSame(left: readonly Place[], right: readonly Place[]): boolean {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) {
    if (left[i]!.tier !== right[i]!.tier || left[i]!.group !== right[i]!.group) return false;
  }
  return true;
}
