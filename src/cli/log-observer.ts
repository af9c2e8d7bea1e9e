import type { Logger } from "pino";
import type { WatchObserver } from "../discovery/kubernetes/observer.ts";
import type { SnapshotObserver } from "../snapshot/observer.ts";
import type { SyncObserver } from "../sync/status.ts";

/** At most so many lines of one kind for one stream in a minute: an engine that flaps must not drown the others. */
const LINES_PER_MINUTE = 6;
const MINUTE_MS = 60_000;

/** Logs what a person would act on. */
export function logObserver(logger: Logger, now: () => number = Date.now): SyncObserver {
  const limiter = new Limiter(now);
  return {
    onStreamOpened: (stream) => logger.info(stream, "stream opened"),
    onStreamClosed: (stream) => {
      limiter.forget(`${stream.model} ${stream.pod} ${stream.rank}`);
      logger.info(stream, "stream closed");
    },
    onConnection: (stream, state) => {
      if (state.status !== "waiting" && state.status !== "closed") return;
      if (state.cause === undefined) return;
      const suppressed = limiter.admit(`${stream.model} ${stream.pod} ${stream.rank}`, "connection");
      if (suppressed === null) return;
      const { code, message } = state.cause;
      const retryInMs = state.status === "waiting" ? state.retryInMs : undefined;
      logger.warn({ ...stream, code, retryInMs, suppressed }, message);
    },
    onStatus: (stream, status) => {
      const suppressed = limiter.admit(`${stream.model} ${stream.pod} ${stream.rank}`, "status");
      if (suppressed !== null) logger.info({ ...stream, status, suppressed }, `stream is ${status}`);
    },
    onPurge: (stream, reason) => {
      const suppressed = limiter.admit(`${stream.model} ${stream.pod} ${stream.rank}`, "purge");
      if (suppressed !== null) logger.warn({ ...stream, reason, suppressed }, `forgot all blocks: ${reason}`);
    },
    onError: (stream, kind, error) => {
      const suppressed = limiter.admit(`${stream.model} ${stream.pod} ${stream.rank}`, `error ${kind}`);
      if (suppressed !== null) logger.warn({ ...stream, kind, suppressed }, error.message);
    },
  };
}

/** Logs from what the daemon goes on, and what it keeps for the next start. */
export function snapshotLog(logger: Logger): SnapshotObserver {
  return {
    onRestored: (origin, size, durationSeconds) =>
      logger.info({ origin, ...size, durationSeconds }, `goes on from ${origin}, once the engines have proved it`),
    onRefused: (origin, { message }) => logger.warn({ origin }, `does not go on from ${origin}: ${message}`),
    onWritten: (path, size, durationSeconds) =>
      logger.debug({ path, ...size, durationSeconds }, `wrote the snapshot ${path}`),
    onWriteFailed: (path, { message }) => logger.warn({ path }, `cannot write the snapshot ${path}: ${message}`),
  };
}

/** Logs what is wrong with the watch of a cluster, and that it is right again. */
export function watchLog(logger: Logger, now: () => number = Date.now): WatchObserver {
  const limiter = new Limiter(now);
  return {
    onList: (pods) => logger.info({ pods }, `listed ${pods} pods`),
    onTrouble: (trouble, { message }) => {
      const suppressed = limiter.admit("kubernetes", trouble);
      // That a version expires, and that a cluster has nothing to tell, is in the nature of a watch.
      const level = trouble === "idle" ? "debug" : trouble === "expired" ? "info" : "warn";
      if (suppressed !== null) logger[level]({ trouble, suppressed }, message);
    },
  };
}

interface Window {
  startedMs: number;
  lines: number;
  suppressed: number;
}

/** Counts lines by stream and kind. */
class Limiter {
  readonly #now: () => number;
  readonly #streams = new Map<string, Map<string, Window>>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** How many were suppressed before this line; `null` where it is suppressed as well. */
  admit(stream: string, kind: string): number | null {
    const kinds = this.#streams.get(stream) ?? new Map<string, Window>();
    this.#streams.set(stream, kinds);
    const window = kinds.get(kind) ?? { startedMs: this.#now(), lines: 0, suppressed: 0 };
    kinds.set(kind, window);
    if (this.#now() - window.startedMs >= MINUTE_MS) {
      window.startedMs = this.#now();
      window.lines = 0;
    }
    window.lines++;
    if (window.lines > LINES_PER_MINUTE) {
      window.suppressed++;
      return null;
    }
    const { suppressed } = window;
    window.suppressed = 0;
    return suppressed;
  }

  forget(stream: string): void {
    this.#streams.delete(stream);
  }
}
