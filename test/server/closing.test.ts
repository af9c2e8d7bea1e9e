import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { Gauge, Registry } from "prom-client";
import { createServer } from "../../src/server/server.ts";
import { serverBench } from "./support.ts";

const limit = { timeout: 20_000 };

/** From now on no time passes: whoever waits for the end of the grace waits for ever. */
function stopTime(context: TestContext): void {
  context.mock.timers.enable({ apis: ["setTimeout"] });
}

/** A client that is gone when the test is over: what does not close then is not left to hang. */
async function connected(context: TestContext, url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  context.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** A registry whose metrics take until `release()`. */
function slowRegistry(): { readonly registry: Registry; readonly asked: Promise<void>; release(): void } {
  const registry = new Registry();
  let release = (): void => {};
  let ask = (): void => {};
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const collect = (): Promise<void> => {
    ask();
    return released;
  };
  new Gauge({ name: "slow", help: "slow", registers: [registry], collect });
  return { registry, asked, release: () => release() };
}

test("closing does not wait for connections that are kept alive, nor twice", limit, async (context) => {
  stopTime(context);
  const bench = await serverBench();
  const socket = await connected(context, bench.url);
  socket.write("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
  await once(socket, "data");
  await Promise.all([bench.server.close(), bench.server.close(), once(socket, "close")]);
});

test("closing does not wait for connections that never asked for anything", limit, async (context) => {
  stopTime(context);
  const bench = await serverBench();
  const silent = await connected(context, bench.url);
  // The server knows of the first when it answers the second.
  await text((await connected(context, bench.url)).end("GET /livez HTTP/1.0\r\nhost: x\r\n\r\n"));
  silent.resume();
  await Promise.all([bench.server.close(), once(silent, "close")]);
});

test("a request that runs is answered before its connection ends", limit, async (context) => {
  stopTime(context);
  const { registry, asked, release } = slowRegistry();
  const bench = await serverBench({ registry });
  const socket = await connected(context, bench.url);
  socket.write("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
  await asked;
  const closed = bench.server.close();
  release();
  assert.match(await text(socket), /^HTTP\/1\.1 200 OK.*\r\nConnection: close\r\n.*# TYPE slow gauge/s);
  await closed;
});

test("a request that does not end is ended after the grace", limit, async (context) => {
  stopTime(context);
  const { registry, asked, release } = slowRegistry();
  context.after(release);
  const bench = await serverBench({ registry });
  const socket = await connected(context, bench.url);
  socket.resume().write("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
  await asked;
  const closed = bench.server.close();
  // `close` looks up once whether it listens at all before it starts to wait.
  await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(2_000);
  await Promise.all([closed, once(socket, "close")]);
});

test("a server that is closed while it begins to listen listens no more, and never again", limit, async () => {
  await using bench = await serverBench();
  const server = createServer(bench.parts);
  const listening = server.listen({ host: "localhost", port: 0 });
  await server.close();
  const { url } = await listening;
  await assert.rejects(fetch(`${url}/livez`));
  await assert.rejects(server.listen({ host: "127.0.0.1", port: 0 }), { code: "closed" });
});

test("a server that never listened closes", async () => {
  await using bench = await serverBench();
  await createServer(bench.parts).close();
});
