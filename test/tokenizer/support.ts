import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { text } from "node:stream/consumers";

/** What an engine was asked. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  // biome-ignore lint/suspicious/noExplicitAny: what a client sends is looked into by tests
  readonly body: any;
}

export interface EngineServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly asked: readonly Asked[];
  /** Connections since the start. */
  readonly connections: number;
  /** Resolves when a connection ends. */
  readonly whenDisconnected: Promise<void>;
}

export type Answer = (response: ServerResponse, asked: Asked, count: number) => void;

/** Answers as JSON. */
export function json(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** An HTTP server in place of an engine, on a free port. `count` begins at 1. */
export async function engineServer(answer: Answer): Promise<EngineServer> {
  const asked: Asked[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  let disconnected: () => void = () => {};
  const whenDisconnected = new Promise<void>((resolve) => {
    disconnected = resolve;
  });
  const server = createServer(async (request, response) => {
    const content = await text(request);
    const { method = "", url: path = "", headers } = request;
    asked.push({ method, path, headers, body: content === "" ? null : JSON.parse(content) });
    answer(response, asked.at(-1)!, asked.length);
  });
  server.on("connection", (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      disconnected();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    asked,
    get connections() {
      return connections;
    },
    whenDisconnected,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
