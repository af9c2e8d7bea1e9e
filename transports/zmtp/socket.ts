import { TransportError } from "../../src/errors.ts";
import type { ConnectionListener, ConnectionState, Message, Socket, SocketOptions } from "../../src/transport.ts";
import { type Command, encodeMetadata } from "./commands.ts";
import type { Connection, ConnectionHost } from "./connection.ts";
import { Dialer } from "./dialer.ts";
import { parseEndpoint } from "./endpoint.ts";
import { Listener } from "./listener.ts";
import type { Mechanism, MechanismFactory, SocketType } from "./mechanism.ts";
import { type ResolvedOptions, withSocketOptions } from "./options.ts";
import { EMPTY } from "./wire.ts";

/** Calls the user's code. What it throws comes up as an uncaught error, but does not tear our own state. */
export function callListener(call: () => void): void {
  try {
    call();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

/** What the four sockets share: endpoints, the life of their connections, and the end. */
export abstract class ZmtpSocket implements Socket, ConnectionHost {
  readonly socketType: SocketType;
  readonly options: ResolvedOptions;
  readonly #mechanism: MechanismFactory;
  readonly #onConnection: ConnectionListener | undefined;
  readonly #dialers = new Map<string, Dialer>();
  readonly #listeners = new Set<Listener>();
  readonly #binding = new Set<Promise<unknown>>();
  readonly #stopBinding = new AbortController();
  readonly #disconnecting = new Set<Promise<void>>();
  #lastConnectionId = 0;
  #closing: Promise<void> | null = null;

  protected constructor(
    socketType: SocketType,
    mechanism: MechanismFactory,
    options: ResolvedOptions,
    socket: SocketOptions,
  ) {
    this.socketType = socketType;
    this.#mechanism = mechanism;
    this.options = withSocketOptions(options, socket);
    this.#onConnection = socket.onConnection;
  }

  connect(endpoint: string): void {
    this.assertOpen();
    const parsed = parseEndpoint(endpoint, "connect");
    // A second connection to the same peer would receive everything twice.
    if (this.#dialers.has(endpoint)) return;
    const dialer = new Dialer(endpoint, parsed, this);
    this.#dialers.set(endpoint, dialer);
    dialer.start();
  }

  disconnect(endpoint: string): void {
    const dialer = this.#dialers.get(endpoint);
    if (dialer === undefined) return;
    this.#dialers.delete(endpoint);
    const stopped = dialer.stop().finally(() => this.#disconnecting.delete(stopped));
    this.#disconnecting.add(stopped);
  }

  async bind(endpoint: string, options: { readonly signal?: AbortSignal } = {}): Promise<string> {
    this.assertOpen();
    const parsed = parseEndpoint(endpoint, "bind");
    const stop = this.#stopBinding.signal;
    const signal = options.signal === undefined ? stop : AbortSignal.any([options.signal, stop]);
    const binding = Listener.listen(endpoint, parsed, this, signal).then((listener) => {
      this.#listeners.add(listener);
      return listener.endpoint;
    });
    const settled = binding.then(
      () => {},
      () => {},
    );
    this.#binding.add(settled);
    void settled.then(() => this.#binding.delete(settled));
    return binding;
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  newMechanism(): Mechanism {
    const type: [string, Uint8Array] = ["Socket-Type", Buffer.from(this.socketType, "latin1")];
    const named = this.socketType === "DEALER" || this.socketType === "ROUTER";
    return this.#mechanism(encodeMetadata(named ? [type, ["Identity", EMPTY]] : [type]));
  }

  notify(endpoint: string, state: ConnectionState): void {
    callListener(() => this.#onConnection?.(endpoint, state));
  }

  nextConnectionId(): number {
    this.#lastConnectionId += 1;
    return this.#lastConnectionId;
  }

  abstract admit(connection: Connection): void;
  abstract release(connection: Connection): void;
  abstract deliver(connection: Connection, messages: Message[], bytes: number, chunk?: Uint8Array): void;

  /** Unknown commands are ignored (RFC 37), and so are those that mean nothing to this kind of socket. */
  command(_connection: Connection, _command: Command): void {}

  protected get isClosed(): boolean {
    return this.#closing !== null;
  }

  protected assertOpen(): void {
    if (this.isClosed) throw this.#closedError();
  }

  /** Called first when the socket closes. */
  protected abstract onClose(): void;

  #closedError(): TransportError {
    return new TransportError("closed", `zmtp: this ${this.socketType} socket was closed; make a new one`);
  }

  async #shutDown(): Promise<void> {
    // The rest runs with `#closing` set, whatever a listener calls.
    await Promise.resolve();
    this.onClose();
    this.#stopBinding.abort(this.#closedError());
    const dialers = [...this.#dialers.values()].map((dialer) => dialer.stop());
    this.#dialers.clear();
    await Promise.all([...dialers, ...this.#disconnecting, ...this.#binding]);
    await Promise.all([...this.#listeners].map((listener) => listener.close()));
  }
}
