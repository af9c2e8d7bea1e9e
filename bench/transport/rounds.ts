import { median } from "./statistics.ts";

/** Readings of each contender, round by round; none of one that is not there. */
export type Readings<Name extends string, Reading> = Readonly<Record<Name, readonly Reading[]>>;

/**
 * Lets each contender take its turn in every round, so that whatever else the machine does hits all of them alike; every
 * other round goes backwards. A contender that is `null` is not there.
 */
export async function interleaved<Name extends string, Reading>(
  rounds: number,
  contenders: Readonly<Record<Name, (() => Promise<Reading>) | null>>,
  progress: (name: Name, round: number) => void,
): Promise<Readings<Name, Reading>> {
  const names = Object.keys(contenders) as Name[];
  const readings = Object.fromEntries(names.map((name) => [name, [] as Reading[]])) as Record<Name, Reading[]>;
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const measure = contenders[name];
      if (measure === null) continue;
      progress(name, round);
      readings[name].push(await measure());
    }
  }
  return readings;
}

/** The median of what `pick` takes from each reading; `null` where there is none. */
export function middle<Reading>(readings: readonly Reading[], pick: (reading: Reading) => number): number | null {
  return readings.length === 0 ? null : median(readings.map(pick));
}

/** The median over the rounds of ours divided by theirs of the same round; `null` where there is no rival. */
export function ratio<Reading>(
  ours: readonly Reading[],
  theirs: readonly Reading[],
  pick: (reading: Reading) => number,
): number | null {
  if (theirs.length === 0) return null;
  return median(ours.map((reading, round) => pick(reading) / pick(theirs[round]!)));
}
