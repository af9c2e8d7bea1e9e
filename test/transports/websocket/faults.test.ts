import assert from "node:assert/strict";
import type { Socket as NetSocket } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import type { Transport } from "../../../src/transport.ts";
import { bytes, message, readerOf, text } from "../../support/messages.ts";
import { stateLog } from "../../support/state-log.ts";
import {
  BINARY,
  CLOSE,
  quick,
  rawClient,
  rawZwsClient,
  readToEnd,
  TEXT,
  tcpServer,
  upgradeRequest,
  webSocketFrame,
  zws,
  zwsServer,
} from "./support.ts";

const TIMEOUT = { timeout: 30_000 };

/** The cause of the first two attempts there: one is never the last. */
async function causesAt(endpoint: string, options: Parameters<typeof quick>[0] = {}): Promise<string[]> {
  const log = stateLog();
  await using subscriber = (await quick(options)).subscriber({ onConnection: log.listener });
  subscriber.subscribe("");
  subscriber.connect(endpoint);
  const causes = [(await log.next("waiting")).cause, (await log.next("waiting")).cause];
  for (const { message } of causes) assert.ok(message.startsWith(`websocket ${endpoint}: `), message);
  return causes.map(({ code }) => code);
}

/** A socket is worth nothing when one bad peer spoils it for the good ones. */
async function assertServes(
  transport: Transport,
  endpoint: string,
  requests: ReturnType<typeof readerOf>,
): Promise<void> {
  await using dealer = transport.dealer();
  dealer.connect(endpoint);
  dealer.send(message("still there?"));
  assert.equal(text((await requests.next()).message[1]), "still there?");
}

test("servers that are not there, or are something else, are named and tried again", TIMEOUT, async () => {
  await using http = await tcpServer((peer) => peer.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
  await using garbage = await tcpServer((peer) => peer.end("\xff\0\0\0 this is not HTTP\r\n\r\n"));
  await using rude = await tcpServer((peer) => peer.destroy());
  await using plain = await tcpServer((peer) =>
    peer.end("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
  );
  assert.deepEqual(await causesAt("ws://127.0.0.1:1"), ["refused", "refused"]);
  assert.deepEqual(await causesAt("ws://no-such-host.invalid:5557"), ["dns", "dns"]);
  assert.deepEqual(await causesAt(http.endpoint), ["protocol", "protocol"]);
  assert.deepEqual(await causesAt(garbage.endpoint), ["protocol", "protocol"]);
  assert.deepEqual(await causesAt(rude.endpoint), ["disconnected", "disconnected"]);
  assert.deepEqual(await causesAt(plain.endpoint), ["protocol", "protocol"]);
});

test("servers that say nothing are given up", TIMEOUT, async () => {
  await using silent = await tcpServer(() => {});
  await using upgraded = await zwsServer(() => {});
  assert.deepEqual(await causesAt(silent.endpoint, { connectTimeoutMs: 20 }), ["unreachable", "unreachable"]);
  const causes = await causesAt(upgraded.endpoint, { handshakeTimeoutMs: 20 });
  assert.deepEqual(causes, ["handshake-timeout", "handshake-timeout"]);
});

/** What a peer may send after the upgrade, and what it is told for. */
const VIOLATIONS: Readonly<Record<string, { readonly code: string; readonly send: (isMasked: boolean) => Buffer[] }>> =
  {
    "text instead of bytes": {
      code: "protocol",
      send: (isMasked) => [webSocketFrame(TEXT, bytes("hello"), isMasked)],
    },
    "a frame without a flag": {
      code: "protocol",
      send: (isMasked) => [webSocketFrame(BINARY, bytes(""), isMasked)],
    },
    "an unknown flag": {
      code: "protocol",
      send: (isMasked) => [webSocketFrame(BINARY, zws(0), isMasked), webSocketFrame(BINARY, zws(7, "x"), isMasked)],
    },
    "an identity of two frames": {
      code: "protocol",
      send: (isMasked) => [webSocketFrame(BINARY, zws(1), isMasked), webSocketFrame(BINARY, zws(0), isMasked)],
    },
    "reserved bits of WebSocket": {
      code: "protocol",
      send: (isMasked) => [webSocketFrame(0xf2, zws(0), isMasked)],
    },
    "the wrong masking": {
      code: "protocol",
      send: (isMasked) => [webSocketFrame(BINARY, zws(0), !isMasked)],
    },
    "a frame that is too large": {
      code: "message-too-large",
      send: (isMasked) => [
        webSocketFrame(BINARY, zws(0), isMasked),
        webSocketFrame(BINARY, zws(0, new Uint8Array(1_001)), isMasked),
      ],
    },
    "a message that is too large": {
      code: "message-too-large",
      send: (isMasked) => [
        webSocketFrame(BINARY, zws(0), isMasked),
        webSocketFrame(BINARY, zws(1, new Uint8Array(600)), isMasked),
        webSocketFrame(BINARY, zws(1, new Uint8Array(600)), isMasked),
      ],
    },
    "frames without end": {
      code: "message-too-large",
      send: (isMasked) => [
        webSocketFrame(BINARY, zws(0), isMasked),
        ...Array.from({ length: 9 }, () => webSocketFrame(BINARY, zws(1), isMasked)),
      ],
    },
    "a complaint": {
      code: "peer-error",
      send: (isMasked) => [webSocketFrame(CLOSE, Uint8Array.of(0x03, 0xf3), isMasked)],
    },
  };

const LIMITS = { maxMessageBytes: 1_000, maxFrames: 8 };

for (const [name, { code, send }] of Object.entries(VIOLATIONS)) {
  test(`a server that sends ${name} is cut off and tried again`, TIMEOUT, async () => {
    await using server = await zwsServer((peer) => peer.write(Buffer.concat(send(false))));
    assert.deepEqual(await causesAt(server.endpoint, LIMITS), [code, code]);
  });

  test(`a client that sends ${name} is cut off, and nobody else`, TIMEOUT, async () => {
    const transport = await quick(LIMITS);
    const log = stateLog();
    await using router = transport.router({ onConnection: log.listener });
    const endpoint = await router.bind("ws://127.0.0.1:0");
    const client = await rawZwsClient(endpoint);
    client.write(Buffer.concat(send(true)));
    assert.equal((await log.next("closed")).cause?.code, code);
    await assertServes(transport, endpoint, readerOf(router));
    client.destroy();
  });
}

test("a client that upgrades and says nothing is cut off", TIMEOUT, async () => {
  const log = stateLog();
  await using router = (await quick({ handshakeTimeoutMs: 20 })).router({ onConnection: log.listener });
  const client = await rawZwsClient(await router.bind("ws://127.0.0.1:0"));
  assert.equal((await log.next("closed")).cause?.code, "handshake-timeout");
  client.destroy();
});

test("a client that does not even make a request is cut off", TIMEOUT, async () => {
  await using router = (await quick({ handshakeTimeoutMs: 20 })).router();
  const client = await rawClient(await router.bind("ws://127.0.0.1:0"));
  await readToEnd(client);
});

test("requests that are no upgrade to ZWS 2.0 are answered and closed", TIMEOUT, async () => {
  const transport = await quick();
  await using router = transport.router();
  const endpoint = await router.bind("ws://127.0.0.1:0/events");
  const answers: Readonly<Record<string, RegExp>> = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n": /^HTTP\/1\.1 426 /,
    [upgradeRequest({ path: "/" })]: /^HTTP\/1\.1 404 /,
    // jszmq's own parser of URLs throws here.
    [upgradeRequest({ path: "//a:b@[" })]: /^HTTP\/1\.1 404 /,
    [upgradeRequest({ path: "/events", protocol: "chat" })]: /^HTTP\/1\.1 400 /,
    [upgradeRequest({ path: "/events", key: "short" })]: /^HTTP\/1\.1 400 /,
    "\0\xff garbage\r\n\r\n": /^HTTP\/1\.1 400 /,
  };
  for (const [request, answer] of Object.entries(answers)) {
    const client = await rawClient(endpoint);
    const answered = readToEnd(client);
    client.write(request, "latin1");
    assert.match(await answered, answer);
  }
  await assertServes(transport, endpoint, readerOf(router));
});

test("whatever bytes a client sends, before the upgrade or after it, others are served", TIMEOUT, async () => {
  const transport = await quick(LIMITS);
  await using router = transport.router();
  const endpoint = await router.bind("ws://127.0.0.1:0");
  const requests = readerOf(router);
  const noise = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.boolean(), noise, async (isUpgraded, chunks) => {
      const client = await (isUpgraded ? rawZwsClient(endpoint) : rawClient(endpoint));
      await pour(client, chunks);
      await assertServes(transport, endpoint, requests);
    }),
    { numRuns: 100 },
  );
});

test("whatever bytes a server sends, before the upgrade or after it, another is heard", TIMEOUT, async () => {
  const transport = await quick(LIMITS);
  await using publisher = transport.publisher();
  const good = await publisher.bind("ws://127.0.0.1:0");
  const noise = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.boolean(), noise, async (isUpgraded, chunks) => {
      const start = isUpgraded ? zwsServer : tcpServer;
      await using bad = await start((peer) => void pour(peer, chunks));
      const log = stateLog();
      await using subscriber = transport.subscriber({ onConnection: log.listener });
      subscriber.subscribe("");
      subscriber.connect(bad.endpoint);
      await log.until((entries) => entries.some(({ state }) => state.status === "waiting"));
      subscriber.connect(good);
      await log.next("ready");
      subscriber.disconnect(good);
      await log.next("closed");
    }),
    { numRuns: 100 },
  );
});

/** Sends the chunks and ends. */
async function pour(socket: NetSocket, chunks: readonly Uint8Array[]): Promise<void> {
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.resume();
  for (const chunk of chunks) socket.write(chunk);
  socket.end();
  await closed;
}

test("a peer's subscriptions are bounded, and it may cancel what it never had", TIMEOUT, async () => {
  const log = stateLog();
  const seen: string[] = [];
  await using publisher = (await quick({ maxSubscriptionBytes: 1_000 })).publisher({
    onConnection: log.listener,
    onSubscription: (topic, isNew) => seen.push(`${isNew ? "+" : "-"}${text(topic)}`),
  });
  const endpoint = await publisher.bind("ws://127.0.0.1:0");
  const client = await rawZwsClient(endpoint);
  const say = (frame: string): void => {
    client.write(webSocketFrame(BINARY, Buffer.concat([zws(0), Buffer.from(frame, "latin1")]), true));
  };
  say("");
  for (const frame of ["\0kv", "", "\x02kv", ...["a", "b", "c", "d"].map((topic) => `\x01${topic}`)]) say(frame);
  publisher.send(message("a", "heard"));
  say("\x01e");
  assert.equal((await log.next("closed")).cause?.code, "message-too-large");
  assert.deepEqual(seen.sort(), ["+a", "+b", "+c", "+d", "-a", "-b", "-c", "-d", "-e"].sort());
  client.destroy();
});
