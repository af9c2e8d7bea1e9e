import { Link, type LinkListener } from "./link.ts";
import type { NativeContext, NativeSocket, Zeromq } from "./load.ts";
import type { ResolvedOptions } from "./options.ts";

/** As many as libzmq can have: each of our connections needs three, for what happens is told over two more. */
const MAX_SOCKETS = 65_535;

/** Further than any process runs: libzmq itself is not to connect again. */
const NEVER_MS = 2_147_483_647;

/** Questions without an answer that end a connection. */
const KEEP_ALIVE_PROBES = 3;

/** What every kind of socket is made with. */
export interface NativeOptions {
  readonly context: NativeContext;
  readonly linger: number;
  readonly ipv6: boolean;
  readonly maxMessageSize: number;
  readonly connectTimeout: number;
  readonly handshakeInterval: number;
  readonly reconnectInterval: number;
  readonly tcpKeepalive: number;
  readonly tcpKeepaliveIdle: number;
  readonly tcpKeepaliveInterval: number;
  readonly tcpKeepaliveCount: number;
}

/** The package `zeromq` with the threads of one transport. */
export class Library {
  readonly zeromq: Zeromq;
  readonly #ioThreads: number;
  #context: NativeContext | null = null;

  constructor(zeromq: Zeromq, ioThreads: number) {
    this.zeromq = zeromq;
    this.#ioThreads = ioThreads;
  }

  /** Makes a socket and links it; `make` is given what all kinds have in common. */
  open<S extends NativeSocket>(
    options: ResolvedOptions,
    onEvent: LinkListener,
    make: (native: NativeOptions) => S,
  ): Link<S> {
    return new Link(make(this.#nativeOptions(options)), options.clock, options.lingerMs, onEvent);
  }

  #nativeOptions(options: ResolvedOptions): NativeOptions {
    const seconds = Math.ceil(options.keepAliveMs / 1_000);
    const idle = seconds > 0 ? seconds : -1;
    // Threads start with the first socket; the binding ends them with the process.
    this.#context ??= new this.zeromq.Context({
      ioThreads: this.#ioThreads,
      maxSockets: MAX_SOCKETS,
      blocky: false,
    });
    return {
      context: this.#context,
      linger: options.lingerMs,
      ipv6: true,
      maxMessageSize: options.maxMessageBytes,
      connectTimeout: options.connectTimeoutMs,
      handshakeInterval: options.handshakeTimeoutMs,
      reconnectInterval: NEVER_MS,
      tcpKeepalive: seconds > 0 ? 1 : -1,
      tcpKeepaliveIdle: idle,
      tcpKeepaliveInterval: idle,
      tcpKeepaliveCount: seconds > 0 ? KEEP_ALIVE_PROBES : -1,
    };
  }
}
