import type { DecodeErrorCode, TransportErrorCode } from "../errors.ts";
import type { KVEvent } from "../events/event.ts";
import type { PurgeReason, StreamId, StreamStatus, SyncObserver } from "../sync/status.ts";
import type { ConnectionState } from "../transport.ts";
import { Distribution, exponentialBounds } from "./pulled.ts";
import { added, OTHER, Tally } from "./tally.ts";

/** 10 µs to 164 ms, as the reference. Seconds. */
export const PROCESSING_BOUNDS: readonly number[] = exponentialBounds(0.000_01, 2, 15);
/** 1 ms, a batch or two, to 16 s, which is beyond the time-out. Seconds. */
export const REPLAY_BOUNDS: readonly number[] = exponentialBounds(0.001, 2, 15);
/** 1 ms to 131 s. Seconds. */
export const LAG_BOUNDS: readonly number[] = exponentialBounds(0.001, 2, 18);

const EVENT_TYPES: ReadonlySet<string> = keys<KVEvent["type"]>({
  BlockStored: true,
  BlockRemoved: true,
  AllBlocksCleared: true,
});
const PURGE_REASONS: ReadonlySet<string> = keys<PurgeReason>({
  restart: true,
  gap: true,
  unverified: true,
  rebuild: true,
  dropped: true,
});
const DECODE_ERRORS: ReadonlySet<string> = keys<DecodeErrorCode>({
  msgpack: true,
  batch: true,
  "event-type": true,
  "event-fields": true,
});
const STREAM_ERRORS: readonly string[] = [...DECODE_ERRORS, "framing", "overflow", "transport"];
/** Why connections are lost or not made. */
const CONNECTION_ERRORS: ReadonlySet<string> = keys<TransportErrorCode>({
  "invalid-endpoint": true,
  "address-in-use": true,
  refused: true,
  unreachable: true,
  dns: true,
  disconnected: true,
  "heartbeat-timeout": true,
  "handshake-timeout": true,
  protocol: true,
  "mechanism-mismatch": true,
  "socket-type-mismatch": true,
  authentication: true,
  "peer-error": true,
  "message-too-large": true,
  "high-water-mark": true,
  "host-unreachable": true,
  unsupported: true,
  "missing-package": true,
  closed: true,
  internal: true,
});
const ERRORS: ReadonlySet<string> = new Set([...STREAM_ERRORS, ...CONNECTION_ERRORS]);

/** The statuses that a stream can have. */
export const STREAM_STATUSES: readonly StreamStatus[] = ["connecting", "catching-up", "live", "partial"];

/** What metrics know of one stream. */
export interface StreamState {
  readonly model: string;
  readonly rank: number;
  isReady: boolean;
  /** Whether a connection was attempted before. */
  isRetrying: boolean;
  status: StreamStatus;
  /** Of the last batch applied since the last purge. */
  lastSequence: number | null;
}

/** What metrics know of one pod: the sums over its streams. */
export class PodState {
  readonly streams: StreamState[] = [];
  connections = 0;
  disconnections = 0;
  reconnectAttempts = 0;
  missed = 0;
  duplicates = 0;
  replayRequests = 0;
  replaySuccesses = 0;
  replayFailures = 0;
  restarts = 0;
  readonly received: Tally = new Tally(EVENT_TYPES);
  readonly processed: Tally = new Tally(EVENT_TYPES);
  readonly errors: Tally = new Tally(ERRORS, STREAM_ERRORS);
  readonly decodeErrors: Tally = new Tally(DECODE_ERRORS);
  readonly purges: Tally = new Tally(PURGE_REASONS);
  readonly processing: Distribution = new Distribution(PROCESSING_BOUNDS);
  readonly replays: Distribution = new Distribution(REPLAY_BOUNDS);
  readonly lags: Distribution = new Distribution(LAG_BOUNDS);

  stream({ model, rank }: StreamId): StreamState | undefined {
    for (const stream of this.streams) if (stream.rank === rank && stream.model === model) return stream;
    return undefined;
  }
}

/**
 * Counts what happens to streams, by pod. What comes of a stream that was not opened, or is closed, is ignored: its
 * series would stay for good.
 */
export class PodStates implements SyncObserver {
  readonly #pods = new Map<string, PodState>();

  pods(): IterableIterator<[string, PodState]> {
    return this.#pods.entries();
  }

  onStreamOpened(id: StreamId): void {
    const { model, rank } = id;
    const pod = this.#pods.get(id.pod) ?? new PodState();
    if (pod.stream(id) !== undefined) return;
    this.#pods.set(id.pod, pod);
    pod.streams.push({ model, rank, isReady: false, isRetrying: false, status: "connecting", lastSequence: null });
  }

  onStreamClosed(id: StreamId): void {
    const pod = this.#pods.get(id.pod);
    const stream = pod?.stream(id);
    if (pod === undefined || stream === undefined) return;
    pod.streams.splice(pod.streams.indexOf(stream), 1);
    if (stream.isReady) pod.disconnections++;
    if (pod.streams.length === 0) this.#pods.delete(id.pod);
  }

  onConnection(id: StreamId, state: ConnectionState): void {
    const pod = this.#pods.get(id.pod);
    const stream = pod?.stream(id);
    if (pod === undefined || stream === undefined) return;
    const wasReady = stream.isReady;
    stream.isReady = state.status === "ready";
    if (stream.isReady && !wasReady) pod.connections++;
    if (!stream.isReady && wasReady) pod.disconnections++;
    if (state.status === "connecting") {
      if (stream.isRetrying) pod.reconnectAttempts++;
      stream.isRetrying = true;
    } else if (state.status === "waiting") pod.errors.add(state.cause.code);
  }

  onStatus(id: StreamId, status: StreamStatus): void {
    const stream = this.#pods.get(id.pod)?.stream(id);
    if (stream !== undefined) stream.status = status;
  }

  onBatch(
    id: StreamId,
    sequence: number,
    events: Readonly<Record<string, number>>,
    durationSeconds: number,
    lagSeconds?: number,
  ): void {
    const pod = this.#pods.get(id.pod);
    const stream = pod?.stream(id);
    if (pod === undefined || stream === undefined) return;
    if (Number.isSafeInteger(sequence) && sequence >= 0) stream.lastSequence = sequence;
    for (const type of Object.keys(events)) {
      const count = events[type]!;
      pod.received.add(type, count);
      pod.processed.add(type, count);
    }
    pod.processing.observe(durationSeconds);
    // An engine whose clock is ahead of ours.
    if (lagSeconds !== undefined) pod.lags.observe(Math.max(0, lagSeconds));
  }

  onError(id: StreamId, kind: string): void {
    const pod = this.#podOf(id);
    if (pod === undefined) return;
    pod.errors.add(kind);
    if (DECODE_ERRORS.has(kind)) pod.decodeErrors.add(kind);
    // These two are of one event, which came and was not processed.
    if (kind === "event-type" || kind === "event-fields") pod.received.add(OTHER);
  }

  onMissed(id: StreamId, batches: number): void {
    const pod = this.#podOf(id);
    if (pod !== undefined) pod.missed = added(pod.missed, batches);
  }

  onDuplicate(id: StreamId): void {
    const pod = this.#podOf(id);
    if (pod !== undefined) pod.duplicates++;
  }

  onReplayRequested(id: StreamId): void {
    const pod = this.#podOf(id);
    if (pod !== undefined) pod.replayRequests++;
  }

  onReplayEnded(id: StreamId, succeeded: boolean, durationSeconds: number): void {
    const pod = this.#podOf(id);
    if (pod === undefined) return;
    if (succeeded) pod.replaySuccesses++;
    else pod.replayFailures++;
    pod.replays.observe(durationSeconds);
  }

  onPurge(id: StreamId, reason: PurgeReason): void {
    const pod = this.#pods.get(id.pod);
    const stream = pod?.stream(id);
    if (pod === undefined || stream === undefined) return;
    stream.lastSequence = null;
    pod.purges.add(reason);
    if (reason === "restart") pod.restarts++;
  }

  #podOf(id: StreamId): PodState | undefined {
    const pod = this.#pods.get(id.pod);
    return pod?.stream(id) === undefined ? undefined : pod;
  }
}

/** All members of a union of strings: the compiler sees to it that none is missing. */
function keys<Union extends string>(all: Readonly<Record<Union, true>>): ReadonlySet<string> {
  return new Set(Object.keys(all));
}
