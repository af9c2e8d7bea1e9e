import type { Difference } from "./compare.ts";

/** What a demo came to, in numbers. */
export interface DemoSummary {
  readonly engines: number;
  /** Requests sent to engines. */
  readonly requests: number;
  /** Events passed to the index. */
  readonly events: number;
  /** Blocks that the engines held at the end; each was compared. */
  readonly blocks: number;
  /** Restarts that the pipeline saw. */
  readonly restarts: number;
  /** Replays that brought all that they were asked for. */
  readonly replays: number;
  /** Batches that were published and never received live. */
  readonly missed: number;
  /** Blocks on which the index and an engine do not agree. */
  readonly divergence: number;
  /** Whom the prompt was routed to; `null`: nobody. */
  readonly routedTo: string | null;
  readonly seconds: number;
}

export interface Verdict {
  readonly isGood: boolean;
  /** One line. */
  readonly text: string;
}

/** Of the process that ran the demo. */
export function exitCodeOf({ isGood }: Verdict): 0 | 1 {
  return isGood ? 0 : 1;
}

/** What ought to have happened. */
export interface Expectation {
  /** Of engines, in place. */
  readonly restarts: number;
}

/** `problems`: what else went wrong, such as a stream that lags, a sentence each. */
export function verdictOf(summary: DemoSummary, expectation: Expectation, problems: readonly string[]): Verdict {
  const { blocks, divergence, restarts, replays, missed } = summary;
  const all = [...problems];
  if (divergence > 0) all.push(`${divergence} of ${blocks} blocks differ between index and engines`);
  if (restarts !== expectation.restarts) all.push(`${restarts} of ${expectation.restarts} restarts were seen`);
  if (blocks === 0) all.push("the engines hold nothing: there was nothing to compare");
  if (all.length > 0) return { isGood: false, text: `FAILED: ${all.join("; ")}` };
  const past = `${count(restarts, "restart")}, ${count(missed, "lost batch", "lost batches")} and ${count(replays, "replay")}`;
  return { isGood: true, text: `OK: all ${blocks} blocks agree, after ${past}` };
}

/** For a person: whose block, which, and how. */
export function describeDifference({ kind, pod, rank, blockHash, detail }: Difference): string {
  return `${pod} rank ${rank}: block ${blockHash.toString(16).padStart(16, "0")} ${kind}: ${detail}`;
}

function count(number: number, one: string, many: string = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
