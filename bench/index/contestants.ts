import xxhash from "xxhash-wasm";
import { PackedBatch, packEvent } from "../../src/events/packed-batch.ts";
import type { PodMatch } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventHandler } from "../../src/sync/handler.ts";
import { NaiveIndex } from "./naive.ts";
import { MODEL, type PodMessage } from "./workload.ts";
import { eventsOf, type FileWorkload } from "./workload-file.ts";

/** An empty index, and what is done to it. */
export interface Contestant {
  /** Takes in the workload's messages, or the first ones of them, as many as that share. */
  ingest(share?: number): void;
  /** What a router asks for. */
  match(tokens: Uint32Array): unknown;
  /** The same as blocks by pod. */
  answer(tokens: Uint32Array): ReadonlyMap<string, number>;
  /** Takes in the removals, after the messages. */
  remove(): void;
  /** Forgets the first pod, with all that is put off. */
  clear(): void;
  /** (block, pod) pairs. */
  holders(): number;
  /** Bytes that it says it takes; absent where it does not know. */
  bytes?(): number;
}

/** Ways to take in a workload, by the name of the contender. */
export const CONTESTANTS: Readonly<Record<"ours" | "ours-decoded" | "naive", (workload: FileWorkload) => Maker>> = {
  ours,
  "ours-decoded": oursDecoded,
  naive,
};

/** Makes an empty index for a workload, any number of times. */
type Maker = () => Contestant;

/** An index, and what runs all the steps that it has put off: in the daemon those are turns of the event loop. */
function ownIndex(): { readonly index: SyncPrefixHashTable; readonly finish: () => void } {
  const steps: (() => void)[] = [];
  const index = new SyncPrefixHashTable({ maxBytes: 16e9, defer: (step) => void steps.push(step) });
  const finish = (): void => {
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) step();
  };
  return { index, finish };
}

/** The index behind the decoder, as in the daemon. */
function ours({ pods, messages, removals }: FileWorkload): Maker {
  return () => {
    const { index, finish } = ownIndex();
    const handlers = pods.map(
      (pod) => new KVEventHandler(index, { model: MODEL, pod, rank: 0, loraId: -1, isForeignRank: () => false }),
    );
    const take = (some: Iterable<PodMessage>, most = Number.POSITIVE_INFINITY): void => {
      let left = most;
      for (const { pod, payload } of some) {
        if (left-- <= 0) return;
        handlers[pod]!.handle(payload);
      }
    };
    return {
      ...oursMatching(index),
      ingest: (share = 1) => take(messages, share * messages.length),
      remove: () => take(removals),
      clear: () => {
        handlers[0]!.purge();
        finish();
      },
    };
  };
}

/** The index alone, given events that are decoded already. */
function oursDecoded({ pods, messages, removals }: FileWorkload): Maker {
  const ingested = decoded(messages);
  const removed = decoded(removals);
  return () => {
    const { index, finish } = ownIndex();
    const sources = pods.map((pod) => ({ model: MODEL, pod, rank: 0, loraId: -1 }));
    const take = ({ batch, messages: some }: DecodedEvents, share = 1): void => {
      for (const { pod, from, to } of some.slice(0, Math.ceil(share * some.length))) {
        index.processEvents(sources[pod]!, batch, from, to);
      }
    };
    return {
      ...oursMatching(index),
      ingest: (share = 1) => take(ingested, share),
      remove: () => take(removed),
      clear: () => {
        index.processAllBlocksCleared(sources[0]!);
        finish();
      },
    };
  };
}

function oursMatching(index: SyncPrefixHashTable): Pick<Contestant, "match" | "answer" | "holders" | "bytes"> {
  const match = (tokens: Uint32Array): readonly PodMatch[] => index.matchPrefix(MODEL, -1, tokens);
  return {
    match,
    answer: (tokens) => new Map(match(tokens).map(({ pod, matchedBlocks }) => [pod, matchedBlocks])),
    holders: () => index.stats().holders,
    bytes: () => index.bytes,
  };
}

/** The events of many messages in one batch. */
interface DecodedEvents {
  readonly batch: PackedBatch;
  /** The events of each, from number `from` to before `to`. */
  readonly messages: readonly { readonly pod: number; readonly from: number; readonly to: number }[];
}

function decoded(messages: Iterable<PodMessage>): DecodedEvents {
  const batch = new PackedBatch();
  const ranges: DecodedEvents["messages"][number][] = [];
  for (const { pod, payload } of messages) {
    const from = batch.eventCount;
    for (const event of eventsOf(payload)) packEvent(batch, event);
    ranges.push({ pod, from, to: batch.eventCount });
  }
  return { batch, messages: ranges };
}

const hash = await xxhash();

/** The index that is written with Maps. */
function naive({ pods, messages, removals, blockSize }: FileWorkload): Maker {
  return () => {
    const index = new NaiveIndex(hash, blockSize);
    const take = (some: Iterable<PodMessage>, most = Number.POSITIVE_INFINITY): void => {
      let left = most;
      for (const { pod, payload } of some) {
        if (left-- <= 0) return;
        index.handle(pods[pod]!, payload);
      }
    };
    const match = (tokens: Uint32Array): Map<string, number> => index.match(tokens);
    return {
      match,
      answer: match,
      ingest: (share = 1) => take(messages, share * messages.length),
      remove: () => take(removals),
      clear: () => index.clear(pods[0]!),
      holders: () => index.pairs,
    };
  };
}
