/**
 * Milliseconds until the next attempt, after `failures` in a row (1 or more): doubles from `minMs` to `maxMs`, and
 * takes between half and all of that by `random` (in [0, 1)), so that many clients do not come back in step.
 */
export function backoffMs(failures: number, random: () => number, minMs: number, maxMs: number): number {
  return Math.min(maxMs, minMs * 2 ** (failures - 1)) * (0.5 + random() / 2);
}
