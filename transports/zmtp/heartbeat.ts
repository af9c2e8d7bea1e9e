import type { Clock } from "../../src/clock.ts";
import { startDeadline } from "./deadline.ts";

export interface HeartbeatOptions {
  /** Silence after which a PING is sent; 0 for a peer that knows none. */
  readonly intervalMs: number;
  /** Silence after a PING that ends the connection. */
  readonly timeoutMs: number;
}

export interface HeartbeatActions {
  /** Asks for a sign of life. */
  ping(): void;
  /** Gives one, unasked. */
  sign(): void;
  /** The peer was silent for `silentMs`, which is too long. Called once. */
  expire(silentMs: number): void;
}

/**
 * Finds out that a peer is gone without a word. Any byte is life, so that a slow large message is no silence. While we
 * do not read ourselves nothing is expected; the peer's PINGs lie unread then, so it gets signs of life unasked.
 */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #options: HeartbeatOptions;
  readonly #actions: HeartbeatActions;
  #receivedAt: number;
  /** `null`: no PING since the last byte. */
  #pingedAt: number | null = null;
  /** What the peer said: without a word for so long it wants to be given up. 0: it said nothing. */
  #ttlMs = 0;
  #cancel: (() => void) | null = null;
  /** When the timer fires; it looks at the time then, and may find that it is too early. */
  #firesAt = Infinity;
  #paused = false;
  #signedAt = 0;

  constructor(clock: Clock, options: HeartbeatOptions, actions: HeartbeatActions) {
    this.#clock = clock;
    this.#options = options;
    this.#actions = actions;
    this.#receivedAt = clock.now();
    this.#arm();
  }

  /** Bytes came. Cheap: the timer looks at the time when it fires. */
  received(): void {
    this.#receivedAt = this.#clock.now();
    this.#pingedAt = null;
  }

  /** The peer's PING had this TTL; 0 takes an earlier one back. */
  setTtl(ttlMs: number): void {
    if (ttlMs === this.#ttlMs) return;
    this.#ttlMs = ttlMs;
    this.#arm();
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#signedAt = this.#clock.now();
    this.#arm();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.received();
    this.#arm();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#firesAt = Infinity;
  }

  /** When something is due: a PING, the end, or a sign of life while paused. */
  #nextAt(): number {
    const { intervalMs, timeoutMs } = this.#options;
    if (this.#paused) return this.#signedAt + Math.min(intervalMs || Infinity, this.#ttlMs / 2 || Infinity);
    const beatAt = this.#pingedAt === null ? this.#receivedAt + intervalMs : this.#pingedAt + timeoutMs;
    return Math.min(intervalMs > 0 ? beatAt : Infinity, this.#ttlMs > 0 ? this.#receivedAt + this.#ttlMs : Infinity);
  }

  /** A connection may be paused for each chunk: a timer that fires early enough is left alone. */
  #arm(): void {
    const nextAt = this.#nextAt();
    if (this.#firesAt <= nextAt) return;
    this.stop();
    this.#firesAt = nextAt;
    this.#cancel = startDeadline(this.#clock, Math.max(0, nextAt - this.#clock.now()), () => this.#fire());
  }

  #fire(): void {
    this.stop();
    const now = this.#clock.now();
    // A timer of the machine may fire a fraction of a millisecond early.
    if (now + 1 < this.#nextAt()) {
      this.#arm();
      return;
    }
    if (this.#paused) {
      this.#signedAt = now;
      this.#arm();
      this.#actions.sign();
      return;
    }
    const silentMs = now - this.#receivedAt;
    const ttlOver = this.#ttlMs > 0 && silentMs + 1 >= this.#ttlMs;
    if (ttlOver || this.#pingedAt !== null) {
      this.#actions.expire(silentMs);
      return;
    }
    this.#pingedAt = now;
    this.#arm();
    this.#actions.ping();
  }
}
