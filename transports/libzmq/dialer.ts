import { TransportError, type TransportErrorCode } from "../../src/errors.ts";
import { backoffMs } from "../shared/backoff.ts";
import type { Link } from "./link.ts";
import type { NativeEvent } from "./load.ts";
import {
  connectError,
  disconnectError,
  faultError,
  type HandshakeFault,
  handshakeFault,
  handshakeTimeoutError,
  openError,
  silentFaultError,
} from "./native-errors.ts";
import type { LinkHost } from "./socket.ts";

/** Causes that the next attempt will hardly change: it comes late. */
const STUBBORN: ReadonlySet<TransportErrorCode> = new Set([
  "protocol",
  "mechanism-mismatch",
  "socket-type-mismatch",
  "authentication",
  "message-too-large",
]);

/** libzmq announces its own next attempt right after a disconnection, or there will be none: it found a fault. */
const ANNOUNCED_IN_MS = 100;

/** libzmq's clock is not ours: what it gave up this close to the time for a handshake, it gave up for that. */
const EARLY = 0.9;

/**
 * Connects, and connects again, until it is stopped. Every attempt is a new socket of libzmq: its own way to come back
 * gives up for ever after a fault (libzmq#4196), forgets its back-off (libzmq#883) and does not tell old messages from
 * new ones.
 */
export class Dialer {
  readonly #text: string;
  readonly #address: string;
  readonly #host: LinkHost;
  /** Counted from the last connection that was stable, or from the start. */
  #attempt = 0;
  #phase: "connecting" | "handshaking" | "ready" | "over" = "over";
  /** When that phase began. */
  #since = 0;
  #attemptedAt = 0;
  #isResolved = false;
  #isDelayed = false;
  #fault: HandshakeFault | null = null;
  /** Of the last attempt, until the next one. */
  #link: Link | null = null;
  /** For the next attempt, or for the end of this one. */
  #timer: unknown = null;
  #isStopped = false;

  /** `text` is the endpoint as given to `connect`, `address` as libzmq wants it. */
  constructor(text: string, address: string, host: LinkHost) {
    this.#text = text;
    this.#address = address;
    this.#host = host;
  }

  /** Starts the next attempt. */
  start(): void {
    this.#attempt += 1;
    this.#timer = null;
    this.#isResolved = false;
    this.#isDelayed = false;
    this.#fault = null;
    this.#enter("connecting");
    this.#attemptedAt = this.#since;
    this.#host.notify(this.#text, { status: "connecting", attempt: this.#attempt });
    if (this.#isStopped) return;
    try {
      const link = this.#host.open((event) => this.#onEvent(event));
      this.#link = link;
      link.native.connect(this.#address);
    } catch (error) {
      this.#lost(error instanceof TransportError ? error : openError(this.#text, error));
    }
  }

  /** Ends it in any state; resolves when no socket and no timer is left. */
  async stop(): Promise<void> {
    if (!this.#isStopped) {
      this.#isStopped = true;
      this.#cancelTimer();
      if (this.#phase === "ready") void this.#host.release(this.#link!);
      this.#enter("over");
      this.#host.notify(this.#text, { status: "closed" });
    }
    await this.#link?.close();
  }

  #onEvent(event: NativeEvent): void {
    if (this.#phase === "over") return;
    switch (event.type) {
      case "connect:delay":
        this.#isResolved = true;
        this.#isDelayed = true;
        break;
      case "close":
        this.#isResolved = true;
        break;
      case "connect":
        this.#enter("handshaking");
        this.#host.notify(this.#text, { status: "handshaking" });
        break;
      case "handshake":
        this.#ready();
        break;
      case "handshake:error:protocol":
      case "handshake:error:auth":
      case "handshake:error:other":
        this.#fault = handshakeFault(event.type, event.error);
        break;
      case "disconnect":
        this.#timer = this.#host.options.clock.setTimeout(() => this.#lost(this.#silentCause()), ANNOUNCED_IN_MS);
        break;
      case "connect:retry":
        this.#cancelTimer();
        this.#lost(this.#cause());
        break;
      default:
        break;
    }
  }

  #ready(): void {
    const link = this.#link!;
    link.connectionId = this.#host.nextConnectionId();
    link.peers = 1;
    link.readyPeers = 1;
    this.#enter("ready");
    this.#host.notify(this.#text, { status: "ready", connectionId: link.connectionId });
    // The listener may have closed the socket.
    if (this.#isStopped) return;
    this.#host.attach(link);
    this.#host.welcome(link);
  }

  /** Why libzmq would try again by itself. */
  #cause(): TransportError {
    // From the start, for of what happened in between we may have heard late.
    const durationMs = this.#host.options.clock.now() - this.#attemptedAt;
    if (this.#phase === "connecting") {
      return connectError(this.#text, { isResolved: this.#isResolved, isDelayed: this.#isDelayed, durationMs });
    }
    if (this.#fault !== null) return faultError(this.#text, this.#fault);
    const { handshakeTimeoutMs } = this.#host.options;
    if (this.#phase === "ready") return disconnectError(this.#text, "traffic");
    if (durationMs >= handshakeTimeoutMs * EARLY) return handshakeTimeoutError(this.#text, handshakeTimeoutMs);
    return disconnectError(this.#text, "handshake");
  }

  /** Why libzmq would not. */
  #silentCause(): TransportError {
    if (this.#fault !== null) return faultError(this.#text, this.#fault);
    const during = this.#phase === "ready" ? "traffic" : "handshake";
    return silentFaultError(this.#text, during, this.#host.options.maxMessageBytes);
  }

  #lost(cause: TransportError): void {
    const { clock, random, reconnectMinMs, reconnectMaxMs, protocolRetryMs, stableAfterMs } = this.#host.options;
    const link = this.#link;
    const wasReady = this.#phase === "ready";
    if (wasReady && clock.now() - this.#since >= stableAfterMs) this.#attempt = 1;
    this.#enter("over");
    const bounds = STUBBORN.has(cause.code)
      ? { minMs: protocolRetryMs, maxMs: Math.max(protocolRetryMs, reconnectMaxMs) }
      : { minMs: reconnectMinMs, maxMs: reconnectMaxMs };
    const retryInMs = backoffMs(this.#attempt, random, bounds);
    const gone = this.#leave(link, wasReady);
    this.#timer = clock.setTimeout(() => {
      void gone.then(() => {
        if (!this.#isStopped) this.start();
      });
    }, retryInMs);
    this.#host.notify(this.#text, { status: "waiting", cause, attempt: this.#attempt + 1, retryInMs });
  }

  /** What had come over the connection is taken first, and only then comes the next one. */
  async #leave(link: Link | null, wasReady: boolean): Promise<void> {
    if (link === null) return;
    link.peers = 0;
    if (wasReady) await this.#host.release(link);
    await link.close();
  }

  #enter(phase: "connecting" | "handshaking" | "ready" | "over"): void {
    this.#phase = phase;
    this.#since = this.#host.options.clock.now();
  }

  #cancelTimer(): void {
    this.#host.options.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
