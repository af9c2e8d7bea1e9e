import type { PurgeReason, StreamId, StreamStatus, SyncObserver } from "../sync/status.ts";
import type { ConnectionState } from "../transport.ts";
import type { Happening } from "./view.ts";

const PURGES: Readonly<Record<PurgeReason, string>> = {
  restart: "another process answers there: its old blocks are forgotten",
  gap: "batches are lost for good: its blocks are forgotten",
  unverified: "nothing proves that it is the same process: blocks forgotten",
  rebuild: "its blocks are forgotten, to be told again from the start",
  dropped: "it dropped its cache and did not say so: its blocks are forgotten",
};

/** The last part of `namespace/name`. */
export function shortName(podKey: string): string {
  return podKey.slice(podKey.lastIndexOf("/") + 1);
}

/** Tells what happens to streams, in words; what happens many times a second is left out. */
export class Story implements SyncObserver {
  readonly #tell: (happening: Happening) => void;
  readonly #seconds: () => number;
  /** Those that run: the first sequence asked for, and what was applied since. */
  readonly #replays = new Map<string, { readonly from: number; batches: number }>();
  readonly #ready = new Set<string>();

  /** `seconds` is the time since the start. */
  constructor(tell: (happening: Happening) => void, seconds: () => number) {
    this.#tell = tell;
    this.#seconds = seconds;
  }

  /** What the demo itself does. */
  say(pod: string, text: string): void {
    this.#tell({ seconds: this.#seconds(), subject: shortName(pod), text });
  }

  onConnection(stream: StreamId, state: ConnectionState): void {
    if (state.status === "ready") {
      this.#ready.add(stream.pod);
      this.say(stream.pod, "connected, the handshake is done");
    } else if (state.status === "waiting" && this.#ready.delete(stream.pod)) {
      this.say(stream.pod, `connection lost (${state.cause.code})`);
    }
  }

  onStatus(stream: StreamId, status: StreamStatus): void {
    if (status === "live") this.say(stream.pod, "live");
    else if (status === "partial") this.say(stream.pod, "live, but for what was stored before");
  }

  onBatch(stream: StreamId): void {
    const replay = this.#replays.get(stream.pod);
    if (replay !== undefined) replay.batches++;
  }

  onMissed(stream: StreamId, batches: number): void {
    this.say(stream.pod, `${batches} ${batches === 1 ? "batch" : "batches"} did not come live`);
  }

  onReplayRequested(stream: StreamId, from: number): void {
    this.#replays.set(stream.pod, { from, batches: 0 });
  }

  onReplayEnded(stream: StreamId, succeeded: boolean, durationSeconds: number): void {
    const replay = this.#replays.get(stream.pod);
    if (replay === undefined) return;
    this.#replays.delete(stream.pod);
    const { from, batches } = replay;
    const durationMs = Math.round(durationSeconds * 1_000);
    if (!succeeded) this.say(stream.pod, `replay from ${from} failed after ${durationMs} ms`);
    else if (batches > 0) {
      this.say(
        stream.pod,
        `replay from ${from}: ${batches} ${batches === 1 ? "batch" : "batches"} in ${durationMs} ms`,
      );
    }
  }

  onPurge(stream: StreamId, reason: PurgeReason): void {
    // The replay that found it out has done its work.
    this.#replays.delete(stream.pod);
    this.say(stream.pod, PURGES[reason]);
  }
}
