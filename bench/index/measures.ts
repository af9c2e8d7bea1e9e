import { decode } from "@msgpack/msgpack";
import type { XXHashAPI } from "xxhash-wasm";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import { PackedBatch, packEvent } from "../../src/events/packed-batch.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventHandler } from "../../src/sync/handler.ts";
import { median } from "../transport/statistics.ts";
import { type Took, timed, timedOften } from "./clocks.ts";
import { NaiveIndex } from "./naive.ts";
import { BLOCK_SIZE, MODEL, type PodMessage, type Question, type Workload } from "./workload.ts";
import { eventsOf } from "./workload-file.ts";

/** How deep a question has to go to be timed. */
const LONG_BLOCKS = 256;

/** One index, with the messages of a workload taken in. */
export interface Measured {
  readonly ingest: Took;
  /** Questions that it answers wrong. */
  readonly wrong: number;
  /** Microseconds of CPU for 512 blocks; `null` where no question goes deep. */
  readonly match512Us: number | null;
  readonly clearSeconds: number;
}

/** Ours, beside what it takes of memory. */
export interface OursMeasured extends Measured {
  readonly bytesPerHolder: number;
}

/** The index behind the decoder, as in the daemon; `messages` are those of the workload in some encoding. */
export function ours(workload: Workload, messages: readonly PodMessage[] = workload.messages): OursMeasured {
  const { index, handlers } = emptyIndex(workload);
  const ingest = timed(() => {
    for (const { pod, payload } of messages) handlers[pod]!.handle(payload);
  });
  const bytesPerHolder = index.bytes / index.stats().holders;
  const asked = askOurs(workload, index);
  const clear = timed(() => handlers[0]!.purge());
  return { ingest, ...asked, clearSeconds: clear.seconds, bytesPerHolder };
}

/** The index alone, given events that are decoded already. */
export function oursDecoded(
  workload: Workload,
  { batch, pods }: DecodedEvents,
): Pick<Measured, "ingest" | "wrong" | "match512Us"> {
  const index = new SyncPrefixHashTable({ maxBytes: 16e9 });
  const sources = workload.pods.map((pod) => ({ model: MODEL, pod, rank: 0, loraId: -1 }));
  const ingest = timed(() => {
    for (let at = 0; at < pods.length; at++) index.processEvent(sources[pods[at]!]!, batch, at);
  });
  return { ingest, ...askOurs(workload, index) };
}

/** All events of a workload in one batch. */
export interface DecodedEvents {
  readonly batch: PackedBatch;
  /** Of each event. */
  readonly pods: readonly number[];
}

export function decodedEvents({ messages }: Workload): DecodedEvents {
  const batch = new PackedBatch();
  const pods: number[] = [];
  for (const { pod, payload } of messages) {
    for (const event of eventsOf(payload)) {
      packEvent(batch, event);
      pods.push(pod);
    }
  }
  return { batch, pods };
}

/** The index that is written with Maps. */
export function naive(workload: Workload, hash: XXHashAPI): Measured {
  const { pods, messages, questions } = workload;
  const index = new NaiveIndex(hash, BLOCK_SIZE);
  const ingest = timed(() => {
    for (const { pod, payload } of messages) index.handle(pods[pod]!, payload);
  });
  const wrong = questions.filter((question) => !isRight(question, pods, index.match(question.tokens))).length;
  const match512Us = usPer512(questions, (tokens) => index.match(tokens));
  const clear = timed(() => index.clear(pods[0]!));
  return { ingest, wrong, match512Us, clearSeconds: clear.seconds };
}

/** Messages a second, those of a workload: our decoder and the library. */
export function decodeRate(
  { messages }: Workload,
  rounds: number,
): { readonly ours: number; readonly library: number } {
  const some = messages.map(({ payload }) => payload);
  const batch = new PackedBatch();
  const own: number[] = [];
  const library: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const ownTook = timed(() => {
      for (const payload of some) decodePackedBatch(payload, batch);
    });
    const libraryTook = timed(() => {
      for (const payload of some) decode(payload, { useBigInt64: true });
    });
    own.push(ownTook.seconds);
    library.push(libraryTook.seconds);
  }
  return { ours: some.length / median(own.slice(1)), library: some.length / median(library.slice(1)) };
}

/** Whether an index says of a question what the generator of the messages knows: blocks by pod. */
export function isRight(
  { blocksByPod }: Question,
  pods: readonly string[],
  answer: ReadonlyMap<string, number>,
): boolean {
  if (answer.size !== blocksByPod.size) return false;
  return [...blocksByPod].every(([pod, blocks]) => answer.get(pods[pod]!) === blocks);
}

function emptyIndex({ pods }: Workload): { index: SyncPrefixHashTable; handlers: KVEventHandler[] } {
  const index = new SyncPrefixHashTable({ maxBytes: 16e9 });
  const handlers = pods.map(
    (pod) => new KVEventHandler(index, { model: MODEL, pod, rank: 0, loraId: -1, isForeignRank: () => false }),
  );
  return { index, handlers };
}

function askOurs({ questions, pods }: Workload, index: SyncPrefixHashTable): Pick<Measured, "wrong" | "match512Us"> {
  const ask = (tokens: Uint32Array): Map<string, number> =>
    new Map(index.matchPrefix(MODEL, -1, tokens).map(({ pod, matchedBlocks }) => [pod, matchedBlocks]));
  const wrong = questions.filter((question) => !isRight(question, pods, ask(question.tokens))).length;
  return { wrong, match512Us: usPer512(questions, (tokens) => index.matchPrefix(MODEL, -1, tokens)) };
}

/** Microseconds by blocks that were really matched, for 512 of them. */
function usPer512(questions: readonly Question[], ask: (tokens: Uint32Array) => unknown): number | null {
  const matched = (question: Question): number => Math.max(0, ...question.blocksByPod.values());
  const long = questions.filter((question) => matched(question) >= LONG_BLOCKS);
  if (long.length === 0) return null;
  const blocks = long.reduce((sum, question) => sum + matched(question), 0);
  const { cpuSeconds } = timedOften(() => {
    for (const { tokens } of long) ask(tokens);
  });
  return (1e6 * cpuSeconds * 512) / blocks;
}
