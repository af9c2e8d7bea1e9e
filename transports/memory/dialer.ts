import { TransportError } from "../../src/errors.ts";
import type { ConnectionState } from "../../src/transport.ts";
import { backoffMs } from "../shared/backoff.ts";
import type { Connection, ConnectionHost } from "./connection.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Network } from "./network.ts";
import { after } from "./timing.ts";

/** Connects, and connects again, until it is stopped. */
export class Dialer {
  readonly #text: string;
  readonly #endpoint: Endpoint;
  readonly #host: ConnectionHost;
  readonly #network: Network;
  readonly #notify: (state: ConnectionState) => void;
  /** Counted from the last connection that was ready, or from the start. */
  #attempt = 0;
  #stopped = false;
  /** Gives up what is under way before there is a connection: the attempt, or the wait for the next one. */
  #cancel: (() => void) | null = null;
  #connection: Connection | null = null;

  /** `text` is the endpoint as given to `connect`. */
  constructor(
    text: string,
    endpoint: Endpoint,
    host: ConnectionHost,
    network: Network,
    notify: (state: ConnectionState) => void,
  ) {
    this.#text = text;
    this.#endpoint = endpoint;
    this.#host = host;
    this.#network = network;
    this.#notify = notify;
  }

  /** Starts the next attempt. */
  start(): void {
    this.#attempt += 1;
    this.#cancel = null;
    this.#notify({ status: "connecting", attempt: this.#attempt });
    if (this.#stopped) return;
    const latencyMs = this.#network.dialLatencyMs(this.#endpoint, this.#host.kind);
    this.#cancel = after(this.#network.clock, latencyMs, () => this.#dial());
  }

  /** Ends it in any state; resolves when what was sent has arrived or its time is over. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancel?.();
    if (this.#connection === null) this.#notify({ status: "closed" });
    else await this.#connection.close();
  }

  #dial(): void {
    this.#cancel = null;
    const link = this.#network.dial(this.#endpoint, {
      host: this.#host,
      endpoint: this.#text,
      observer: {
        handshaking: (connection) => {
          this.#connection = connection;
          this.#notify({ status: "handshaking" });
        },
        ready: (connectionId) => {
          this.#attempt = 1;
          this.#notify({ status: "ready", connectionId });
        },
        closed: (cause) => this.#lost(cause),
      },
    });
    if (link instanceof TransportError) this.#retry(link);
  }

  #lost(cause: TransportError | undefined): void {
    this.#connection = null;
    if (cause === undefined || this.#stopped) this.#notify({ status: "closed" });
    else this.#retry(cause);
  }

  #retry(cause: TransportError): void {
    const { reconnectMinMs, reconnectMaxMs } = this.#host.options;
    const bounds = { minMs: reconnectMinMs, maxMs: reconnectMaxMs };
    const retryInMs = backoffMs(this.#attempt, this.#network.random, bounds);
    this.#cancel = after(this.#network.clock, retryInMs, () => this.start());
    this.#notify({ status: "waiting", cause, attempt: this.#attempt + 1, retryInMs });
  }
}
