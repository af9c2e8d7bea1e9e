import type { IncomingMessage } from "node:http";
import type { Socket as NetSocket } from "node:net";
import { TransportError, type TransportErrorCode } from "../../src/errors.ts";
import { backoffMs } from "../shared/backoff.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { closedError, connectError, located } from "./errors.ts";
import { type Jszmq, ZWS_OPTIONS, type ZwsEndpoint } from "./jszmq.ts";

/** Causes that the next attempt will hardly change: it comes late. */
const STUBBORN: ReadonlySet<TransportErrorCode> = new Set(["protocol", "peer-error", "message-too-large"]);

/** Connects, and connects again, until it is stopped: each time with a new endpoint of jszmq. */
export class Dialer {
  readonly #text: string;
  readonly #address: string;
  readonly #host: ConnectionHost;
  readonly #jszmq: Jszmq;
  /** Counted from the last connection that was stable, or from the start. */
  #attempt = 0;
  #isStopped = false;
  /** Gives up what is under way before there is a connection: the attempt, or the wait for the next one. */
  #cancel: (() => void) | null = null;
  #connection: Connection | null = null;
  /** Settles when the last socket is closed. */
  #finished: Promise<void> = Promise.resolve();

  /** `text` is the endpoint as given to `connect`, `address` what jszmq is to be told. */
  constructor(text: string, address: string, host: ConnectionHost, jszmq: Jszmq) {
    this.#text = text;
    this.#address = address;
    this.#host = host;
    this.#jszmq = jszmq;
  }

  /** Starts the next attempt. */
  start(): void {
    this.#attempt += 1;
    this.#cancel = null;
    this.#host.notify(this.#text, { status: "connecting", attempt: this.#attempt });
    if (this.#isStopped) return;
    const zws = new this.#jszmq.Endpoint(this.#address, ZWS_OPTIONS);
    const { socket } = zws;
    // It would connect again by itself.
    socket.onclose = null;
    let net: NetSocket | null = null;
    let isSettled = false;
    const settle = (): boolean => {
      if (isSettled) return false;
      isSettled = true;
      this.#host.options.clock.clearTimeout(timer);
      return true;
    };
    const fail = (cause: TransportError): void => {
      if (!settle()) return;
      socket.terminate();
      this.#retry(cause);
    };
    const timer = this.#startDeadline(fail);
    this.#finished = new Promise((resolve) => {
      socket.once("close", () => resolve());
    });
    this.#cancel = () => {
      if (settle()) socket.terminate();
    };
    socket.on("upgrade", (response: IncomingMessage) => {
      net = response.socket;
    });
    // Without a listener for what comes after we turned away, an error would end the process.
    socket.on("error", (error: unknown) => fail(connectError(this.#text, error)));
    socket.once("close", (code: number) => fail(located(this.#text, closedError(code))));
    socket.once("open", () => {
      if (settle()) this.#connected(zws, net!);
    });
  }

  /** Ends it in any state; resolves when no socket and no timer is left. */
  async stop(): Promise<void> {
    if (!this.#isStopped) {
      this.#isStopped = true;
      this.#cancel?.();
      this.#cancel = null;
      if (this.#connection === null) this.#host.notify(this.#text, { status: "closed" });
      else void this.#connection.close();
    }
    await this.#finished;
  }

  #startDeadline(fail: (cause: TransportError) => void): unknown {
    const { clock, connectTimeoutMs } = this.#host.options;
    return clock.setTimeout(() => {
      const text = `no answer in ${connectTimeoutMs} ms; check the address and the network`;
      fail(new TransportError("unreachable", `websocket ${this.#text}: ${text}`));
    }, connectTimeoutMs);
  }

  #connected(zws: ZwsEndpoint, net: NetSocket): void {
    this.#cancel = null;
    const connection = new Connection(this.#text, zws, net, this.#host, (cause) => this.#lost(connection, cause));
    this.#connection = connection;
    connection.start();
  }

  #lost(connection: Connection, cause: TransportError | undefined): void {
    this.#connection = null;
    if (connection.isStable()) this.#attempt = 1;
    if (cause === undefined || this.#isStopped) this.#host.notify(this.#text, { status: "closed" });
    else this.#retry(cause);
  }

  #retry(cause: TransportError): void {
    const { clock, random, reconnectMinMs, reconnectMaxMs, protocolRetryMs } = this.#host.options;
    const bounds = STUBBORN.has(cause.code)
      ? { minMs: protocolRetryMs, maxMs: Math.max(protocolRetryMs, reconnectMaxMs) }
      : { minMs: reconnectMinMs, maxMs: reconnectMaxMs };
    const retryInMs = backoffMs(this.#attempt, random, bounds);
    const timer = clock.setTimeout(() => this.start(), retryInMs);
    this.#cancel = () => clock.clearTimeout(timer);
    this.#host.notify(this.#text, { status: "waiting", cause, attempt: this.#attempt + 1, retryInMs });
  }
}
