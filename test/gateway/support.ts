import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Gateway, type Routed } from "../../src/gateway/gateway.ts";
import type { GatewaySettings } from "../../src/gateway/options.ts";
import { characterTokenizer } from "../../src/tokenizer/character.ts";
import { type RouterBench, routerBench } from "../routing/support.ts";
import { podInfo } from "../server/support.ts";

/** An HTTP server in the place of an engine. */
export interface FakeEngine extends AsyncDisposable {
  readonly url: string;
  readonly requests: IncomingMessage[];
}

export async function fakeEngine(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<FakeEngine> {
  const requests: IncomingMessage[] = [];
  const server = createServer(async (request, response) => {
    requests.push(request);
    let body = "";
    for await (const part of request) body += part;
    answer(request, response, body);
  });
  const port = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

export interface GatewayBench extends AsyncDisposable, RouterBench {
  readonly gateway: Gateway;
  readonly url: string;
  readonly routed: Routed[];
  readonly errors: Error[];
}

/** A gateway before these engines, which are pods `a`, `b` and so on of model `m`. */
export async function gatewayBench(engines: readonly string[], options: GatewaySettings = {}): Promise<GatewayBench> {
  const bench = routerBench({}, { tokenizer: characterTokenizer() });
  const names = [..."abcdefgh"];
  bench.pods.splice(0, 3, ...engines.map((httpUrl, i) => podInfo(names[i]!, { httpUrl, blockSize: 2 })));
  const routed: Routed[] = [];
  const errors: Error[] = [];
  const gateway = new Gateway({
    router: bench.router,
    directory: { pods: () => bench.pods },
    options,
    onRouted: (each) => routed.push(each),
    onError: (error) => errors.push(error),
  });
  const { url } = await gateway.listen({ host: "127.0.0.1", port: 0 });
  return { ...bench, gateway, url, routed, errors, [Symbol.asyncDispose]: () => gateway.close() };
}

/** Sends a completion. */
export function complete(
  url: string,
  more: object = {},
  headers: Record<string, string> = {},
  init: RequestInit = {},
): Promise<Response> {
  return fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "m", prompt: "hello!", ...more }),
    ...init,
  });
}
