import type { Clock } from "../clock.ts";
import { KVEventSyncError } from "../errors.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import type { RestoredStreams } from "../sync/restored.ts";
import { readSnapshot } from "./file.ts";
import type { SnapshotObserver } from "./observer.ts";
import type { ResolvedWarmStartOptions } from "./options.ts";
import { readPeer } from "./peer.ts";
import { restoreDump } from "./restore.ts";

/** What a warm start works with. */
export interface WarmStartParts {
  readonly indexer: PrefixIndexer;
  readonly clock: Clock;
  readonly observer: SnapshotObserver;
  readonly signal: AbortSignal;
}

interface Origin {
  readonly name: string;
  read(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/**
 * Takes over the first dump that can be used: a peer's before the snapshot, since it is of this moment. `null`: there is
 * none, and the start is a cold one. Rejects with the signal's reason alone.
 */
export async function warmStart(
  options: ResolvedWarmStartOptions,
  parts: WarmStartParts,
): Promise<RestoredStreams | null> {
  for (const origin of originsOf(options, parts.clock)) {
    const streams = await tryOrigin(origin, options.restoreTimeoutMs, parts);
    if (streams !== null) return streams;
  }
  return null;
}

function originsOf({ peers, snapshotPath }: ResolvedWarmStartOptions, clock: Clock): Origin[] {
  const origins = peers.map((url): Origin => ({ name: url, read: (signal) => readPeer(url, clock, signal) }));
  if (snapshotPath === null) return origins;
  return [...origins, { name: snapshotPath, read: (signal) => readSnapshot(snapshotPath, signal) }];
}

async function tryOrigin(
  { name, read }: Origin,
  timeoutMs: number,
  { indexer, clock, observer, signal }: WarmStartParts,
): Promise<RestoredStreams | null> {
  const deadline = new AbortController();
  const timer = clock.setTimeout(() => deadline.abort(tooSlow(timeoutMs)), timeoutMs);
  const startedMs = clock.now();
  try {
    const { streams, blocks } = await restoreDump(read(AbortSignal.any([signal, deadline.signal])), indexer, clock);
    observer.onRestored?.(name, { streams: streams.size, blocks }, (clock.now() - startedMs) / 1_000);
    // A peer that knows nothing itself is no help.
    return streams.size > 0 ? streams : null;
  } catch (error) {
    signal.throwIfAborted();
    const cause = deadline.signal.aborted ? (deadline.signal.reason as Error) : (error as Error);
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") observer.onRefused?.(name, cause);
    return null;
  } finally {
    clock.clearTimeout(timer);
  }
}

function tooSlow(timeoutMs: number): KVEventSyncError {
  return new KVEventSyncError("restore-timeout", `dump: not taken over in ${timeoutMs} ms; raise restoreTimeoutMs`);
}
