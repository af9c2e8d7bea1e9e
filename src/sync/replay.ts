import type { Clock } from "../clock.ts";
import type { ConnectionState, Dealer, Transport } from "../transport.ts";
import { END_OF_REPLAY, encodeReplayRequest, parseReplayMessage } from "./framing.ts";
import type { Gate } from "./gate.ts";
import type { ReplayEnd } from "./replay-progress.ts";
import type { TurnQueue } from "./turn-queue.ts";

/** What is to be replayed, and who hears of it. */
export interface ReplayParts {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Held while nothing may be applied. */
  readonly gate: Gate;
  /** Whose turn it is to apply what came: replays have no turns of their own beside those of live streams. */
  readonly turns: TurnQueue;
  /** The engine's ROUTER socket. */
  readonly endpoint: string;
  readonly from: number;
  /** Time for the first answer. */
  readonly timeoutMs: number;
  /** Time from one answer to the next, without that in which we worked. */
  readonly idleMs: number;
  /** Answers came, or those that came have their turn. */
  readonly onAnswered: () => void;
  readonly onBatch: (sequence: number, payload: Uint8Array) => void;
  /** Whether more can be applied of what waited for that batch; `goOn` does it. It comes before the next answer. */
  readonly hasMore: () => boolean;
  readonly goOn: () => void;
  /** Called once, unless closed before. */
  readonly onEnd: (end: ReplayEnd) => void;
  /** An answer that cannot be read; it costs itself alone. */
  readonly onError: (error: Error) => void;
}

/** Replies that wait to be read; beyond it the ROUTER drops, so that more is better, up to the memory that it takes. */
const RECEIVE_HIGH_WATER_MARK = 100_000;

/**
 * One request to a replay endpoint and its answers, over a DEALER socket of its own: an answer to an earlier request
 * can never be taken for one to this.
 */
export class Replay {
  readonly #parts: ReplayParts;
  readonly #dealer: Dealer;
  readonly #done: Promise<void>;
  #timer: unknown;
  /** By `#restedMs`. */
  #lastAnswerMs = 0;
  #isAnswered = false;
  /** Answers are there, and wait. */
  #isWaiting = false;
  #isOver = false;

  /** Throws TransportError `invalid-endpoint` or `unsupported`. */
  constructor(parts: ReplayParts) {
    const { transport, endpoint, from, timeoutMs, clock } = parts;
    this.#parts = parts;
    let wasReady = false;
    this.#dealer = transport.dealer({
      receiveHighWaterMark: RECEIVE_HIGH_WATER_MARK,
      onConnection: (_endpoint: string, { status }: ConnectionState) => {
        if (status === "ready") wasReady = true;
        else if (wasReady && status === "waiting") this.#end("silence");
      },
    });
    try {
      this.#dealer.connect(endpoint);
      this.#dealer.send(encodeReplayRequest(from));
    } catch (error) {
      void this.#dealer.close();
      throw error;
    }
    this.#timer = clock.setTimeout(() => this.#end("unanswered"), timeoutMs);
    this.#done = this.#receive();
  }

  /** Ends it without a word. Idempotent. */
  async close(): Promise<void> {
    this.#isOver = true;
    this.#parts.clock.clearTimeout(this.#timer);
    await this.#dealer.close();
    await this.#done;
  }

  async #receive(): Promise<void> {
    const { turns, gate, hasMore, goOn } = this.#parts;
    for await (const { messages } of this.#dealer.receive()) {
      if (this.#isOver) return;
      this.#answered();
      for (const message of messages) {
        if (turns.isOver || gate.isHeld) await this.#wait();
        if (this.#isOver) return;
        turns.work(() => this.#read(message));
        while (hasMore()) {
          if (turns.isOver || gate.isHeld) await this.#wait();
          if (this.#isOver) return;
          turns.work(goOn);
        }
      }
    }
  }

  /** Lets others have their turn. The engine is not silent meanwhile: nobody listens. */
  async #wait(): Promise<void> {
    const { turns, gate } = this.#parts;
    this.#isWaiting = true;
    if (turns.isOver) await turns.next();
    if (gate.isHeld) await gate.opened();
    this.#isWaiting = false;
    if (!this.#isOver) this.#heard();
  }

  #read(message: readonly Uint8Array[]): void {
    let batch: ReturnType<typeof parseReplayMessage>;
    try {
      batch = parseReplayMessage(message);
    } catch (error) {
      this.#parts.onError(error as Error);
      return;
    }
    if (batch === END_OF_REPLAY) this.#end("marker");
    else this.#parts.onBatch(batch.sequence, batch.payload);
  }

  /** The time, without that in which we worked. */
  get #restedMs(): number {
    return this.#parts.clock.now() - this.#parts.turns.workedMs;
  }

  #heard(): void {
    this.#lastAnswerMs = this.#restedMs;
    this.#parts.onAnswered();
  }

  /** One timer for the whole replay instead of one for each answer. */
  #answered(): void {
    const { clock, idleMs } = this.#parts;
    this.#heard();
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    clock.clearTimeout(this.#timer);
    const look = (): void => {
      const leftMs = this.#isWaiting ? idleMs : this.#lastAnswerMs + idleMs - this.#restedMs;
      if (leftMs <= 0) this.#end("silence");
      else this.#timer = clock.setTimeout(look, leftMs);
    };
    this.#timer = clock.setTimeout(look, idleMs);
  }

  #end(end: ReplayEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.clock.clearTimeout(this.#timer);
    void this.#dealer.close();
    this.#parts.onEnd(end);
  }
}
