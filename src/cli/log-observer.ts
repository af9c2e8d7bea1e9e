import type { Logger } from "pino";
import type { WatchObserver } from "../discovery/kubernetes/observer.ts";
import type { ReconcilerObserver } from "../reconciler/reconciler.ts";
import type { SnapshotObserver } from "../snapshot/observer.ts";
import type { PurgeReason, StreamId, StreamStatus, SyncObserver } from "../sync/status.ts";
import type { TokenizerDisagreement } from "../tokenizer/check.ts";
import type { ConnectionState } from "../transport.ts";
import type { Level, LimitedLog } from "./limited-log.ts";

const STATUSES: Readonly<Record<StreamStatus, readonly [Level, message: string]>> = {
  // Why is told by the connection, or by what was forgotten.
  connecting: ["debug", "stream is connecting"],
  "catching-up": ["debug", "stream is catching up"],
  live: ["info", "stream is live: the index holds what the engine holds"],
  partial: ["info", "stream is partial: what the engine stored before the first event that could be had is not known"],
};

const PURGES: Readonly<Record<PurgeReason, readonly [Level, message: string]>> = {
  restart: ["info", "forgot all blocks: another process answers there"],
  rebuild: ["info", "forgot all blocks: a replay reaches further back, and all is read anew"],
  gap: ["warn", "forgot all blocks: events were lost that cannot be had again"],
  dropped: ["info", "forgot all blocks: the engine dropped its cache and did not say so"],
  unverified: [
    "warn",
    "forgot all blocks: the connection was lost, and no replay proves that the engine is still the same; give it a replay endpoint",
  ],
};

/**
 * Logs what a person would act on, with the pod and the cause; at `debug` what leads to it, and at `trace` every batch,
 * which alone is not limited.
 */
export function logObserver(logger: Logger, log: LimitedLog): SyncObserver {
  const say = (level: Level, kind: string, stream: StreamId, fields: object, message: string): void =>
    log.say(level, kind, stream.pod, { ...stream, ...fields }, message);
  return {
    onStreamOpened: (stream) => say("info", "streams opened", stream, {}, "stream opened"),
    onStreamClosed: (stream) => say("info", "streams closed", stream, {}, "stream closed"),
    onConnection: (stream, state) => sayConnection(say, stream, state),
    onStatus: (stream, status) => {
      const [level, message] = STATUSES[status];
      say(level, `status ${status}`, stream, { status }, message);
    },
    onPurge: (stream, reason) => {
      const [level, message] = PURGES[reason];
      say(level, `forgotten by ${reason}`, stream, { reason }, message);
    },
    onError: (stream, kind, error) => say("warn", `errors ${kind}`, stream, { kind }, error.message),
    onMissed: (stream, batches) => say("debug", "missed", stream, { batches }, `missed ${batches} batches`),
    onDuplicate: (stream) => say("debug", "duplicates", stream, {}, "a batch came twice"),
    onReplayRequested: (stream, from) => say("debug", "replays", stream, { from }, `asks for a replay from ${from}`),
    onReplayEnded: (stream, succeeded, durationSeconds) => {
      const outcome = succeeded ? "brought all that was missing" : "did not bring all that was missing";
      say("debug", "ends of replays", stream, { durationSeconds }, `a replay ${outcome}`);
    },
    onBatch: (stream, sequence, events, durationSeconds, lagSeconds) => {
      if (!logger.isLevelEnabled("trace")) return;
      logger.trace({ ...stream, sequence, events, durationSeconds, lagSeconds }, `batch ${sequence}`);
    },
  };
}

type Say = (level: Level, kind: string, stream: StreamId, fields: object, message: string) => void;

function sayConnection(say: Say, stream: StreamId, state: ConnectionState): void {
  const { status } = state;
  if ((status === "waiting" || status === "closed") && state.cause !== undefined) {
    const { code, message } = state.cause;
    say(
      "warn",
      "connections lost",
      stream,
      { code, ...(status === "waiting" && { retryInMs: state.retryInMs }) },
      message,
    );
  } else say("debug", `connection ${status}`, stream, { connection: status }, `connection is ${status}`);
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
export function watchLog(log: LimitedLog): WatchObserver {
  return {
    onList: (pods) => log.say("info", "lists of pods", "kubernetes", { pods }, `listed ${pods} pods`),
    onTrouble: (trouble, { message }) => {
      // That a version expires, and that a cluster has nothing to tell, is in the nature of a watch.
      const level = trouble === "idle" ? "debug" : trouble === "expired" ? "info" : "warn";
      log.say(level, `watch ${trouble}`, "kubernetes", { trouble }, message);
    },
  };
}

/** Logs which engines dropped their caches without a word, and which do not answer. */
export function reconcilerLog(log: LimitedLog): ReconcilerObserver {
  return {
    onDropped: (pod, reason) =>
      log.say("info", "caches found dropped", pod, { pod, reason }, `the engine's cache is gone: it ${reason}`),
    onProbeFailed: (pod, { message }) => log.say("warn", "engines that do not answer over HTTP", pod, { pod }, message),
  };
}

/** Warns where prompts would miss what engines hold. */
export function tokenizerLog(log: LimitedLog): (disagreement: TokenizerDisagreement) => void {
  return ({ model, compared, differing, example }) => {
    const message = `the tokenizer is not the engines': of ${compared} prompts ${differing} have other tokens; ${example}`;
    log.say("warn", "tokenizer disagreements", model, { model, compared, differing }, message);
  };
}
