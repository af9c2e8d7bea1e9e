import type { Place } from "./places.ts";

/** What a block is worth by where it lies: 1 as on the GPU, 0 as if it had to be computed. By tier, as `tierOf` names it. */
export type TierWeights = Readonly<Record<string, number>>;

/** Copying a block from the host's memory costs little beside computing it, from a disk more. */
export const DEFAULT_TIER_WEIGHTS: TierWeights = { gpu: 1, cpu: 0.8 };

/** Of a tier that is not named. */
const OTHER_WEIGHT = 0.5;

export function isOnGpu({ tier }: Place): boolean {
  return tier === "gpu";
}

/** In memory of the host, or better. */
export function isInMemory({ tier }: Place): boolean {
  return tier === "gpu" || tier === "cpu";
}

/** Of the best of these places; 0 without any. */
export function bestWeight(places: readonly Place[], weights: TierWeights): number {
  let best = 0;
  for (const { tier } of places) best = Math.max(best, weights[tier] ?? OTHER_WEIGHT);
  return best;
}
