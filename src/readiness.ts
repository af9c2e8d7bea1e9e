import { KVEventSyncError } from "./errors.ts";
import type { StreamId, StreamStatus, SyncObserver } from "./sync/status.ts";
import type { ConnectionState } from "./transport.ts";

/**
 * Whether the index can be asked: all streams of the start have either caught up with their engines, or found that
 * theirs cannot be reached now. An engine that is down must not keep the others' answers back. Once true it stays so:
 * pods that come later have to catch up while answers go on.
 */
export class Readiness implements SyncObserver {
  /** Streams of which neither is known yet. */
  readonly #pending = new Set<string>();
  #waiting: ((error?: Error) => void)[] = [];
  #isStarted = false;
  #isReady = false;
  #isClosed = false;

  get isReady(): boolean {
    return this.#isReady && !this.#isClosed;
  }

  /** All pods of the start have been announced. */
  started(): void {
    this.#isStarted = true;
    this.#check();
  }

  /** Never again. Who waits is told by KVEventSyncError `closed`. */
  close(): void {
    this.#isClosed = true;
    this.#settle(closedError());
  }

  /** Rejects with KVEventSyncError `closed`, or with the signal's reason. */
  whenReady(signal?: AbortSignal): Promise<void> {
    if (this.isReady) return Promise.resolve();
    if (this.#isClosed) return Promise.reject(closedError());
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        signal?.removeEventListener("abort", abort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const abort = (): void => {
        this.#waiting = this.#waiting.filter((each) => each !== settle);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.push(settle);
    });
  }

  onStreamOpened(stream: StreamId): void {
    if (!this.#isReady) this.#pending.add(idOf(stream));
  }

  onStreamClosed(stream: StreamId): void {
    this.#done(stream);
  }

  onStatus(stream: StreamId, status: StreamStatus): void {
    if (status === "live" || status === "partial") this.#done(stream);
  }

  onConnection(stream: StreamId, { status }: ConnectionState): void {
    if (status === "waiting" || status === "closed") this.#done(stream);
  }

  #done(stream: StreamId): void {
    if (this.#pending.delete(idOf(stream))) this.#check();
  }

  #check(): void {
    if (this.#isReady || !this.#isStarted || this.#pending.size > 0) return;
    this.#isReady = true;
    this.#settle();
  }

  #settle(error?: Error): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const settle of waiting) settle(error);
  }
}

function idOf({ model, pod, rank }: StreamId): string {
  return JSON.stringify([model, pod, rank]);
}

function closedError(): KVEventSyncError {
  return new KVEventSyncError("closed", "store: is closed; make a new one");
}
