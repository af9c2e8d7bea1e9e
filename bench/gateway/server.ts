/** One of the servers of `npm run bench:gateway`: `engine`, `plain URL` or `gateway URL`; tells its parent where it is. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { Registry } from "prom-client";
import { Agent, request } from "undici";
import { systemClock } from "../../src/clock.ts";
import { Gateway } from "../../src/gateway/gateway.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { registerRoutingSeries } from "../../src/metrics/routing.ts";
import { resolveRoutingOptions } from "../../src/routing/options.ts";
import { RequestRouter } from "../../src/routing/request-router.ts";
import type { PodInfo } from "../../src/sync/status.ts";
import { characterTokenizer } from "../../src/tokenizer/character.ts";

const CHUNKS = 8;
const [role, upstream = ""] = process.argv.slice(2);

async function serve(listener: (incoming: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of incoming as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts);
}

/** Answers at once, in some parts. */
function engine(): Promise<string> {
  return serve(async (incoming, response) => {
    await bodyOf(incoming);
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (let chunk = 0; chunk < CHUNKS; chunk++) response.write(`data: {"choices":[{"text":"${chunk}"}]}\n\n`);
    response.end("data: [DONE]\n\n");
  });
}

/** Passes everything on, and reads the body whole as well: it could try again. */
function plain(): Promise<string> {
  const dispatcher = new Agent();
  return serve(async (incoming, response) => {
    const body = await bodyOf(incoming);
    const { host: _, "content-length": __, connection: ___, ...headers } = incoming.headers;
    const answer = await request(upstream + incoming.url, {
      method: "POST",
      headers: headers as never,
      body,
      dispatcher,
    });
    response.writeHead(answer.statusCode, answer.headers);
    response.flushHeaders();
    await pipeline(answer.body, response);
  });
}

/** With eight pods behind it, all of them the same engine, and an index that knows the prompt. */
async function gateway(): Promise<string> {
  const pod = {
    modelName: "m",
    loraId: -1,
    routingGroup: "default",
    topic: "",
    ranks: [],
    httpUrl: upstream,
    blockSize: 16,
  };
  const pods: PodInfo[] = Array.from({ length: 8 }, (_, i) => ({ pod: { key: `pod-${i}`, ...pod }, streams: [] }));
  const directory = { pods: () => pods };
  const router = new RequestRouter({
    indexer: new SyncPrefixHashTable(),
    directory,
    tokenizer: characterTokenizer(),
    metrics: registerRoutingSeries(new Registry(), ""),
    engineLoads: null,
    options: resolveRoutingOptions(),
    clock: systemClock,
    random: Math.random,
  });
  return (await new Gateway({ router, directory }).listen({ host: "127.0.0.1", port: 0 })).url;
}

process.send!(await (role === "engine" ? engine() : role === "plain" ? plain() : gateway()));
