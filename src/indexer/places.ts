import { type BlockRemoved, tierOf } from "../events/event.ts";

/** Where within one engine a copy of a block lies. */
export interface Place {
  /** As `tierOf` names it. */
  readonly tier: string;
  /** Attention group of a hybrid model; `null` where the engine has no groups. */
  readonly group: number | null;
}

/** More than any engine has (tiers × groups); only a broken one reaches it, and then its oldest place is forgotten. */
const MAX_PLACES = 256;

export function placeOf(event: Pick<BlockRemoved, "medium" | "groupIdx">): Place {
  return { tier: tierOf(event.medium), group: event.groupIdx };
}

/** Adds a place to a set of them; once is as good as twice. */
export function addPlace(places: Place[], place: Place): void {
  if (places.some((known) => known.tier === place.tier && known.group === place.group)) return;
  if (places.length === MAX_PLACES) places.shift();
  places.push(place);
}

/** Takes a place out of a set of them; without a group, all groups of its tier. */
export function removePlace(places: Place[], removed: Place): void {
  for (let i = places.length - 1; i >= 0; i--) {
    const place = places[i]!;
    if (place.tier === removed.tier && (removed.group === null || place.group === removed.group)) places.splice(i, 1);
  }
}

/** `tier`, or `tier/group`. */
export function placeName(place: Place): string {
  return place.group === null ? place.tier : `${place.tier}/${place.group}`;
}
