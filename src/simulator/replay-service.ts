import type { Clock } from "../clock.ts";
import { TransportError } from "../errors.ts";
import type { Message, Router } from "../transport.ts";
import { END_OF_REPLAY, encodeSequence, SEQUENCE_BYTES } from "./sequence.ts";

/**
 * Frames of a reply after the identity and the empty delimiter: `legacy` `[sequence, payload]`, as vLLM before 0.26 and
 * SGLang; `topic` `[topic, sequence, payload]`, as vLLM since 0.26 (vllm-project/vllm#45177).
 */
export type ReplayFraming = "legacy" | "topic";

/**
 * What happens when the peer's queue is full: `pace` waits for room, so that every replay is complete; `drop` goes on
 * and loses what does not fit, the end marker included, as vLLM does.
 */
export type ReplayOverflow = "pace" | "drop";

/** The batches that can still be replayed. */
export interface ReplayHistory {
  /** Of the oldest batch. */
  readonly firstSequence: number;
  /** Of the batch that comes next. */
  readonly nextSequence: number;
  payload(sequence: number): Uint8Array;
}

export interface ReplayServiceOptions {
  readonly framing: ReplayFraming;
  readonly overflow: ReplayOverflow;
  readonly topic: Uint8Array;
  readonly clock: Clock;
}

interface Replay {
  readonly identity: Uint8Array;
  /** The identity as a key. */
  readonly peer: string;
  readonly end: number;
  next: number;
}

const EMPTY = new Uint8Array();
/** Batches that one replay sends before others, and the live stream, get their turn. */
const TURN_BATCHES = 256;
const PAUSE_MS = 1;
/** Requests beyond it are ignored: a peer that only asks must not fill the memory. */
const MAX_PENDING_REPLAYS = 1_000;

/**
 * Answers replay requests on a ROUTER: `[identity, "", first sequence]` is answered with one message per batch from there
 * on and an end marker (`vllm/distributed/kv_events.py`, `_service_replay`). Anything else is ignored.
 */
export class ReplayService {
  readonly #router: Router;
  readonly #history: ReplayHistory;
  readonly #options: ReplayServiceOptions;
  #replays: Replay[] = [];
  #timer: unknown;

  /** The router must be mandatory: a peer that left would else look like one that is slow. */
  constructor(router: Router, history: ReplayHistory, options: ReplayServiceOptions) {
    this.#router = router;
    this.#history = history;
    this.#options = options;
  }

  /** Serves until the router closes. */
  async run(): Promise<void> {
    try {
      for await (const { messages } of this.#router.receive()) {
        for (const message of messages) this.#accept(message);
      }
    } finally {
      this.#replays = [];
      this.#options.clock.clearTimeout(this.#timer);
    }
  }

  #accept(message: Message): void {
    const [identity, , start] = message;
    const isRequest = message.length === 3 && start?.length === SEQUENCE_BYTES;
    if (identity === undefined || !isRequest || this.#replays.length >= MAX_PENDING_REPLAYS) return;
    const first = new DataView(start.buffer, start.byteOffset, SEQUENCE_BYTES).getBigUint64(0);
    const end = this.#history.nextSequence;
    const next = first < BigInt(end) ? Number(first) : end;
    this.#replays.push({ identity: identity.slice(), peer: Buffer.from(identity).toString("latin1"), end, next });
    if (this.#timer === undefined) this.#serve();
  }

  /** Gives each peer a turn; the requests of one peer are answered one after the other. */
  #serve(): void {
    const busy = new Set<string>();
    this.#timer = undefined;
    this.#replays = this.#replays.filter((replay) => {
      if (!busy.has(replay.peer) && this.#advance(replay)) return false;
      busy.add(replay.peer);
      return true;
    });
    if (this.#replays.length > 0) this.#timer = this.#options.clock.setTimeout(() => this.#serve(), PAUSE_MS);
  }

  /** Whether the replay is over: answered to its end marker, or its peer is gone. */
  #advance(replay: Replay): boolean {
    const isPaced = this.#options.overflow === "pace";
    for (let sent = 0; !isPaced || sent < TURN_BATCHES; sent++) {
      // The oldest batches may have gone while the peer was slow.
      replay.next = Math.max(replay.next, this.#history.firstSequence);
      const isEnd = replay.next >= replay.end;
      const outcome = this.#send(replay.identity, isEnd ? END_OF_REPLAY : replay.next);
      if (outcome === "gone") return true;
      if (outcome === "full" && isPaced) return false;
      if (isEnd) return true;
      replay.next++;
    }
    return false;
  }

  #send(identity: Uint8Array, sequence: number | typeof END_OF_REPLAY): "sent" | "full" | "gone" {
    const isEnd = sequence === END_OF_REPLAY;
    const payload = isEnd ? EMPTY : this.#history.payload(sequence);
    // The end marker belongs to no topic.
    const topic = this.#options.framing === "topic" ? [isEnd ? EMPTY : this.#options.topic] : [];
    try {
      return this.#router.send([identity, EMPTY, ...topic, encodeSequence(sequence), payload]) ? "sent" : "full";
    } catch (error) {
      if (error instanceof TransportError && (error.code === "host-unreachable" || error.code === "closed"))
        return "gone";
      throw error;
    }
  }
}
