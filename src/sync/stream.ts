import type { Clock } from "../clock.ts";
import type { Pod, RankEndpoint } from "../discovery/discovery.ts";
import { KVEventSyncError, TransportError } from "../errors.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import type { ConnectionState, Message, Subscriber, Transport } from "../transport.ts";
import { parseLiveMessage } from "./framing.ts";
import { Gate } from "./gate.ts";
import { KVEventHandler } from "./handler.ts";
import type { ResolvedStreamOptions } from "./options.ts";
import type { ReplayLine } from "./replay-line.ts";
import { ReplayRunner } from "./replay-runner.ts";
import { Sequencer } from "./sequencer.ts";
import type { StreamId, StreamInfo, StreamStatus, SyncObserver } from "./status.ts";
import { StreamCounters } from "./stream-counters.ts";
import type { PodIdentity, StreamState } from "./stream-state.ts";
import { Turn } from "./turn.ts";
import type { TurnQueue } from "./turn-queue.ts";

/** What all streams of a manager share. */
export interface StreamParts {
  readonly transport: Transport;
  readonly indexer: PrefixIndexer;
  /** Hears of this stream; one that speaks for many. */
  readonly observer: SyncObserver;
  readonly clock: Clock;
  /** Whose turn it is to apply what came. */
  readonly turns: TurnQueue;
  /** Whose replay is next. */
  readonly line: ReplayLine;
  /** Milliseconds since 1970: engines date their batches. */
  readonly unixMs: () => number;
  readonly options: ResolvedStreamOptions;
}

/** A stream that is purged while it is captured is captured again; one that goes on so is left out. */
const MAX_CAPTURES = 3;

/** A live sequence so far above the last one is no gap but garbage. */
const MAX_JUMP = 2 ** 32;

/**
 * One read of a socket. What is read ahead makes no batch come sooner, and with a thousand streams keeps all else waiting
 * while it is parsed; in the network it does not.
 */
const RECEIVE_HIGH_WATER_MARK_BYTES = 65_536;

/**
 * One ordered stream: the events of one data-parallel rank of one pod, from its sockets into the index. The sockets are
 * here and in `ReplayRunner`, all decisions in `Sequencer`.
 */
export class EventStream implements AsyncDisposable {
  readonly id: StreamId;
  readonly endpoint: RankEndpoint;
  readonly #parts: StreamParts;
  readonly #pod: PodIdentity;
  /** Held while the index's picture of this engine has to stand still. */
  readonly #gate = new Gate();
  readonly #handler: KVEventHandler;
  readonly #sequencer: Sequencer;
  readonly #replays: ReplayRunner | null;
  readonly #counters: StreamCounters;
  #subscriber: Subscriber | null = null;
  #receiving: Promise<void> = Promise.resolve();
  #connection: ConnectionState | undefined;
  #status: StreamStatus = "connecting";
  #lastBatchMs: number | null = null;
  #isClosed = false;
  #closing: Promise<void> | null = null;

  /**
   * `isForeignRank` tells whether another endpoint of the pod is that rank's, as of now. `restored` is what the stream
   * goes on from: its blocks are in the index, hidden until a replay has proved that they are this engine's.
   */
  constructor(
    pod: Pod,
    endpoint: RankEndpoint,
    isForeignRank: (rank: number) => boolean,
    parts: StreamParts,
    restored?: StreamState,
  ) {
    const { key, modelName, loraId } = pod;
    const { rank, replayEndpoint } = endpoint;
    this.id = { pod: key, model: modelName, rank };
    this.endpoint = endpoint;
    this.#pod = pod;
    this.#parts = parts;
    const subject = { model: modelName, pod: key, rank, loraId, isForeignRank };
    const onPromptStart = (tokens: Uint32Array): void => parts.observer.onPromptStart?.(this.id, tokens);
    this.#handler = new KVEventHandler(parts.indexer, subject, onPromptStart);
    if (restored !== undefined) this.#handler.restore(restored.sources);
    this.#counters = new StreamCounters(this.id, parts.observer);
    this.#sequencer = new Sequencer(
      {
        apply: (sequence, payload, isLive) => this.#apply(sequence, payload, isLive),
        purge: (reason) => {
          this.#handler.purge();
          this.#counters.purged(reason);
        },
        verified: () => this.#handler.reveal(),
        restarted: () => this.#counters.restarted(),
        missed: (batches) => this.#counters.missed(batches),
        duplicate: () => this.#counters.duplicate(),
        overflowed: () => this.#counters.failed("overflow", overflowError(this.id, parts.options.maxHeldBytes)),
      },
      {
        canReplay: replayEndpoint !== undefined,
        maxHeldBytes: parts.options.maxHeldBytes,
        ...(restored !== undefined && { mark: restored }),
      },
    );
    this.#replays =
      replayEndpoint === undefined
        ? null
        : new ReplayRunner(replayEndpoint, this.#sequencer, this.#counters, { ...parts, gate: this.#gate }, () =>
            this.#settle(),
          );
  }

  /** Begins to connect and to receive. An endpoint that cannot be used is reported, and shows in `info()`. */
  open(): void {
    const { transport, observer } = this.#parts;
    observer.onStreamOpened?.(this.id);
    try {
      this.#subscriber = transport.subscriber({
        receiveHighWaterMarkBytes: RECEIVE_HIGH_WATER_MARK_BYTES,
        reusesMemory: true,
        onConnection: (_endpoint, state) => this.#onConnection(state),
      });
      this.#subscriber.subscribe(this.#pod.topic);
      this.#subscriber.connect(this.endpoint.endpoint);
      this.#receiving = this.#receive(this.#subscriber);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Whether it has told of this rank. */
  speaksFor(rank: number): boolean {
    return this.#handler.speaksFor(rank);
  }

  /** As of now. */
  info(): StreamInfo {
    const { endpoint, replayEndpoint } = this.endpoint;
    const { firstSequence, lastSequence, heldBatches, heldBytes } = this.#sequencer;
    return {
      ...this.id,
      endpoint,
      ...(replayEndpoint !== undefined && { replayEndpoint }),
      status: this.#status,
      ...(this.#connection !== undefined && { connection: this.#connection }),
      firstSequence,
      lastSequence,
      idleMs: this.#lastBatchMs === null ? null : this.#parts.clock.now() - this.#lastBatchMs,
      ...this.#counters.values,
      heldBatches,
      heldBytes,
    };
  }

  /**
   * Reads the stream's state, and what the index holds of it, while nothing is applied: what comes meanwhile waits at
   * the sockets. `read` yields where others may have a turn. `null` where nothing is known that another stream could go
   * on from, or the stream did not stand still: it was closed, or purged again and again.
   */
  async capture<T>(read: (state: StreamState) => Generator<void, T>): Promise<T | null> {
    using _hold = this.#gate.hold();
    const turn = new Turn(this.#parts.clock);
    for (let tries = 0; tries < MAX_CAPTURES; tries++) {
      const state = this.#state();
      if (state === null) return null;
      const { revision } = this.#sequencer;
      const steps = read(state);
      let step = steps.next();
      while (!step.done) {
        if (turn.isOver) await turn.next();
        if (this.#isClosed || this.#sequencer.revision !== revision) break;
        step = steps.next();
      }
      if (step.done) return step.value;
    }
    return null;
  }

  /**
   * The engine dropped its cache and did not say so: what is known of it is taken out of the index, and the stream goes
   * on from where it is, for all that comes is of the cache that is there now. False where it cannot be done, since what
   * is under way would bring it back.
   */
  forget(): boolean {
    if (this.#isClosed || this.#gate.isHeld || (this.#status !== "live" && this.#status !== "partial")) return false;
    this.#handler.purge();
    this.#counters.purged("dropped");
    return true;
  }

  /** Without a replay endpoint nothing could prove later that the engine is the same. */
  #state(): StreamState | null {
    const { mark } = this.#sequencer;
    if (this.#isClosed || mark === null || this.#replays === null) return null;
    return { ...mark, pod: this.#pod, rank: this.id.rank, sources: this.#handler.sources };
  }

  /**
   * Ends the stream and takes all of its blocks out of the index, at once; resolves when its sockets are closed.
   * Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    this.#handler.purge();
    const closed = [this.#replays?.close(), this.#subscriber?.close()];
    this.#parts.observer.onStreamClosed?.(this.id);
    await Promise.all(closed);
    await this.#receiving;
  }

  async #receive(subscriber: Subscriber): Promise<void> {
    const { turns } = this.#parts;
    try {
      for await (const { connectionId, messages } of subscriber.receive()) {
        for (const message of messages) {
          if (turns.isOver) await turns.next();
          if (this.#gate.isHeld) await this.#gate.opened();
          if (this.#isClosed) return;
          turns.work(() => this.#live(connectionId, message));
        }
        this.#replays?.stirred();
        this.#settle();
      }
    } catch (error) {
      if (!this.#isClosed) this.#fail(error);
    }
  }

  #live(connectionId: number, message: Message): void {
    try {
      const { sequence, payload } = parseLiveMessage(message);
      const { lastSequence } = this.#sequencer;
      if (lastSequence !== null && sequence - lastSequence > MAX_JUMP) throw jumpError(lastSequence, sequence);
      this.#sequencer.live(connectionId, sequence, payload);
    } catch (error) {
      if (!(error instanceof KVEventSyncError)) throw error;
      this.#counters.failed(error.code, error);
    }
  }

  #onConnection(state: ConnectionState): void {
    if (this.#isClosed) return;
    const wasReady = this.#connection?.status === "ready";
    this.#connection = state;
    if (state.status === "ready") this.#sequencer.connected(state.connectionId);
    else if (wasReady) this.#sequencer.disconnected();
    this.#parts.observer.onConnection?.(this.id, state);
    this.#settle();
  }

  #apply(sequence: number, payload: Uint8Array, isLive: boolean): void {
    const { clock, unixMs } = this.#parts;
    const startedMs = clock.now();
    const handled = this.#handler.handle(payload);
    const endedMs = clock.now();
    this.#lastBatchMs = endedMs;
    const { publishedAtSeconds } = handled;
    const lagSeconds = isLive && publishedAtSeconds !== null ? unixMs() / 1_000 - publishedAtSeconds : undefined;
    this.#counters.applied(sequence, handled, (endedMs - startedMs) / 1_000, lagSeconds);
  }

  /** What follows from any change of the sequencer. */
  #settle(): void {
    if (this.#isClosed) return;
    this.#replays?.settle();
    const { status } = this.#sequencer;
    if (status === this.#status) return;
    this.#status = status;
    this.#parts.observer.onStatus?.(this.id, status);
  }

  /** The stream cannot go on: its endpoint is unusable, or something is wrong in here. */
  #fail(error: unknown): void {
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#sequencer.disconnected();
    this.#connection = closedBy(cause);
    this.#counters.failed("transport", cause);
    this.#parts.observer.onConnection?.(this.id, this.#connection);
    void this.#subscriber?.close();
    this.#settle();
  }
}

function closedBy(error: Error): ConnectionState {
  const cause =
    error instanceof TransportError ? error : new TransportError("internal", error.message, { cause: error });
  return { status: "closed", cause };
}

function overflowError({ pod, rank }: StreamId, maxHeldBytes: number): KVEventSyncError {
  return new KVEventSyncError(
    "overflow",
    `stream ${pod} rank ${rank}: more than maxHeldBytes ${maxHeldBytes} of live batches waited for a replay; the oldest are asked for again, raise maxHeldBytes if that recurs`,
  );
}

function jumpError(from: number, to: number): KVEventSyncError {
  return new KVEventSyncError("framing", `sequence jumps from ${from} to ${to}; check who publishes there`);
}
