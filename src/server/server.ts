import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { createApp, type ServerParts } from "./app.ts";

export { createApp, type PodRegistry, type ServerParts } from "./app.ts";

/** Where the server listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  readonly url: string;
}

export interface HttpServer extends AsyncDisposable {
  /** Port 0 takes a free one. Rejects with the system's error, such as `EADDRINUSE`. */
  listen(address: { readonly host: string; readonly port: number }): Promise<ListenAddress>;
  /** Takes no more requests, gives those that run `GRACE_MS`, and ends the rest. Idempotent. */
  close(): Promise<void>;
}

/** Longer than any answer takes. */
const GRACE_MS = 2_000;

/** The HTTP API. */
export function createServer(parts: ServerParts): HttpServer {
  const server = createAdaptorServer({ fetch: createApp(parts).fetch }) as Server;
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= server.listening ? shutDown(server) : Promise.resolve();
    return closing;
  };
  return {
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, () => {
          server.off("error", reject);
          const { port: taken } = server.address() as AddressInfo;
          const shownHost = host.includes(":") ? `[${host}]` : host;
          resolve({ host, port: taken, url: `http://${shownHost}:${taken}` });
        });
      }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    // Connections that are kept alive and idle would hold it up until they time out.
    server.closeIdleConnections();
  });
}
