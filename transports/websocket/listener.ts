import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import { Connection, type ConnectionHost } from "./connection.ts";
import { type Endpoint, formatEndpoint } from "./endpoint.ts";
import { listenError } from "./errors.ts";
import { asksForZws, type Jszmq, ZWS, ZWS_OPTIONS, type ZwsEndpoint, type ZwsListener } from "./jszmq.ts";

/** Most time between two looks for requests that take too long. */
const CHECKING_INTERVAL_MS = 1_000;

/**
 * Accepts peers at one bound endpoint. The HTTP server is ours, for jszmq's own would listen on every interface; and it
 * gets no upgrade before we have looked at it, for some requests make it throw.
 */
export class Listener {
  /** Where to connect to. */
  readonly endpoint: string;
  readonly #server: Server;
  readonly #path: string;
  readonly #host: ConnectionHost;
  readonly #upgrades = new EventEmitter();
  readonly #zws: ZwsListener;
  readonly #connections = new Set<Connection>();

  private constructor(server: Server, path: string, host: ConnectionHost, jszmq: Jszmq) {
    this.#server = server;
    this.#path = path;
    this.#host = host;
    this.endpoint = boundEndpoint(server, path);
    this.#zws = new jszmq.Listener(`ws://bound:1${path}`, this.#upgrades, ZWS_OPTIONS);
    // The flag is a byte of its own.
    this.#zws.server.options.maxPayload = host.options.maxMessageBytes + 1;
    this.#zws.server.options.handleProtocols = () => ZWS;
    server.on("upgrade", (request, socket, head) => this.#accept(request, socket as NetSocket, head));
    // Out of file descriptors, say: those that are connected go on, and the next accept may succeed.
    server.on("error", () => {});
  }

  /** Binds. Throws TransportError `address-in-use` or `invalid-endpoint`, or the signal's reason. */
  static async listen(
    text: string,
    { host, port, path }: Endpoint,
    owner: ConnectionHost,
    jszmq: Jszmq,
    signal: AbortSignal,
  ): Promise<Listener> {
    signal.throwIfAborted();
    const { handshakeTimeoutMs, maxConnections } = owner.options;
    const server = createServer(
      {
        requestTimeout: handshakeTimeoutMs,
        connectionsCheckingInterval: Math.min(handshakeTimeoutMs, CHECKING_INTERVAL_MS),
      },
      (_request, response) => response.writeHead(426, { connection: "close" }).end(STATUS_CODES[426]),
    );
    server.maxConnections = maxConnections;
    try {
      server.listen({ port, ...(host !== null && { host }), backlog: 4_096 });
      await once(server, "listening", { signal });
    } catch (error) {
      // A host name that is still being resolved would be bound after all.
      server.on("error", () => {}).once("listening", () => server.close());
      server.close();
      signal.throwIfAborted();
      throw listenError(text, error);
    }
    return new Listener(server, path, owner, jszmq);
  }

  /** Stops to accept and closes all connections that came in here, each with its linger. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeAllConnections();
    await Promise.all([...this.#connections].map((connection) => connection.close()));
    this.#zws.close();
    await closed;
  }

  #accept(request: IncomingMessage, socket: NetSocket, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    if (!this.#server.listening || request.url !== this.#path || !asksForZws(request)) {
      refuse(socket, request.url === this.#path ? 400 : 404);
      return;
    }
    try {
      const zws = this.#upgrade(request, socket, head);
      // Otherwise it was no proper upgrade, and has been answered.
      if (zws !== null) this.#admit(zws, socket);
    } catch {
      socket.destroy();
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): ZwsEndpoint | null {
    let attached: ZwsEndpoint | null = null;
    const onAttach = (zws: ZwsEndpoint): void => {
      attached = zws;
    };
    this.#zws.once("attach", onAttach);
    this.#upgrades.emit("upgrade", request, socket, head);
    this.#zws.off("attach", onAttach);
    return attached;
  }

  #admit(zws: ZwsEndpoint, socket: NetSocket): void {
    const { remoteAddress, remotePort } = socket;
    const peer =
      remoteAddress === undefined || remotePort === undefined
        ? this.endpoint
        : formatEndpoint(remoteAddress, remotePort, "/");
    const connection = new Connection(peer, zws, socket, this.#host, (cause) => {
      this.#connections.delete(connection);
      this.#host.notify(peer, cause === undefined ? { status: "closed" } : { status: "closed", cause });
    });
    this.#connections.add(connection);
    connection.start();
  }
}

function refuse(socket: NetSocket, status: number): void {
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  socket.destroy();
}

function boundEndpoint(server: Server, path: string): string {
  const { address, port } = server.address() as AddressInfo;
  return formatEndpoint(["::", "0.0.0.0"].includes(address) ? "127.0.0.1" : address, port, path);
}
