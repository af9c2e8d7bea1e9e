import { createApp, type ServerParts } from "./app.ts";
import { type HttpServer, httpServer } from "./listener.ts";

export { createApp, type PodRegistry, type ServerParts } from "./app.ts";
export type { HttpServer, ListenAddress } from "./listener.ts";

/** The HTTP API. */
export function createServer(parts: ServerParts): HttpServer {
  return httpServer(createApp(parts).fetch, (error) => parts.onError?.(error));
}
