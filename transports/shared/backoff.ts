/** Bounds of a back-off: the first delay and the longest one. */
export interface BackoffBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Milliseconds to wait before the next attempt, after `failures` in a row (1 or more): doubles from `minMs` to `maxMs`,
 * then takes between half and all of it by `random` (in [0, 1)), so that the clients of one server that restarts do
 * not come back in step.
 */
export function backoffMs(failures: number, random: () => number, bounds: BackoffBounds): number {
  const ceiling = Math.min(bounds.maxMs, bounds.minMs * 2 ** (failures - 1));
  return ceiling * (0.5 + random() / 2);
}
