import type { SyncObserver } from "./status.ts";

/** One observer that passes everything on to all of these, in order. */
export function observeAll(observers: readonly SyncObserver[]): SyncObserver {
  return {
    onConnection: (stream, state) => {
      for (const each of observers) each.onConnection?.(stream, state);
    },
    onStatus: (stream, status) => {
      for (const each of observers) each.onStatus?.(stream, status);
    },
    onBatch: (stream, sequence, events, durationSeconds, lagSeconds) => {
      for (const each of observers) each.onBatch?.(stream, sequence, events, durationSeconds, lagSeconds);
    },
    onPromptStart: (stream, tokens) => {
      for (const each of observers) each.onPromptStart?.(stream, tokens);
    },
    onError: (stream, kind, error) => {
      for (const each of observers) each.onError?.(stream, kind, error);
    },
    onMissed: (stream, batches) => {
      for (const each of observers) each.onMissed?.(stream, batches);
    },
    onDuplicate: (stream) => {
      for (const each of observers) each.onDuplicate?.(stream);
    },
    onReplayRequested: (stream, from) => {
      for (const each of observers) each.onReplayRequested?.(stream, from);
    },
    onReplayEnded: (stream, succeeded, durationSeconds) => {
      for (const each of observers) each.onReplayEnded?.(stream, succeeded, durationSeconds);
    },
    onPurge: (stream, reason) => {
      for (const each of observers) each.onPurge?.(stream, reason);
    },
    onStreamOpened: (stream) => {
      for (const each of observers) each.onStreamOpened?.(stream);
    },
    onStreamClosed: (stream) => {
      for (const each of observers) each.onStreamClosed?.(stream);
    },
  };
}
