import { formatTable } from "../../src/cli/table.ts";
import { median, rounded } from "../transport/statistics.ts";
import type { Measured } from "./measures.ts";
import type { PeerName, PeerReading } from "./peers.ts";

/** What one contender was given, so that only like is compared with like. */
export type Given = "maps" | "arrays" | "decoded events";

/** One line of the table: medians over the rounds. */
export interface Line {
  readonly name: string;
  readonly given: Given;
  /** Blocks a second, by the time that went by where several processors were used, else by CPU time. */
  readonly ingest: number;
  /** Microseconds; `null` where no question goes deep. */
  readonly match512Us: number | null;
  /** The most in any round. */
  readonly wrong: number;
}

/** Medians of what ours and the Maps did. `blocks` are those that were stored and removed. */
export function lineOf(
  name: string,
  given: Given,
  blocks: number,
  readings: readonly Pick<Measured, "ingest" | "match512Us" | "wrong">[],
): Line {
  return {
    name,
    given,
    ingest: blocks / median(readings.map(({ ingest }) => ingest.cpuSeconds)),
    match512Us: medianOf(readings.map(({ match512Us }) => match512Us)),
    wrong: Math.max(...readings.map(({ wrong }) => wrong)),
  };
}

/** Medians of a peer with so many processors. */
export function peerLine(name: PeerName, procs: number, blocks: number, readings: readonly PeerReading[]): Line {
  const seconds = readings.map((each) => (procs === 1 ? each.ingestCpuSeconds : each.ingestSeconds));
  return {
    name: name === "dynamo" ? name : `${name}, ${procs === 1 ? "one processor" : `${procs} processors`}`,
    given: name === "dynamo" ? "decoded events" : "arrays",
    ingest: blocks / median(seconds),
    match512Us: medianOf(readings.map(({ match512Us }) => match512Us)),
    wrong: Math.max(...readings.map(({ wrong }) => wrong)),
  };
}

/** How many times faster ours is than a peer; `null` where there is none. */
export function ratios(
  own: Line | undefined,
  peer: Line | undefined,
): Readonly<Record<"ingest" | "match", number | null>> {
  if (own === undefined || peer === undefined) return { ingest: null, match: null };
  const isTimed = own.match512Us !== null && peer.match512Us !== null;
  return {
    ingest: rounded(own.ingest / peer.ingest),
    match: isTimed ? rounded(peer.match512Us! / own.match512Us!) : null,
  };
}

/** Ingest, match and wrong answers of all, those that were given the same together. */
export function tableOf(lines: readonly Line[], questions: number): string {
  const head = ["", "GIVEN", "INGEST, blocks", "MATCH 512", `WRONG OF ${questions}`];
  const rows = lines.map(({ name, given, ingest, match512Us, wrong }) => [
    name,
    given,
    `${(ingest / 1e6).toFixed(3)} M/s`,
    match512Us === null ? "–" : `${match512Us.toFixed(0)} µs`,
    String(wrong),
  ]);
  return formatTable([head, ...rows]);
}

function medianOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : median(known);
}
