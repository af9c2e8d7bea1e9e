import type { Registry } from "prom-client";
import type { PodDirectory, StreamInfo } from "../sync/status.ts";
import {
  LAG_BOUNDS,
  type PodState,
  type PodStates,
  PROCESSING_BOUNDS,
  REPLAY_BOUNDS,
  STREAM_STATUSES,
} from "./pod-state.ts";
import type { Distribution } from "./pulled.ts";
import { pulledCounter, pulledGauge, pulledHistogram, type Sample } from "./pulled.ts";
import type { Tally } from "./tally.ts";

type Counts = Readonly<Record<string, readonly [help: string, read: (pod: PodState) => number]>>;

/** One per pod. */
const COUNTERS: Counts = {
  kvcache_zmq_connections_total: ["Connections made, by the end of their handshake.", (pod) => pod.connections],
  kvcache_zmq_disconnections_total: ["Connections that ended.", (pod) => pod.disconnections],
  kvcache_zmq_reconnect_attempts_total: ["Attempts to connect after the first one.", (pod) => pod.reconnectAttempts],
  kvcache_zmq_missed_events_total: [
    "Batches that were published and not received live; most come by replay.",
    (pod) => pod.missed,
  ],
  kvcache_zmq_replay_requests_total: ["Replays asked for.", (pod) => pod.replayRequests],
  kvcache_zmq_replay_success_total: ["Replays that brought all that was missing.", (pod) => pod.replaySuccesses],
  kvcache_zmq_replay_failures_total: ["Replays that did not bring all that was missing.", (pod) => pod.replayFailures],
  kvcache_zmq_duplicate_batches_total: ["Batches that came twice and were applied once.", (pod) => pod.duplicates],
  kvcache_zmq_restarts_total: ["Engine processes that took the place of another one.", (pod) => pod.restarts],
};

const GAUGES: Counts = {
  kvcache_zmq_connection_status: [
    "1 where every rank's connection is ready, its handshake finished; else 0.",
    (pod) => (pod.streams.every((stream) => stream.isReady) ? 1 : 0),
  ],
  kvcache_zmq_last_sequence_id: [
    "Sequence of the last batch applied; with several ranks the highest of theirs. None before the first.",
    // `max` of none is −∞, which is left out.
    (pod) => Math.max(...pod.streams.map((stream) => stream.lastSequence ?? Number.NEGATIVE_INFINITY)),
  ],
};

type Tallies = Readonly<Record<string, readonly [help: string, label: string, read: (pod: PodState) => Tally]>>;

/** One per pod and value of the label; values that are not known count as `other`. */
const TALLIES: Tallies = {
  kvcache_zmq_events_received_total: [
    "Events received, live or by replay; `other` could not be read.",
    "event_type",
    (pod) => pod.received,
  ],
  kvcache_zmq_events_processed_total: ["Events passed to the index.", "event_type", (pod) => pod.processed],
  kvcache_zmq_errors_total: [
    "Errors of streams, and causes for which connections were lost or not made.",
    "error_type",
    (pod) => pod.errors,
  ],
  kvcache_zmq_decode_errors_total: [
    "Payloads, and single events, that could not be read.",
    "kind",
    (p) => p.decodeErrors,
  ],
  kvcache_zmq_purges_total: ["Times that all blocks of a stream were forgotten.", "reason", (pod) => pod.purges],
};

type Distributions = Readonly<
  Record<string, readonly [help: string, bounds: readonly number[], read: (pod: PodState) => Distribution]>
>;

const HISTOGRAMS: Distributions = {
  kvcache_zmq_event_processing_duration_seconds: [
    "From a batch's decoding to the end of its passing to the index.",
    PROCESSING_BOUNDS,
    (pod) => pod.processing,
  ],
  kvcache_zmq_replay_duration_seconds: ["From a replay's request to its end.", REPLAY_BOUNDS, (pod) => pod.replays],
  kvcache_zmq_lag_seconds: [
    "From a batch's publication, by the engine's clock, to its being in the index, by ours: a clock that is behind ours adds its difference, one that is ahead makes it 0. Replayed batches are left out.",
    LAG_BOUNDS,
    (pod) => pod.lags,
  ],
};

/** What happens to streams. The sums of a pod's ranks, under the reference's names, which know no rank. */
export function registerSyncSeries(registry: Registry, prefix: string, states: PodStates): void {
  const labelNames = ["pod_key"] as const;
  const perPod = (read: (pod: PodState) => number) => () =>
    Array.from(states.pods(), ([pod_key, pod]): Sample<"pod_key"> => ({ labels: { pod_key }, value: read(pod) }));
  for (const [name, [help, read]] of Object.entries(COUNTERS)) {
    pulledCounter(registry, { name: prefix + name, help, labelNames, read: perPod(read) });
  }
  for (const [name, [help, read]] of Object.entries(GAUGES)) {
    pulledGauge(registry, { name: prefix + name, help, labelNames, read: perPod(read) });
  }
  for (const [name, [help, label, read]] of Object.entries(TALLIES)) {
    const samples = () => tallied(states, label, read);
    pulledCounter(registry, { name: prefix + name, help, labelNames: ["pod_key", label], read: samples });
  }
  for (const [name, [help, bounds, read]] of Object.entries(HISTOGRAMS)) {
    const samples = () =>
      Array.from(states.pods(), ([pod_key, pod]) => ({ labels: { pod_key }, distribution: read(pod) }));
    pulledHistogram(registry, { name: prefix + name, help, labelNames, bounds, read: samples });
  }
  pulledGauge(registry, {
    name: `${prefix}kvcache_zmq_stream_status`,
    help: "1 for what a rank's stream can promise now, 0 for what else there is.",
    labelNames: ["pod_key", "model", "rank", "status"],
    read: () => streamStatuses(states),
  });
}

const HELD: Readonly<Record<string, readonly [help: string, read: (stream: StreamInfo) => number]>> = {
  kvcache_zmq_held_batches: [
    "Batches received that wait for those before them: so far the index is behind.",
    (stream) => stream.heldBatches,
  ],
  kvcache_zmq_held_bytes: ["Memory that the batches that wait take.", (stream) => stream.heldBytes],
};

/** What waits in the streams at the scrape. */
export function registerHeldSeries(registry: Registry, prefix: string, directory: PodDirectory): void {
  for (const [name, [help, read]] of Object.entries(HELD)) {
    pulledGauge(registry, { name: prefix + name, help, labelNames: ["pod_key"], read: () => held(directory, read) });
  }
}

/** Pods of one key and several models share their series. */
function held(directory: PodDirectory, read: (stream: StreamInfo) => number): Sample<"pod_key">[] {
  const sums = new Map<string, number>();
  for (const { pod, streams } of directory.pods()) {
    sums.set(
      pod.key,
      streams.reduce((sum, stream) => sum + read(stream), sums.get(pod.key) ?? 0),
    );
  }
  return Array.from(sums, ([pod_key, value]) => ({ labels: { pod_key }, value }));
}

function* tallied(states: PodStates, label: string, read: (pod: PodState) => Tally): IterableIterator<Sample<string>> {
  for (const [pod_key, pod] of states.pods()) {
    for (const [known, value] of read(pod).entries()) yield { labels: { pod_key, [label]: known }, value };
  }
}

function* streamStatuses(states: PodStates): IterableIterator<Sample<"pod_key" | "model" | "rank" | "status">> {
  for (const [pod_key, { streams }] of states.pods()) {
    for (const stream of streams) {
      const { model, rank } = stream;
      for (const status of STREAM_STATUSES) {
        const labels = { pod_key, model, rank: String(rank), status };
        yield { labels, value: stream.status === status ? 1 : 0 };
      }
    }
  }
}
