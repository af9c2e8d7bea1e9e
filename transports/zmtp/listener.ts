import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { unlink } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket as NetSocket, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TransportError } from "../../src/errors.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { type Endpoint, formatTcpEndpoint } from "./endpoint.ts";
import { listenError, located } from "./net-errors.ts";

/** A handshake this old may be given up for a newcomer: an honest peer is done long before. */
const STALE_HANDSHAKE_MS = 1_000;

/** Accepts peers at one bound endpoint. */
export class Listener {
  /** Where to connect to. */
  readonly endpoint: string;
  readonly #server: Server;
  readonly #host: ConnectionHost;
  readonly #connections = new Set<Connection>();
  /** Those that may still be in their handshake, the oldest first, with the moment each was accepted. */
  readonly #pending = new Map<Connection, number>();

  private constructor(server: Server, endpoint: string, host: ConnectionHost) {
    this.endpoint = endpoint;
    this.#server = server;
    this.#host = host;
    server.maxConnections = host.options.maxConnections;
    server.on("connection", (socket) => this.#accept(socket));
    // Out of file descriptors, say: those that are connected go on, and the next accept may succeed.
    server.on("error", () => {});
  }

  /** Binds. Throws TransportError `address-in-use`, `dns` or `invalid-endpoint`, or the signal's reason. */
  static async listen(text: string, endpoint: Endpoint, host: ConnectionHost, signal: AbortSignal): Promise<Listener> {
    signal.throwIfAborted();
    const server = createServer();
    const target = listenTarget(endpoint);
    try {
      await listenOnce(server, target, signal).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== "EADDRINUSE" || target.path === undefined || !(await isAbandoned(target.path))) throw error;
        await unlink(target.path);
        await listenOnce(server, target, signal);
      });
    } catch (error) {
      // A host name that is still being resolved would be bound after all.
      server.on("error", () => {}).once("listening", () => server.close());
      server.close();
      signal.throwIfAborted();
      throw listenError(text, error);
    }
    return new Listener(server, boundEndpoint(server), host);
  }

  /** Stops to accept and closes all connections that came in here, each with its linger. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    await Promise.all([...this.#connections].map((connection) => connection.close(true)));
    await closed;
  }

  #accept(socket: NetSocket): void {
    const peer = peerEndpoint(socket, this.endpoint);
    const cause = this.#makeRoom();
    if (cause !== null) {
      socket.destroy();
      this.#host.notify(peer, { status: "closed", cause: located(peer, cause) });
      return;
    }
    const connection = new Connection(socket, peer, this.#host, (cause) => {
      this.#connections.delete(connection);
      this.#pending.delete(connection);
      this.#host.notify(peer, cause === undefined ? { status: "closed" } : { status: "closed", cause });
    });
    this.#connections.add(connection);
    this.#pending.set(connection, this.#host.options.clock.now());
    socket.on("data", (chunk) => {
      if (!connection.received(chunk)) socket.pause();
    });
    connection.start();
  }

  /** Keeps the number of handshakes within its limit: by giving up a slow one, or else by refusing the newcomer. */
  #makeRoom(): TransportError | null {
    const { clock, maxPendingHandshakes } = this.#host.options;
    if (this.#pending.size < maxPendingHandshakes) return null;
    for (const connection of this.#pending.keys()) {
      if (!connection.isHandshaking) this.#pending.delete(connection);
    }
    const oldest = this.#pending.entries().next().value;
    if (this.#pending.size < maxPendingHandshakes || oldest === undefined) return null;
    const text = `${this.#pending.size} handshakes are pending; raise maxPendingHandshakes or check who connects`;
    const cause = new TransportError("handshake-timeout", text);
    const [connection, since] = oldest;
    if (clock.now() - since < STALE_HANDSHAKE_MS) return cause;
    connection.fail(cause);
    return null;
  }
}

function listenTarget(endpoint: Endpoint): { path?: string; host?: string; port?: number } {
  if (endpoint.scheme === "ipc") {
    return { path: endpoint.path ?? join(tmpdir(), `zmtp-${randomBytes(8).toString("hex")}.sock`) };
  }
  // Without a host Node listens on IPv6 and IPv4, or on IPv4 alone where there is no IPv6.
  return { port: endpoint.port, ...(endpoint.host !== null && { host: endpoint.host }) };
}

async function listenOnce(server: Server, target: object, signal: AbortSignal): Promise<void> {
  server.listen({ ...target, backlog: 4_096 });
  await once(server, "listening", { signal });
}

/** Whether a Unix socket's file was left behind by a process that is gone. */
async function isAbandoned(path: string): Promise<boolean> {
  const socket = connect({ path });
  try {
    await once(socket, "connect");
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ECONNREFUSED";
  } finally {
    socket.destroy();
  }
}

function boundEndpoint(server: Server): string {
  const address = server.address() as AddressInfo | string;
  if (typeof address === "string") return `ipc://${address.replace(/^\0/, "@")}`;
  const wildcard: Readonly<Record<string, string>> = { "::": "127.0.0.1", "0.0.0.0": "127.0.0.1" };
  return formatTcpEndpoint(wildcard[address.address] ?? address.address, address.port);
}

function peerEndpoint(socket: NetSocket, bound: string): string {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress === undefined || remotePort === undefined ? bound : formatTcpEndpoint(remoteAddress, remotePort);
}
