import { formatTable } from "../../src/cli/table.ts";
import { median, rounded } from "../transport/statistics.ts";
import type { Contender, Given, Reading } from "./contenders.ts";
import type { Workload } from "./workload.ts";

/** One line of the table: medians over the rounds. */
export interface Line {
  readonly name: string;
  readonly given: Given;
  /** Blocks a second, by the time that went by where several processors were used, else by CPU time. */
  readonly ingest: number;
  /** Microseconds; `null` where no question goes deep. */
  readonly match512Us: number | null;
  /** Blocks a second, of events of one block. */
  readonly removal: number;
  /** These are `null` where the contender does not tell. */
  readonly clearMs: number | null;
  readonly bytesPerHolder: number | null;
  readonly gcMs: number | null;
  readonly maxGcMs: number | null;
  /** The most in any round. */
  readonly wrong: number;
}

/** Medians of what one contender did. */
export function lineOf({ name, given, processors }: Contender, work: Workload, readings: readonly Reading[]): Line {
  const isByCpu = processors === 1;
  const ingest = readings.map((each) => (isByCpu ? each.ingestCpuSeconds : each.ingestSeconds));
  const removal = readings.map((each) => (isByCpu ? each.removeCpuSeconds : each.removeSeconds));
  return {
    name,
    given,
    ingest: (work.storedBlocks + work.removedBlocks) / median(ingest),
    match512Us: medianOf(readings.map(({ match512Us }) => match512Us)),
    removal: work.removals.length / median(removal),
    clearMs: medianOf(readings.map(({ clearMs }) => clearMs)),
    bytesPerHolder: medianOf(readings.map(({ bytesPerHolder }) => bytesPerHolder)),
    gcMs: medianOf(readings.map(({ collected }) => collected?.gcMs)),
    maxGcMs: medianOf(readings.map(({ collected }) => collected?.maxGcMs)),
    wrong: Math.max(...readings.map(({ wrong }) => wrong)),
  };
}

/** How many times faster ours is than a rival; `null` where there is none. */
export function ratios(
  own: Line | undefined,
  rival: Line | undefined,
): Readonly<Record<"ingest" | "match", number | null>> {
  if (own === undefined || rival === undefined) return { ingest: null, match: null };
  const isTimed = own.match512Us !== null && rival.match512Us !== null;
  return {
    ingest: rounded(own.ingest / rival.ingest),
    match: isTimed ? rounded(rival.match512Us! / own.match512Us!) : null,
  };
}

/** All lines with all that was measured, and what they were given. */
export function tableOf(lines: readonly Line[], work: Workload): string {
  const { questions, messages, storedBlocks, removedBlocks, pods, heldPairs } = work;
  const head = [
    ...["", "GIVEN", "INGEST, blocks", "MATCH 512", "REMOVAL, blocks", "POD CLEARED", "BYTES/HOLDER"],
    ...["GC", "LONGEST", `WRONG OF ${questions.length}`],
  ];
  const rows = lines.map((line) => [
    ...[line.name, line.given, `${(line.ingest / 1e6).toFixed(3)} M/s`, withUnit(line.match512Us, "µs", 0)],
    ...[
      `${(line.removal / 1e6).toFixed(3)} M/s`,
      withUnit(line.clearMs, "ms", 1),
      withUnit(line.bytesPerHolder, "B", 1),
    ],
    ...[withUnit(line.gcMs, "ms", 0), withUnit(line.maxGcMs, "ms", 1), String(line.wrong)],
  ]);
  return (
    `${storedBlocks} blocks stored and ${removedBlocks} removed by ${pods.length} pods in ${messages.length} messages; ` +
    `${heldPairs} held at the end\n${formatTable([head, ...rows])}`
  );
}

function withUnit(value: number | null, unit: string, digits: number): string {
  return value === null ? "–" : `${value.toFixed(digits)} ${unit}`;
}

function medianOf(values: readonly (number | null | undefined)[]): number | null {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length === 0 ? null : median(known);
}
