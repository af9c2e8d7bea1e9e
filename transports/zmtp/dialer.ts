import { connect, type Socket as NetSocket, type OnReadOpts } from "node:net";
import { TransportError, type TransportErrorCode } from "../../src/errors.ts";
import { backoffMs } from "../shared/backoff.ts";
import { READ_BYTES } from "./chunks.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { startDeadline } from "./deadline.ts";
import type { Endpoint } from "./endpoint.ts";
import { connectError } from "./net-errors.ts";

/** Causes that the next attempt will hardly change: it comes late. */
const STUBBORN: ReadonlySet<TransportErrorCode> = new Set([
  "protocol",
  "mechanism-mismatch",
  "socket-type-mismatch",
  "authentication",
  "peer-error",
  "message-too-large",
]);

/** Time for one of several addresses of a host before the next is tried beside it; Node's 250 ms are short abroad. */
const ADDRESS_ATTEMPT_MS = 1_000;

/**
 * Where the system puts what it reads, of all sockets: it is taken out before the next read. Twice what Node reads at
 * once, which pays for the copy. (Node would take another buffer for each read, but it loses count of them when
 * anybody's microtask throws.)
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BYTES);

/** Connects, and connects again, until it is stopped. */
export class Dialer {
  readonly #text: string;
  readonly #endpoint: Endpoint;
  readonly #host: ConnectionHost;
  /** Counted from the last connection that was stable, or from the start. */
  #attempt = 0;
  #stopped = false;
  /** Gives up what is under way before there is a connection: the attempt, or the wait for the next one. */
  #cancel: (() => void) | null = null;
  #connection: Connection | null = null;
  /** Settles when the last socket is closed. */
  #finished: Promise<void> = Promise.resolve();

  /** `text` is the endpoint as given to `connect`. */
  constructor(text: string, endpoint: Endpoint, host: ConnectionHost) {
    this.#text = text;
    this.#endpoint = endpoint;
    this.#host = host;
  }

  /** Starts the next attempt. */
  start(): void {
    this.#attempt += 1;
    this.#cancel = null;
    this.#host.notify(this.#text, { status: "connecting", attempt: this.#attempt });
    if (this.#stopped) return;
    const { options } = this.#host;
    const socket = this.#open();
    this.#finished = new Promise((resolve) => {
      socket.once("close", () => resolve());
    });
    const settle = (): void => {
      cancelDeadline();
      socket.off("connect", onConnect).off("error", onError);
      // What comes after we turned away must not become an uncaught error.
      socket.on("error", () => {});
    };
    const fail = (cause: TransportError): void => {
      settle();
      socket.destroy();
      this.#retry(cause);
    };
    const onError = (error: Error): void => fail(connectError(this.#text, error));
    const onConnect = (): void => {
      settle();
      this.#connected(socket);
    };
    const cancelDeadline = startDeadline(options.clock, options.connectTimeoutMs, () => {
      const text = `zmtp ${this.#text}: no answer in ${options.connectTimeoutMs} ms; check the address and the network`;
      fail(new TransportError("unreachable", text));
    });
    this.#cancel = () => {
      settle();
      socket.destroy();
    };
    socket.once("connect", onConnect).once("error", onError);
  }

  /** Ends it in any state; resolves when no socket and no timer is left. */
  async stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#cancel?.();
      this.#cancel = null;
      if (this.#connection === null) this.#host.notify(this.#text, { status: "closed" });
      else void this.#connection.close(true);
    }
    await this.#finished;
  }

  #open(): NetSocket {
    const endpoint = this.#endpoint;
    const onread: OnReadOpts = { buffer: READ_BUFFER, callback: this.#onRead };
    if (endpoint.scheme === "ipc") return connect({ path: endpoint.path ?? "", onread });
    const { lookup } = this.#host.options;
    return connect({
      onread,
      host: endpoint.host ?? "",
      port: endpoint.port,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_MS,
      ...(lookup && { lookup }),
    });
  }

  /** Unlike one that emits its data, such a socket reads nothing more from the moment when it is paused. */
  readonly #onRead = (bytes: number): boolean => {
    const connection = this.#connection;
    return connection === null || connection.received(this.#host.options.chunks.copyOf(READ_BUFFER.subarray(0, bytes)));
  };

  #connected(socket: NetSocket): void {
    this.#cancel = null;
    const connection = new Connection(socket, this.#text, this.#host, (cause) => this.#lost(connection, cause));
    this.#connection = connection;
    connection.start();
  }

  #lost(connection: Connection, cause: TransportError | undefined): void {
    this.#connection = null;
    if (connection.isStable()) this.#attempt = 1;
    if (cause === undefined || this.#stopped) this.#host.notify(this.#text, { status: "closed" });
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
