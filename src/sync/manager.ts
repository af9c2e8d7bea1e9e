import { type Clock, systemClock } from "../clock.ts";
import type { DeletedFinalStateUnknown, Discovery, Pod, PodListener, RankEndpoint } from "../discovery/discovery.ts";
import { KVEventSyncError } from "../errors.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import type { Transport } from "../transport.ts";
import { observeAll } from "./observers.ts";
import { resolveStreamOptions, type StreamOptions } from "./options.ts";
import { ReplayLine } from "./replay-line.ts";
import type { RestoredStreams } from "./restored.ts";
import type { PodDirectory, PodInfo, SyncObserver } from "./status.ts";
import { EventStream, type StreamParts } from "./stream.ts";
import { isSamePod, type StreamState } from "./stream-state.ts";
import { TurnQueue } from "./turn-queue.ts";

/** What a manager is made of. */
export interface KVEventManagerParts {
  readonly transport: Transport;
  /** Where the events go. The manager does not own it. */
  readonly indexer: PrefixIndexer;
  /** Where pods come from; started and disposed by the manager. Default none: whoever knows calls `onPodAdd`. */
  readonly discoveries?: readonly Discovery[];
  readonly observers?: readonly SyncObserver[];
  /** Default the machine's. */
  readonly clock?: Clock;
  /** Milliseconds since 1970. Default the machine's. */
  readonly unixMs?: () => number;
  readonly options?: StreamOptions;
}

interface ManagedPod {
  pod: Pod;
  readonly streams: Map<number, EventStream>;
}

/** Pods that are not announced so long after the start have gone, as have their blocks. */
const RESTORED_GRACE_MS = 300_000;

/**
 * Keeps one stream for each rank of each pod, from the moment a pod is announced to the moment it goes. A pod that goes
 * takes all of its blocks out of the index at once.
 */
export class KVEventManager implements PodListener, PodDirectory, AsyncDisposable {
  readonly #discoveries: readonly Discovery[];
  readonly #parts: StreamParts;
  readonly #pods = new Map<string, ManagedPod>();
  /** Streams whose sockets are still closing. */
  readonly #closing = new Set<Promise<void>>();
  #restored: RestoredStreams | null = null;
  #restoredTimer: unknown;
  #starting: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;

  /** Throws ConfigurationError `invalid-option`. */
  constructor(parts: KVEventManagerParts) {
    const { transport, indexer, discoveries = [], observers = [], clock = systemClock, options = {} } = parts;
    const { unixMs = Date.now } = parts;
    const turns = new TurnQueue(clock);
    this.#discoveries = discoveries;
    this.#parts = {
      transport,
      indexer,
      clock,
      turns,
      line: new ReplayLine(clock, turns),
      unixMs,
      observer: observeAll(observers),
      options: resolveStreamOptions(options),
    };
  }

  /**
   * Resolves when the pods of this moment are announced; their streams connect meanwhile. A discovery that cannot start
   * ends the others, and its error is the result.
   */
  start(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#stopping !== null) {
      return Promise.reject(new KVEventSyncError("closed", "manager: was stopped; make a new one"));
    }
    this.#starting ??= this.#start(options);
    return this.#starting;
  }

  /**
   * Streams of these pods go on from there, if their engines prove to be the same. Called before the start. What no pod
   * was announced for is dropped some minutes after it.
   */
  restore(restored: RestoredStreams): void {
    this.#restored = restored;
  }

  /** Captures one stream after the other (see `EventStream.capture`); those of pods that come meanwhile are left out. */
  async *capture<T>(read: (state: StreamState) => Generator<void, T>): AsyncGenerator<T, void> {
    const streams = [...this.#pods.values()].flatMap((known) => [...known.streams.values()]);
    for (const stream of streams) {
      const captured = await stream.capture(read);
      if (captured !== null) yield captured;
    }
  }

  /** Ends discovery and all streams; resolves when their sockets are closed. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** A pod that is known already is updated. */
  onPodAdd(pod: Pod): void {
    if (this.#stopping !== null) return;
    const known = this.#pods.get(keyOf(pod));
    if (known === undefined) this.#add(pod);
    else this.#update(known, pod);
  }

  /** What counts is what is known here of the pod, not what the caller thinks it was. */
  onPodUpdate(oldPod: Pod, newPod: Pod): void {
    if (this.#stopping !== null) return;
    if (keyOf(oldPod) !== keyOf(newPod)) this.onPodDelete(oldPod);
    this.onPodAdd(newPod);
  }

  /** A pod that is not known, or of which another incarnation is, is left alone. */
  onPodDelete(deleted: Pod | DeletedFinalStateUnknown): void {
    const pod = "pod" in deleted ? deleted.pod : deleted;
    const known = this.#pods.get(keyOf(pod));
    if (known === undefined) return;
    if (pod.uid !== undefined && known.pod.uid !== undefined && pod.uid !== known.pod.uid) return;
    this.#remove(known);
  }

  /**
   * The pod's engines dropped their caches and did not say so. False where it is not known, or a stream of it is not
   * following its engine now: then some of its blocks may still be there.
   */
  forget(pod: Pod): boolean {
    const known = this.#pods.get(keyOf(pod));
    if (known === undefined || !isSamePod(known.pod, pod)) return false;
    return [...known.streams.values()].map((stream) => stream.forget()).every((isForgotten) => isForgotten);
  }

  pods(): readonly PodInfo[] {
    return [...this.#pods.values()].map(({ pod, streams }) => ({
      pod,
      streams: [...streams.values()].map((stream) => stream.info()).sort((left, right) => left.rank - right.rank),
    }));
  }

  async #start(options: { readonly signal?: AbortSignal }): Promise<void> {
    try {
      await Promise.all(this.#discoveries.map((discovery) => discovery.start(this, options)));
    } catch (error) {
      await this.stop();
      throw error;
    }
    if (this.#restored === null || this.#stopping !== null) return;
    this.#restoredTimer = this.#parts.clock.setTimeout(() => this.#dropRestored(), RESTORED_GRACE_MS);
  }

  /** One stream in a turn. */
  #dropRestored(): void {
    if (this.#restored?.dropNext() !== true) return;
    this.#restoredTimer = this.#parts.clock.setTimeout(() => this.#dropRestored(), 0);
  }

  async #stop(): Promise<void> {
    // The rest runs with `#stopping` set, so that no pod comes meanwhile.
    await Promise.resolve();
    this.#parts.clock.clearTimeout(this.#restoredTimer);
    while (this.#restored?.dropNext());
    const disposed = await Promise.allSettled(this.#discoveries.map((discovery) => discovery[Symbol.asyncDispose]()));
    for (const known of [...this.#pods.values()]) this.#remove(known);
    while (this.#closing.size > 0) await Promise.all(this.#closing);
    for (const result of disposed) if (result.status === "rejected") throw result.reason;
  }

  #add(pod: Pod): void {
    const known: ManagedPod = { pod, streams: new Map() };
    this.#pods.set(keyOf(pod), known);
    for (const endpoint of pod.ranks) this.#open(known, endpoint);
  }

  #update(known: ManagedPod, pod: Pod): void {
    if (!isSamePod(known.pod, pod)) {
      this.#remove(known);
      this.#add(pod);
      return;
    }
    known.pod = pod;
    for (const [rank, stream] of known.streams) {
      const endpoint = pod.ranks.find((each) => each.rank === rank);
      // A rank that gets an endpoint of its own must not keep what another one told for it.
      const speaksForOther = pod.ranks.some((each) => each.rank !== rank && stream.speaksFor(each.rank));
      if (endpoint !== undefined && isSameEndpoint(stream.endpoint, endpoint) && !speaksForOther) continue;
      known.streams.delete(rank);
      this.#close(stream);
    }
    for (const endpoint of pod.ranks) if (!known.streams.has(endpoint.rank)) this.#open(known, endpoint);
  }

  #remove(known: ManagedPod): void {
    this.#pods.delete(keyOf(known.pod));
    for (const stream of known.streams.values()) this.#close(stream);
  }

  #open(known: ManagedPod, endpoint: RankEndpoint): void {
    // A pod that names a rank twice has one stream for it: the index could not tell two apart.
    if (known.streams.has(endpoint.rank)) return;
    const isForeignRank = (rank: number): boolean => known.pod.ranks.some((each) => each.rank === rank);
    const restored = this.#restored?.take(known.pod, endpoint.rank);
    const stream = new EventStream(known.pod, endpoint, isForeignRank, this.#parts, restored);
    known.streams.set(endpoint.rank, stream);
    stream.open();
  }

  #close(stream: EventStream): void {
    const closed = stream.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}

function keyOf(pod: Pod): string {
  return JSON.stringify([pod.modelName, pod.key]);
}

function isSameEndpoint(before: RankEndpoint, after: RankEndpoint): boolean {
  return before.endpoint === after.endpoint && before.replayEndpoint === after.replayEndpoint;
}
