import { TransportError } from "../../src/errors.ts";
import type { ConnectionState, Message, Socket, SocketOptions } from "../../src/transport.ts";
import type { Connection, ConnectionHost, ConnectionSide } from "./connection.ts";
import { Dialer } from "./dialer.ts";
import { parseEndpoint } from "./endpoint.ts";
import type { SocketKind } from "./faults.ts";
import type { Binding, Network } from "./network.ts";
import { type ResolvedOptions, withSocketOptions } from "./options.ts";

/** Calls the user's code. What it throws comes up as an uncaught error, but does not tear our own state. */
export function callListener(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** What the four sockets share: endpoints, the life of their connections, and the end. */
export abstract class MemorySocket implements Socket, ConnectionHost {
  readonly kind: SocketKind;
  readonly options: ResolvedOptions;
  protected readonly network: Network;
  readonly #onConnection: SocketOptions["onConnection"];
  readonly #dialers = new Map<string, Dialer>();
  readonly #bindings = new Set<Binding>();
  readonly #accepted = new Set<Connection>();
  readonly #disconnecting = new Set<Promise<void>>();
  #lastConnectionId = 0;
  #closing: Promise<void> | null = null;

  protected constructor(kind: SocketKind, network: Network, options: ResolvedOptions, socket: SocketOptions) {
    this.kind = kind;
    this.network = network;
    this.options = withSocketOptions(options, socket);
    this.#onConnection = socket.onConnection;
  }

  connect(endpoint: string): void {
    this.assertOpen();
    const parsed = parseEndpoint(endpoint, "connect");
    // A second connection to the same peer would receive everything twice.
    if (this.#dialers.has(endpoint)) return;
    const dialer = new Dialer(endpoint, parsed, this, this.network, (state) => this.#notify(endpoint, state));
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

  async bind(endpoint: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<string> {
    this.assertOpen();
    const parsed = parseEndpoint(endpoint, "bind");
    signal?.throwIfAborted();
    const binding = this.network.bind(endpoint, parsed, { kind: this.kind, accept: (peer) => this.#accept(peer) });
    this.#bindings.add(binding);
    return binding.endpoint;
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  nextConnectionId(): number {
    this.#lastConnectionId += 1;
    return this.#lastConnectionId;
  }

  abstract admit(connection: Connection): void;
  abstract release(connection: Connection): void;
  abstract hasRoom(messages: number, bytes: number): boolean;
  abstract deliver(connection: Connection, messages: Message[], bytes: number): void;

  /** Only a publisher is told topics. */
  topic(_connection: Connection, _topic: Uint8Array, _subscribed: boolean): void {}

  protected assertOpen(): void {
    if (this.#closing === null) return;
    throw new TransportError("closed", `memory: this ${this.kind} was closed; make a new one`);
  }

  /** Throws TransportError `closed`, or `unsupported` for a message that no ZeroMQ peer could send. */
  protected assertSendable(message: Message): void {
    this.assertOpen();
    if (message.length > 0) return;
    throw new TransportError(
      "unsupported",
      "memory: a message needs at least one frame, a router's one more; this one has none",
    );
  }

  /** Called first when the socket closes. */
  protected abstract onClose(): void;

  #accept(peer: string): ConnectionSide {
    let accepted: Connection | null = null;
    return {
      host: this,
      endpoint: peer,
      observer: {
        handshaking: (connection) => {
          accepted = connection;
          this.#accepted.add(connection);
          this.#notify(peer, { status: "handshaking" });
        },
        ready: (connectionId) => this.#notify(peer, { status: "ready", connectionId }),
        closed: (cause) => {
          if (accepted !== null) this.#accepted.delete(accepted);
          this.#notify(peer, cause === undefined ? { status: "closed" } : { status: "closed", cause });
        },
      },
    };
  }

  #notify(endpoint: string, state: ConnectionState): void {
    callListener(() => this.#onConnection?.(endpoint, state));
  }

  async #shutDown(): Promise<void> {
    // The rest runs with `#closing` set, whatever a listener calls.
    await Promise.resolve();
    this.onClose();
    for (const binding of this.#bindings) this.network.unbind(binding);
    const dialers = [...this.#dialers.values()];
    this.#dialers.clear();
    await Promise.all([
      ...dialers.map((dialer) => dialer.stop()),
      ...[...this.#accepted].map((connection) => connection.close()),
      ...this.#disconnecting,
    ]);
  }
}
