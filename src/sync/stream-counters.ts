import type { HandledBatch } from "./handler.ts";
import type { PurgeReason, StreamId, StreamInfo, SyncObserver } from "./status.ts";

/** Those of `StreamInfo`. */
export type CounterValues = Pick<
  StreamInfo,
  | "batches"
  | "events"
  | "missedBatches"
  | "duplicateBatches"
  | "decodeErrors"
  | "replays"
  | "replaySuccesses"
  | "replayFailures"
  | "restarts"
  | "purges"
>;

/** Counts what happens to one stream, and tells the observer. */
export class StreamCounters {
  readonly #id: StreamId;
  readonly #observer: SyncObserver;
  readonly #values: { -readonly [Name in keyof CounterValues]: number } = {
    batches: 0,
    events: 0,
    missedBatches: 0,
    duplicateBatches: 0,
    decodeErrors: 0,
    replays: 0,
    replaySuccesses: 0,
    replayFailures: 0,
    restarts: 0,
    purges: 0,
  };

  constructor(id: StreamId, observer: SyncObserver) {
    this.#id = id;
    this.#observer = observer;
  }

  /** As of now. */
  get values(): CounterValues {
    return this.#values;
  }

  /** `lagSeconds` as in `SyncObserver.onBatch`. */
  applied(
    sequence: number,
    { events, eventCount, errors }: HandledBatch,
    durationSeconds: number,
    lagSeconds: number | undefined,
  ): void {
    this.#values.batches++;
    this.#values.events += eventCount;
    this.#values.decodeErrors += errors.length;
    this.#observer.onBatch?.(this.#id, sequence, events, durationSeconds, lagSeconds);
    for (const error of errors) this.failed(error.code, error);
  }

  missed(batches: number): void {
    this.#values.missedBatches += batches;
    this.#observer.onMissed?.(this.#id, batches);
  }

  duplicate(): void {
    this.#values.duplicateBatches++;
    this.#observer.onDuplicate?.(this.#id);
  }

  restarted(): void {
    this.#values.restarts++;
  }

  purged(reason: PurgeReason): void {
    this.#values.purges++;
    this.#observer.onPurge?.(this.#id, reason);
  }

  replayRequested(from: number): void {
    this.#values.replays++;
    this.#observer.onReplayRequested?.(this.#id, from);
  }

  replayEnded(succeeded: boolean, durationSeconds: number): void {
    if (succeeded) this.#values.replaySuccesses++;
    else this.#values.replayFailures++;
    this.#observer.onReplayEnded?.(this.#id, succeeded, durationSeconds);
  }

  /** `kind` as in `SyncObserver.onError`. */
  failed(kind: string, error: Error): void {
    this.#observer.onError?.(this.#id, kind, error);
  }
}
