import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { type Relay, startRelay } from "../../src/demo/relay.ts";

/** A server that answers all bytes with themselves, and counts its connections. */
async function startEcho(context: TestContext): Promise<{ endpoint: string; readonly sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { endpoint: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets };
}

async function open(context: TestContext, target: string): Promise<Relay> {
  const relay = await startRelay(target);
  context.after(() => relay.close());
  return relay;
}

async function dial(context: TestContext, relay: Relay): Promise<Socket> {
  const socket = connect(Number(new URL(relay.endpoint).port), "127.0.0.1");
  context.after(() => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

async function echoes(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let received = "";
  while (received.length < text.length) {
    const [chunk] = await once(socket, "data");
    received += String(chunk);
  }
  return received;
}

test("bytes pass both ways", async (context) => {
  const echo = await startEcho(context);
  const socket = await dial(context, await open(context, echo.endpoint));
  assert.equal(await echoes(socket, "hello"), "hello");
});

test("a cut ends the connection at both ends", async (context) => {
  const echo = await startEcho(context);
  const relay = await open(context, echo.endpoint);
  const socket = await dial(context, relay);
  await echoes(socket, "hello");
  const ended = [once(socket, "close"), once(echo.sockets[0]!, "close")];
  relay.cut();
  await Promise.all(ended);
});

test("what connects while it is cut is ended, and never reaches the target", async (context) => {
  const echo = await startEcho(context);
  const relay = await open(context, echo.endpoint);
  relay.cut();
  const socket = await dial(context, relay);
  await once(socket, "close");
  assert.equal(echo.sockets.length, 0);
});

test("mended, it passes what connects anew", async (context) => {
  const echo = await startEcho(context);
  const relay = await open(context, echo.endpoint);
  relay.cut();
  relay.mend();
  assert.equal(await echoes(await dial(context, relay), "again"), "again");
});

test("an end that closes takes the other with it", async (context) => {
  const echo = await startEcho(context);
  const socket = await dial(context, await open(context, echo.endpoint));
  await echoes(socket, "hello");
  const ended = once(socket, "close");
  echo.sockets[0]!.destroy();
  await ended;
});

test("where the target does not listen, the connection ends", async (context) => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await once(closed, "close");
  const socket = await dial(context, await open(context, `tcp://127.0.0.1:${port}`));
  await once(socket, "close");
});

test("closing ends all connections, and can be repeated", async (context) => {
  const echo = await startEcho(context);
  const relay = await open(context, echo.endpoint);
  const socket = await dial(context, relay);
  await echoes(socket, "hello");
  const ended = once(socket, "close");
  await Promise.all([relay.close(), relay[Symbol.asyncDispose]()]);
  await ended;
});
