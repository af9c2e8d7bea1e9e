import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { type Clock, systemClock } from "../../src/clock.ts";
import { createStore } from "../../src/container.ts";
import { createServer as createApi } from "../../src/server/server.ts";
import type { SimulatedPod } from "../../src/simulator/index.ts";
import { readPeer } from "../../src/snapshot/peer.ts";
import { type MemoryTransport, memory } from "../../transports/memory/index.ts";
import { deferred } from "../support/deferred.ts";
import { assertExact, chat, engine, podOf } from "../support/pipeline.ts";
import { type Daemon, daemon } from "./support.ts";

const limit = { timeout: 30_000 };

interface Bench {
  readonly transport: MemoryTransport;
  readonly pod: SimulatedPod;
  readonly peer: Daemon;
  /** Its API's. */
  readonly url: string;
}

/** An engine, and a daemon that follows it and serves its dump. */
async function bench(context: TestContext): Promise<Bench> {
  const transport = memory({ reconnectMinMs: 1, reconnectMaxMs: 20 });
  const pod = await engine(transport, "ns/a");
  chat(pod, 8);
  const peer = await daemon(transport, [podOf(pod)]);
  const { store } = peer;
  const api = createApi({
    directory: store,
    indexer: store.indexer,
    registry: store.registry,
    isReady: () => store.isReady,
    dump: () => store.dump(),
  });
  const { url } = await api.listen({ host: "127.0.0.1", port: 0 });
  context.after(async () => {
    await api.close();
    await store.close();
    await pod.stop();
  });
  await peer.caughtUp(pod);
  return { transport, pod, peer, url };
}

/** A peer that answers like this; its URL. */
async function peerThat(context: TestContext, answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** On which all that is waited for comes soon. */
const hastyClock: Clock = { ...systemClock, setTimeout: (callback) => systemClock.setTimeout(callback, 20) };

/** Of a connection that breaks, its end or an error may be seen first. */
function withoutCause(news: string): string {
  return news.replace(/ (truncated-dump|peer-unreachable)$/, "");
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts).toString();
}

test("a daemon goes on from what a peer knows", limit, async (context) => {
  const { transport, pod, url } = await bench(context);
  const known = pod.nextSequence();
  await using second = await daemon(transport, [podOf(pod)], { warmStart: { peers: [url] } });
  chat(pod, 4);
  await second.caughtUp(pod);
  assertExact({ indexer: second.store.indexer }, pod);
  assert.deepEqual([second.news, second.purges], [["restored 1"], []]);
  assert.equal(second.stream("ns/a").batches, pod.nextSequence() - known);
});

test("peers are tried in order until one of them helps", limit, async (context) => {
  const { transport, pod, url } = await bench(context);
  const dump = await (await fetch(`${url}/dump`)).text();
  const peers = [
    "http://127.0.0.1:1",
    await peerThat(context, (response) => response.writeHead(503).end()),
    await peerThat(context, (response) => response.end("hello\n")),
    await peerThat(context, (response) => {
      response.write(dump.slice(0, dump.length >> 1), () => response.destroy());
    }),
    await peerThat(context, (response) => response.end(dump.slice(0, -1))),
    `${url}/`,
    await peerThat(context, () => assert.fail("another one was asked")),
  ];
  await using second = await daemon(transport, [podOf(pod)], { warmStart: { peers } });
  assert.deepEqual(second.news.with(3, withoutCause(second.news[3]!)), [
    "refused peer-unreachable",
    "refused peer-refused",
    "refused foreign-dump",
    "refused",
    "refused truncated-dump",
    "restored 1",
  ]);
  await second.caughtUp(pod);
  assertExact({ indexer: second.store.indexer }, pod);
  assert.equal(second.stream("ns/a").batches, 0);
});

test("a peer that dies in the middle leaves nothing behind", limit, async (context) => {
  const { transport, url } = await bench(context);
  const dump = await (await fetch(`${url}/dump`)).text();
  const dying = await peerThat(context, (response) => {
    response.write(dump.slice(0, -20), () => response.destroy());
  });
  await using second = await daemon(transport, [], { warmStart: { peers: [dying] } });
  assert.deepEqual(second.news.map(withoutCause), ["refused"]);
  const { blocks, sources, contexts } = second.store.indexer.stats();
  assert.deepEqual([blocks, sources, contexts], [0, 0, 0]);
});

test("a peer that knows nothing is passed over", limit, async (context) => {
  const { transport, pod, url } = await bench(context);
  const empty = await daemon(transport, []);
  const lines: string[] = [];
  for await (const line of empty.store.dump()) lines.push(line);
  await empty.store.close();
  const idle = await peerThat(context, (response) => response.end(lines.join("")));
  await using second = await daemon(transport, [podOf(pod)], { warmStart: { peers: [idle, url] } });
  assert.deepEqual(second.news, ["restored 0", "restored 1"]);
  await second.caughtUp(pod);
  assertExact({ indexer: second.store.indexer }, pod);
});

test("a peer that never comes to an end is left when the time is over", limit, async (context) => {
  const { transport, url } = await bench(context);
  const [header] = (await (await fetch(`${url}/dump`)).text()).split("\n");
  const peer = await peerThat(context, (response) => {
    response.write(`${header}\n`);
    // One that goes on writing is not silent.
    const timer = setInterval(() => response.write(" "), 5);
    response.on("close", () => clearInterval(timer));
  });
  await using second = await daemon(transport, [], { warmStart: { peers: [peer], restoreTimeoutMs: 50 } });
  assert.deepEqual(second.news, ["refused restore-timeout"]);
});

test("a peer that says nothing is left", limit, async (context) => {
  const mute = await peerThat(context, () => {});
  const stuck = await peerThat(context, (response) => void response.write("a"));
  const { signal } = new AbortController();
  for (const url of [mute, stuck]) {
    await assert.rejects(textOf(readPeer(url, hastyClock, signal)), {
      code: "peer-silent",
      message: "peer said nothing for 5000 ms; check that it is not overloaded",
    });
  }
});

test("a store that is closed while it restores lets go of the peer", limit, async (context) => {
  const { transport } = await bench(context);
  const asked = deferred<void>();
  const left = deferred<void>();
  const peer = await peerThat(context, (response) => {
    response.on("close", left.resolve);
    response.write("{", () => asked.resolve());
  });
  const store = await createStore({ transport, warmStart: { peers: [peer] } });
  const started = assert.rejects(store.initKVEventSync(), { code: "closed" });
  await asked.promise;
  await store.close();
  await started;
  await left.promise;
});

test("the connection to a peer ends with its answer", limit, async (context) => {
  const closed = deferred<void>();
  const url = await peerThat(context, (response) => {
    response.socket?.on("close", closed.resolve);
    assert.equal(response.req.headers.connection, "close");
    response.end("all");
  });
  assert.equal(await textOf(readPeer(url, systemClock, new AbortController().signal)), "all");
  await closed.promise;
});

test("a peer whose URL is none is refused before the start", async () => {
  for (const peer of ["10.0.0.9:8090", "tcp://10.0.0.9:8090", ""]) {
    await assert.rejects(daemon(memory(), [], { warmStart: { peers: [peer] } }), { code: "invalid-option" });
  }
});
