import { type Clock, systemClock } from "../clock.ts";
import { KVEventSyncError } from "../errors.ts";
import { type EncodeOptions, encodeEventBatch } from "../events/encode.ts";
import type { KVEvent } from "../events/event.ts";
import type { Publisher, Router, Transport } from "../transport.ts";
import { type ReplayFraming, type ReplayHistory, type ReplayOverflow, ReplayService } from "./replay-service.ts";
import { encodeSequence } from "./sequence.ts";

export interface EventPublisherOptions {
  readonly transport: Transport;
  /** Of the PUB socket, such as `tcp://127.0.0.1:5557`. */
  readonly endpoint: string;
  /** Default `bind`; `connect` dials a subscriber that binds (vLLM's centralised mode). */
  readonly mode?: "bind" | "connect";
  /** Of the ROUTER socket, always bound. Default none: no replay, as vLLM. */
  readonly replayEndpoint?: string;
  /** First frame of every message. Default empty. */
  readonly topic?: string;
  /** Told in every batch; `null` tells nothing, as an engine without data parallelism before vLLM 0.10. Default 0. */
  readonly rank?: number | null;
  /** Batches kept for replay. Default 10,000, as vLLM's `buffer_steps`. */
  readonly bufferSteps?: number;
  /** Default `{ encoding: "map" }`, as vLLM since 0.24. */
  readonly encode?: EncodeOptions;
  /** Default `topic`, as vLLM since 0.26. */
  readonly replayFraming?: ReplayFraming;
  /** Default `pace`, so that a replay is complete. */
  readonly replayOverflow?: ReplayOverflow;
  /** Of each peer, before the publisher drops. Default 100,000 messages, as vLLM's `hwm`. */
  readonly sendHighWaterMark?: number;
  /** Default 1,000 messages, as ZeroMQ. */
  readonly replayHighWaterMark?: number;
  /** For the pauses of a paced replay. Default the machine's. */
  readonly clock?: Clock;
  /** Time of the batches, seconds since the epoch. Default the machine's. */
  readonly nowSeconds?: () => number;
}

/** An engine's side of the wire. Disposing equals `close()`. */
export interface EventPublisher extends AsyncDisposable {
  /** To connect to. */
  readonly endpoint: string;
  readonly replayEndpoint: string | undefined;
  /** Of the batch that comes next; the first is 0. */
  readonly nextSequence: number;
  /** Sends one batch and keeps it for replay. Returns its sequence number. Throws `closed` after `close()`. */
  publish(events: readonly KVEvent[]): number;
  close(): Promise<void>;
}

/**
 * Publishes batches of events as vLLM does (`vllm/distributed/kv_events.py`, `ZmqEventPublisher`): messages
 * `[topic, sequence, payload]` with a sequence of 8 bytes, big-endian, that starts at 0, and a replay service.
 *
 * @throws TransportError where a socket cannot be bound; nothing is left open then.
 */
export async function startPublisher(options: EventPublisherOptions): Promise<EventPublisher> {
  const { transport, sendHighWaterMark = 100_000, replayHighWaterMark = 1_000 } = options;
  const publisher = transport.publisher({ sendHighWaterMark });
  let router: Router | undefined;
  try {
    let endpoint = options.endpoint;
    let replayEndpoint: string | undefined;
    if (options.mode === "connect") publisher.connect(endpoint);
    else endpoint = await publisher.bind(endpoint);
    if (options.replayEndpoint !== undefined) {
      router = transport.router({ mandatory: true, sendHighWaterMark: replayHighWaterMark });
      replayEndpoint = await router.bind(options.replayEndpoint);
    }
    return new RunningPublisher(options, { publisher, router, endpoint, replayEndpoint });
  } catch (error) {
    await Promise.all([publisher.close(), router?.close()]);
    throw error;
  }
}

interface Sockets {
  readonly publisher: Publisher;
  readonly router: Router | undefined;
  readonly endpoint: string;
  readonly replayEndpoint: string | undefined;
}

class RunningPublisher implements EventPublisher, ReplayHistory {
  readonly endpoint: string;
  readonly replayEndpoint: string | undefined;
  nextSequence = 0;
  readonly #options: EventPublisherOptions;
  readonly #sockets: Sockets;
  readonly #topic: Uint8Array;
  readonly #bufferSteps: number;
  /** Of the batch `sequence` at `sequence % bufferSteps`. */
  readonly #payloads: Uint8Array[] = [];
  readonly #replays: Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(options: EventPublisherOptions, sockets: Sockets) {
    this.#options = options;
    this.#sockets = sockets;
    this.endpoint = sockets.endpoint;
    this.replayEndpoint = sockets.replayEndpoint;
    this.#topic = new TextEncoder().encode(options.topic ?? "");
    this.#bufferSteps = options.bufferSteps ?? 10_000;
    this.#replays = this.#serveReplays();
    // A failure is told to whoever closes.
    this.#replays.catch(() => undefined);
  }

  get firstSequence(): number {
    return Math.max(0, this.nextSequence - this.#bufferSteps);
  }

  payload(sequence: number): Uint8Array {
    return this.#payloads[sequence % this.#bufferSteps]!;
  }

  publish(events: readonly KVEvent[]): number {
    if (this.#closing !== undefined) {
      throw new KVEventSyncError("closed", `publisher ${this.endpoint}: is closed; start another one`);
    }
    const { nowSeconds = () => Date.now() / 1_000, rank = 0, encode = { encoding: "map" } } = this.#options;
    const payload = encodeEventBatch({ ts: nowSeconds(), events, dataParallelRank: rank }, encode);
    const sequence = this.nextSequence;
    this.#sockets.publisher.send([this.#topic, encodeSequence(sequence), payload]);
    this.#payloads[sequence % this.#bufferSteps] = payload;
    this.nextSequence++;
    return sequence;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([this.#sockets.publisher.close(), this.#sockets.router?.close()]);
    await this.#replays;
  }

  async #serveReplays(): Promise<void> {
    const { router } = this.#sockets;
    const { replayFraming = "topic", replayOverflow = "pace", clock = systemClock } = this.#options;
    if (router === undefined) return;
    const service = { framing: replayFraming, overflow: replayOverflow, topic: this.#topic, clock };
    await new ReplayService(router, this, service).run();
  }
}
