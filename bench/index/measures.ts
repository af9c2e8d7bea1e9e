import { decode } from "@msgpack/msgpack";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import { PackedBatch } from "../../src/events/packed-batch.ts";
import { median } from "../transport/statistics.ts";
import { type Collected, timed, timedOften, timedWithGc } from "./clocks.ts";
import type { Contestant } from "./contestants.ts";
import type { Workload } from "./workload.ts";
import { eventsOf, type FileQuestion } from "./workload-file.ts";

/** How deep a question has to go to be timed. */
const LONG_BLOCKS = 256;

/** What one process says of one contender, whatever it is written in. */
export interface Measured {
  readonly ingestCpuSeconds: number;
  readonly ingestSeconds: number;
  /** Of the workload's removals. */
  readonly removeCpuSeconds: number;
  readonly removeSeconds: number;
  /** Microseconds of CPU for 512 blocks; `null` where no question goes deep. */
  readonly match512Us: number | null;
  /** Milliseconds of CPU to forget one pod; only of ours and the Maps, like all that follows. */
  readonly clearMs?: number;
  readonly bytesPerHolder?: number;
  /** During the ingest. */
  readonly collected?: Collected;
}

/** What `measure` needs to know of a workload. */
export interface MeasuredWorkload {
  readonly messages: { readonly length: number };
  readonly questions: readonly FileQuestion[];
}

export interface Output extends Measured {
  /** Of each question, by pod: blocks, or per cent of the prompt by AIBrix. */
  readonly answers: readonly Readonly<Record<string, number>>[];
}

/** V8 compiles, and compiles again what it knows more of by then: what comes after so many passes takes as long as ever after. */
const WARM_PASSES = 2;
/** More are not needed for that, and the indexes that they make are in the way. */
const WARM_MESSAGES = 40_000;

/**
 * Goes through it some times for the compiler, and then once more, into an index as empty as the first. The others stay
 * alive meanwhile: V8 throws away what it has compiled for an object that is gone.
 */
export async function measure(make: () => Contestant, { messages, questions }: MeasuredWorkload): Promise<Output> {
  const share = Math.min(1, WARM_MESSAGES / messages.length);
  const others = Array.from({ length: WARM_PASSES }, () => warm(make, share));
  const bytesBefore = usedBytes();
  const index = make();
  const { cpuSeconds, seconds, ...collected } = await timedWithGc(() => index.ingest());
  const bytesPerHolder = (index.bytes?.() ?? usedBytes() - bytesBefore) / index.holders();
  const answers = questions.map(({ tokens }) => Object.fromEntries(index.answer(tokens)));
  const match512Us = usPer512(questions, (tokens) => index.match(tokens));
  const removed = timed(() => index.remove());
  const cleared = timed(() => index.clear());
  others.length = 0;
  return {
    ...{ ingestCpuSeconds: cpuSeconds, ingestSeconds: seconds, collected, bytesPerHolder, match512Us, answers },
    ...{ removeCpuSeconds: removed.cpuSeconds, removeSeconds: removed.seconds, clearMs: 1e3 * cleared.cpuSeconds },
  };
}

function warm(make: () => Contestant, share: number): Contestant {
  const index = make();
  index.ingest(share);
  index.remove();
  index.clear();
  return index;
}

/** Of the process, by what is alive: what an index takes that does not count it. */
function usedBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Microseconds by blocks that were really matched, for 512 of them. */
function usPer512(questions: readonly FileQuestion[], ask: (tokens: Uint32Array) => unknown): number | null {
  const long = questions.filter(({ deepestBlocks }) => deepestBlocks >= LONG_BLOCKS);
  if (long.length === 0) return null;
  const blocks = long.reduce((sum, { deepestBlocks }) => sum + deepestBlocks, 0);
  const askAll = (): void => {
    for (const { tokens } of long) ask(tokens);
  };
  // The first time is for the compiler, as with messages.
  timedOften(askAll);
  const { cpuSeconds } = timedOften(askAll);
  return (1e6 * cpuSeconds * 512) / blocks;
}

/**
 * Messages a second of CPU time, the stores of a workload, side by side in memory as a socket's bytes are; the first round
 * is for the compiler: our decoder and the library.
 */
export function decodeRate(
  { messages }: Workload,
  rounds: number,
): { readonly ours: number; readonly library: number } {
  const stores = messages.filter(({ payload }) => eventsOf(payload).every(({ type }) => type === "BlockStored"));
  const together = Buffer.concat(stores.map(({ payload }) => payload));
  let end = 0;
  const some = stores.map(({ payload: { length } }) => {
    end += length;
    return together.subarray(end - length, end);
  });
  const batch = new PackedBatch();
  const own: number[] = [];
  const library: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const ownTook = timedOften(() => {
      for (const payload of some) decodePackedBatch(payload, batch);
    });
    const libraryTook = timedOften(() => {
      for (const payload of some) decode(payload, { useBigInt64: true });
    });
    own.push(ownTook.cpuSeconds);
    library.push(libraryTook.cpuSeconds);
  }
  return { ours: some.length / median(own.slice(1)), library: some.length / median(library.slice(1)) };
}
