import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket as NetSocket } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { constants, deflateRawSync } from "node:zlib";
import { hasCode } from "../../conformance/bench.ts";
import { bytes, message, readerOf, text } from "../../support/messages.ts";
import { stateLog } from "../../support/state-log.ts";
import { BINARY, DEFLATED, quick, rawZwsClient, webSocketFrame, zws, zwsServer } from "./support.ts";

const TIMEOUT = { timeout: 30_000 };

test("IPv6 literals, names and paths are bound and connected to", TIMEOUT, async () => {
  const transport = await quick();
  for (const endpoint of ["ws://[::1]:0", "ws://localhost:0", "ws://*:*", "ws://127.0.0.1:0/kv/events"]) {
    await using router = transport.router();
    await using dealer = transport.dealer();
    dealer.connect(await router.bind(endpoint));
    dealer.send(message(endpoint));
    assert.equal(text((await readerOf(router).next()).message[1]), endpoint);
  }
});

test("a socket is bound to its own host and to no other", TIMEOUT, async () => {
  await using router = (await quick()).router();
  const { port } = new URL(await router.bind("ws://127.0.0.1:0"));
  const elsewhere = connect({ host: "::1", port: Number(port) });
  await assert.rejects(once(elsewhere, "connect"));
});

test("an address of another machine cannot be bound", TIMEOUT, async () => {
  await using publisher = (await quick()).publisher();
  await assert.rejects(publisher.bind("ws://192.0.2.1:0"), (error: Error) => {
    assert.ok(hasCode("invalid-endpoint")(error));
    assert.match(error.message, /^websocket ws:\/\/192\.0\.2\.1:0: cannot bind \(EADDRNOTAVAIL\): choose an address/);
    return true;
  });
});

test("an encrypted endpoint is refused by connect and bind", TIMEOUT, async () => {
  await using dealer = (await quick()).dealer();
  assert.throws(() => dealer.connect("wss://engine:443"), hasCode("unsupported"));
  await assert.rejects(dealer.bind("wss://*:443"), hasCode("unsupported"));
});

test("an identity that is taken, or reserved, is refused to the newcomer alone", TIMEOUT, async () => {
  const log = stateLog();
  await using router = (await quick()).router({ onConnection: log.listener });
  const endpoint = await router.bind("ws://127.0.0.1:0");
  const requests = readerOf(router);
  const client = await rawZwsClient(endpoint);
  client.write(webSocketFrame(BINARY, zws(0, "engine"), true));
  await log.next("ready");
  for (const identity of ["engine", "\0\x01"]) {
    const other = await rawZwsClient(endpoint);
    other.write(webSocketFrame(BINARY, zws(0, identity), true));
    assert.equal((await log.next("closed")).cause?.code, "protocol");
  }
  client.write(webSocketFrame(BINARY, zws(0, "hello"), true));
  const { message: frames } = await requests.next();
  assert.deepEqual(frames.map(text), ["engine", "hello"]);
  client.destroy();
});

/** Writes frames until the other side has not taken any for long; returns how many there were. */
async function fill(peer: NetSocket, frame: Buffer): Promise<number> {
  let sent = 0;
  for (let refused = 0; refused < 5_000; await turn()) {
    if (peer.writableLength > 0) refused += 1;
    else {
      peer.write(frame);
      sent += 1;
      refused = 0;
    }
    assert.ok(sent < 500, "nothing held it back");
  }
  return sent;
}

test("a full inbox holds a client back for as long as it is full", TIMEOUT, async () => {
  await using router = (await quick()).router({ receiveHighWaterMark: 10 });
  const client = await rawZwsClient(await router.bind("ws://127.0.0.1:0"));
  client.write(webSocketFrame(BINARY, zws(0), true));
  const sent = await fill(client, webSocketFrame(BINARY, zws(0, randomBytes(100_000)), true));
  const reader = readerOf(router);
  for (let i = 0; i < sent; i += 1) assert.equal((await reader.next()).message[1]?.length, 100_000);
  client.destroy();
});

test("a full inbox holds a server back, one that compresses too", TIMEOUT, async () => {
  const deflate = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  for (const extensions of [[], [deflate]]) {
    let found = (_peer: NetSocket): void => {};
    const peer = new Promise<NetSocket>((resolve) => {
      found = resolve;
    });
    await using server = await zwsServer((socket) => found(socket), extensions);
    await using subscriber = (await quick()).subscriber({ receiveHighWaterMark: 10 });
    subscriber.subscribe("");
    subscriber.connect(server.endpoint);
    const plain = zws(0, randomBytes(100_000));
    // RFC 7692, 7.2.1: the four bytes that end a flush are left out.
    const frame =
      extensions.length === 0
        ? webSocketFrame(BINARY, plain, false)
        : webSocketFrame(
            DEFLATED,
            deflateRawSync(plain, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4),
            false,
          );
    (await peer).write(webSocketFrame(BINARY, zws(0), false));
    const sent = await fill(await peer, frame);
    const reader = readerOf(subscriber);
    for (let i = 0; i < sent; i += 1) assert.equal((await reader.next()).message[0]?.length, 100_000);
  }
});

test("a dealer that holds its peer back closes without waiting for its linger", TIMEOUT, async () => {
  const transport = await quick({ lingerMs: 100_000 });
  await using router = transport.router();
  const dealer = transport.dealer({ receiveHighWaterMark: 1 });
  dealer.connect(await router.bind("ws://127.0.0.1:0"));
  dealer.send(message("hello"));
  const [identity] = (await readerOf(router).next()).message;
  for (let i = 0; i < 20; i += 1) router.send([identity!, randomBytes(100_000)]);
  for (let i = 0; i < 20; i += 1) await turn();
  await dealer.close();
});

test("a message without frames is refused", TIMEOUT, async () => {
  const transport = await quick();
  await using dealer = transport.dealer();
  await using router = transport.router();
  assert.throws(() => dealer.send([]), hasCode("unsupported"));
  assert.throws(() => router.send([bytes("identity alone")]), hasCode("unsupported"));
});
