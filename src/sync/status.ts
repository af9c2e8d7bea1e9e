import type { Pod } from "../discovery/discovery.ts";
import type { ConnectionState } from "../transport.ts";

/** One ordered stream of events: one data-parallel rank of one pod. */
export interface StreamId {
  /** `Pod.key`. */
  readonly pod: string;
  readonly model: string;
  readonly rank: number;
}

/**
 * What a stream can promise. `connecting`: there is no connection now, and the index shows what was true when it was
 * lost. `catching-up`: a replay runs or is next, and what comes live waits for it. `live`: the index holds exactly
 * what the engine holds. `partial`: the same, but for what the engine stored before the first event that could be had;
 * nothing in the index is false.
 */
export type StreamStatus = "connecting" | "catching-up" | "live" | "partial";

/** Why a stream forgot all that it knew of an engine. */
export type PurgeReason =
  /** Another process answers there: its sequence, or what it published under a known sequence, is not the old one's. */
  | "restart"
  /** Events were lost that cannot be had again. */
  | "gap"
  /** A lost connection came back, and there is no replay endpoint to prove that the process is still the same. */
  | "unverified"
  /** A replay reaches further back than what was known. */
  | "rebuild"
  /** Somebody who asked the engine itself knows that its cache is gone. */
  | "dropped";

/** A stream as of now. Counters count from its start. */
export interface StreamInfo extends StreamId {
  readonly endpoint: string;
  readonly replayEndpoint?: string;
  readonly status: StreamStatus;
  /** What the subscriber's connection is doing; absent before the first attempt. */
  readonly connection?: ConnectionState;
  /** Of the first batch that the index's picture of this engine begins with; 0: it is complete. `null`: none yet. */
  readonly firstSequence: number | null;
  /** Of the last batch applied. */
  readonly lastSequence: number | null;
  /** Since the last batch was applied, by the clock of this process. */
  readonly idleMs: number | null;
  readonly batches: number;
  readonly events: number;
  /** Batches that were published and never received live; most of them come by replay. */
  readonly missedBatches: number;
  readonly duplicateBatches: number;
  readonly decodeErrors: number;
  /** Replays asked for, those that ended with all that was wanted, and those that did not. */
  readonly replays: number;
  readonly replaySuccesses: number;
  readonly replayFailures: number;
  /** Processes that took the place of another one. */
  readonly restarts: number;
  readonly purges: number;
  /** Batches that wait for those before them, and the memory that they take. */
  readonly heldBatches: number;
  readonly heldBytes: number;
}

/** A pod and its streams, in the order of their ranks. */
export interface PodInfo {
  readonly pod: Pod;
  readonly streams: readonly StreamInfo[];
}

/** Who knows the pods: the manager, to those who only look. */
export interface PodDirectory {
  pods(): readonly PodInfo[];
}

/**
 * Hears what happens to streams: metrics, logs, the live view. Every method is optional, is called synchronously and
 * must not throw.
 */
export interface SyncObserver {
  /** The subscriber's connection. */
  onConnection?(stream: StreamId, state: ConnectionState): void;
  onStatus?(stream: StreamId, status: StreamStatus): void;
  /**
   * A batch was received, live or by replay, and passes to the index in `durationSeconds`; `events` counts by type.
   * `lagSeconds`: from its publication, by the engine's clock, to its being in the index, by ours; not of one that came
   * by replay or cannot be read, and below 0 where the engine's clock is ahead.
   */
  onBatch?(
    stream: StreamId,
    sequence: number,
    events: Readonly<Record<string, number>>,
    durationSeconds: number,
    lagSeconds?: number,
  ): void;
  /** The first blocks of a prompt were stored. `tokens` are the event's own: not to be kept. */
  onPromptStart?(stream: StreamId, tokens: Uint32Array): void;
  /** `kind`: `msgpack`, `batch`, `event-type`, `event-fields` (see `DecodeError`), `framing`, `overflow`, `transport`. */
  onError?(stream: StreamId, kind: string, error: Error): void;
  onMissed?(stream: StreamId, batches: number): void;
  onDuplicate?(stream: StreamId): void;
  /** `from` is the first sequence asked for. */
  onReplayRequested?(stream: StreamId, from: number): void;
  onReplayEnded?(stream: StreamId, succeeded: boolean, durationSeconds: number): void;
  onPurge?(stream: StreamId, reason: PurgeReason): void;
  onStreamOpened?(stream: StreamId): void;
  /** The stream is gone, and so should be all that was kept for it. */
  onStreamClosed?(stream: StreamId): void;
}
