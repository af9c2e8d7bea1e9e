import { TransportError } from "../../src/errors.ts";
import type { ConnectionListener, ConnectionState, Message, Socket, SocketOptions } from "../../src/transport.ts";
import { Binding } from "./binding.ts";
import { Dialer } from "./dialer.ts";
import { nativeEndpoint } from "./endpoint.ts";
import type { Library } from "./library.ts";
import type { Link, LinkListener } from "./link.ts";
import { type ResolvedOptions, withSocketOptions } from "./options.ts";

/** What dialers and bindings want of the socket that they work for. */
export interface LinkHost {
  readonly options: ResolvedOptions;
  nextConnectionId(): number;
  notify(endpoint: string, state: ConnectionState): void;
  /** A new socket of libzmq. Throws as libzmq does. */
  open(onEvent: LinkListener): Link;
  /** It is bound or connected: the link may be used. */
  attach(link: Link): void;
  /** A peer of the link has become ready. */
  welcome(link: Link): void;
  /** The last peer of a bound link has left. */
  deserted(link: Link): void;
  /** The link is over. Resolves when all that it has received was taken. */
  release(link: Link): Promise<void>;
}

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

/** What the four sockets share: endpoints, the life of their links, and the end. */
export abstract class LibzmqSocket implements Socket, LinkHost {
  readonly options: ResolvedOptions;
  protected readonly library: Library;
  readonly #kind: string;
  readonly #onConnection: ConnectionListener | undefined;
  readonly #dialers = new Map<string, Dialer>();
  readonly #bindings = new Set<Binding>();
  readonly #disconnecting = new Set<Promise<void>>();
  #lastConnectionId = 0;
  #closing: Promise<void> | null = null;

  protected constructor(kind: string, library: Library, options: ResolvedOptions, socket: SocketOptions) {
    this.#kind = kind;
    this.library = library;
    this.options = withSocketOptions(options, socket);
    this.#onConnection = socket.onConnection;
  }

  connect(endpoint: string): void {
    this.assertOpen();
    const address = nativeEndpoint(endpoint, "connect");
    // A second connection to the same peer would receive everything twice.
    if (this.#dialers.has(endpoint)) return;
    const dialer = new Dialer(endpoint, address, this);
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
    const address = nativeEndpoint(endpoint, "bind");
    options.signal?.throwIfAborted();
    const binding = new Binding(endpoint, address, this);
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

  notify(endpoint: string, state: ConnectionState): void {
    callListener(() => this.#onConnection?.(endpoint, state));
  }

  abstract open(onEvent: LinkListener): Link;
  abstract attach(link: Link): void;
  abstract release(link: Link): Promise<void>;

  welcome(_link: Link): void {}

  deserted(_link: Link): void {}

  protected get isClosed(): boolean {
    return this.#closing !== null;
  }

  protected assertOpen(): void {
    if (!this.isClosed) return;
    throw new TransportError("closed", `libzmq: this ${this.#kind} was closed; make a new one`);
  }

  /** Throws TransportError `closed`, or `unsupported` for a message that has no frame. */
  protected assertSendable(frames: Message): void {
    this.assertOpen();
    if (frames.length > 0) return;
    const text = "libzmq: a message needs at least one frame, a router's one more; this one has none";
    throw new TransportError("unsupported", text);
  }

  /** Called first when the socket closes; what waits to be sent may take until the promise settles. */
  protected abstract onClose(): Promise<void>;

  async #shutDown(): Promise<void> {
    // The rest runs with `#closing` set, whatever a listener calls.
    await Promise.resolve();
    await this.onClose();
    const dialers = [...this.#dialers.values()].map((dialer) => dialer.stop());
    this.#dialers.clear();
    const bindings = [...this.#bindings].map((binding) => binding.close());
    await Promise.all([...dialers, ...bindings, ...this.#disconnecting]);
  }
}
