import type { Clock } from "../../src/clock.ts";
import type { NativeEvent, NativeSocket } from "./load.ts";

/** A socket is gone a moment after its linger; one that is not must not hold up the caller for ever. */
const MOST_CLOSING_MS = 2_000;

export type LinkListener = (event: NativeEvent) => void;

/**
 * One socket of libzmq with one endpoint. Ours has one for each of its endpoints, and a new one for each connection: only
 * so can it be told which connection a message came over, for libzmq says it of none.
 */
export class Link<S extends NativeSocket = NativeSocket> {
  readonly native: S;
  /** Of the connection; of the latest one, where the endpoint is bound. */
  connectionId = 0;
  /** Connections that are accepted or made. */
  peers = 0;
  /** Those of them whose handshake is over, as far as we have heard. */
  readyPeers = 0;
  /** Receives, and nothing has come: what libzmq has got until now was taken. */
  isIdle = false;
  readonly #clock: Clock;
  readonly #lingerMs: number;
  readonly #onEvent: LinkListener;
  /** Settles when libzmq is done with the socket. */
  readonly #ended: Promise<void>;
  #closing: Promise<void> | null = null;

  constructor(native: S, clock: Clock, lingerMs: number, onEvent: LinkListener) {
    this.native = native;
    this.#clock = clock;
    this.#lingerMs = lingerMs;
    this.#onEvent = onEvent;
    this.#ended = this.#watch();
  }

  get isClosed(): boolean {
    return this.#closing !== null;
  }

  /** Resolves when the system's sockets are closed, and what was sent is on its way or given up. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #watch(): Promise<void> {
    // A closed socket would make a new observer.
    const observer = this.native.events;
    for (;;) {
      const event = await observer.receive().catch(() => null);
      if (!event || event.type === "end") return;
      if (!this.isClosed) this.#onEvent(event);
    }
  }

  #end(): Promise<void> {
    this.native.close();
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(resolve, this.#lingerMs + MOST_CLOSING_MS);
      void this.#ended.then(() => {
        this.#clock.clearTimeout(timer);
        resolve();
      });
    });
  }
}
