import type { Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { KVEventSyncError } from "../errors.ts";

/** What answers requests; a Hono app's `fetch` is one. */
export type FetchCallback = Parameters<typeof createAdaptorServer>[0]["fetch"];

/** Where the server listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  readonly url: string;
}

/** A server on a socket. Disposing equals `close()`. */
export interface HttpServer extends AsyncDisposable {
  /** Port 0 takes a free one. Rejects with the system's error, such as `EADDRINUSE`, and with `closed`. */
  listen(address: { readonly host: string; readonly port: number }): Promise<ListenAddress>;
  /** Takes no more requests, gives those that run `GRACE_MS`, and ends the rest. Idempotent. */
  close(): Promise<void>;
}

/** Longer than any answer takes. */
const GRACE_MS = 2_000;

/** A server that answers by `fetch`; `onError` hears of what goes wrong with single connections. */
export function httpServer(fetch: FetchCallback, onError: (error: Error) => void): HttpServer {
  // The adapter would put its own Request and Response in the place of the process's.
  const server = createAdaptorServer({ fetch, overrideGlobalObjects: false }) as Server;
  server.on("error", (error) => {
    // One connection that cannot be accepted, for want of memory or descriptors, must not end the process.
    if (server.listening) onError(error);
  });
  const connections = new Connections(server);
  let listening: Promise<ListenAddress> | null = null;
  let closing: Promise<void> | null = null;
  const closeOnce = async (): Promise<void> => {
    // Looking up the host takes its time; what listens only then must be closed, too.
    await listening?.catch(() => {});
    if (server.listening) await shutDown(server, connections, GRACE_MS);
  };
  const close = (): Promise<void> => {
    closing ??= closeOnce();
    return closing;
  };
  return {
    listen: ({ host, port }) => {
      if (closing !== null) return Promise.reject(new KVEventSyncError("closed", "server: was closed; make a new one"));
      listening = startListening(server, { host, port }, "http");
      return listening;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Port 0 takes a free one. Rejects with the system's error, such as `EADDRINUSE`. */
export function startListening(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
  scheme: "http" | "https",
): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      const { port: taken } = server.address() as AddressInfo;
      const shownHost = host.includes(":") ? `[${host}]` : host;
      resolve({ host, port: taken, url: `${scheme}://${shownHost}:${taken}` });
    });
  });
}

/** Takes no more connections, and resolves when there are none: at the latest when those that answer had `graceMs`. */
export function shutDown(server: Server, connections: Connections, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    connections.end();
  });
}

/**
 * Knows which connections wait for an answer. Node's own `closeIdleConnections` spares those that never sent a request,
 * and those that get their answer afterwards: either would hold up the end.
 */
export class Connections {
  readonly #idle = new Set<Socket>();
  readonly #answering = new Set<ServerResponse>();
  #isEnding = false;

  constructor(server: Server) {
    server.on("connection", (socket) => {
      this.#idle.add(socket);
      socket.once("close", () => this.#idle.delete(socket));
    });
    server.on("request", ({ socket }, response) => {
      this.#idle.delete(socket);
      this.#answering.add(response);
      response.once("close", () => {
        this.#answering.delete(response);
        if (this.#isEnding) socket.destroySoon();
        else if (!socket.destroyed) this.#idle.add(socket);
      });
    });
  }

  /** Ends those that wait for nothing now, and the others with their answers, which say so. */
  end(): void {
    this.#isEnding = true;
    for (const response of this.#answering) response.shouldKeepAlive = false;
    for (const socket of this.#idle) socket.destroy();
  }
}
