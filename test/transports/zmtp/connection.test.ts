import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportError } from "../../../src/errors.ts";
import type { Subscriber } from "../../../src/transport.ts";
import { type ZmtpOptions, zmtp } from "../../../transports/zmtp/index.ts";
import {
  bytes,
  command,
  greeting,
  ManualClock,
  message,
  RawServer,
  rawConnect,
  ready,
  States,
  take,
  text,
  texts,
} from "./support.ts";

/** A subscriber on its way to a raw server. */
function dialing(server: RawServer, options: ZmtpOptions = {}): { readonly states: States; readonly sub: Subscriber } {
  const states = new States();
  const sub = zmtp(options).subscriber({ onConnection: states.listener });
  sub.subscribe("kv");
  sub.connect(server.endpoint);
  return { states, sub };
}

/** Faults of a peer, and what they are called on both sides of a connection. */
const FAULTS: readonly (readonly [title: string, sent: Buffer, code: TransportError["code"]])[] = [
  ["zmtp 15: a web server", Buffer.from("HTTP/1.1 400 Bad Request\r\n"), "protocol"],
  ["zmtp 15: a TLS server", Buffer.from("15030100020250", "hex"), "protocol"],
  ["zmtp 15: a peer of ZMTP 2.0", Buffer.from("ff00000000000000017f01", "hex"), "protocol"],
  ["zmtp 16: another mechanism", greeting(3, 1, "PLAIN"), "mechanism-mismatch"],
  ["zmtp 17: a wrong socket type", Buffer.concat([greeting(), ready("PULL")]), "socket-type-mismatch"],
  ["zmtp 18: a missing READY", Buffer.concat([greeting(), message(bytes("kv"))]), "protocol"],
  ["zmtp 21: an ERROR", Buffer.concat([greeting(), command("ERROR", bytes("\x02no"))]), "peer-error"],
];

for (const [title, sent, code] of FAULTS) {
  test(`${title} is told with its cause, closed at once and retried slowly`, async () => {
    const clock = new ManualClock();
    await using server = await RawServer.start();
    const { states, sub } = dialing(server, { clock, reconnectMinMs: 1, protocolRetryMs: 4_000 });
    await using _ = sub;
    const peer = await server.accept();
    await peer.write(sent);
    const { cause, retryInMs, attempt } = await states.next("waiting");
    assert.equal(cause.code, code);
    assert.ok(cause.message.startsWith(`zmtp ${server.endpoint}: `), cause.message);
    assert.ok(retryInMs >= 2_000 && retryInMs <= 4_000, `${retryInMs}`);
    assert.equal(attempt, 2);
    await peer.readToEnd();
    clock.advance(retryInMs);
    const again = await server.accept();
    await again.shake("PUB");
    await states.next("ready");
  });

  test(`${title}, connecting to a bound socket, is told with its cause and closed`, async () => {
    const states = new States();
    await using sub = zmtp().subscriber({ onConnection: states.listener });
    const peer = await rawConnect(await sub.bind("tcp://127.0.0.1:0"));
    await peer.write(sent);
    assert.equal(await states.cause("closed"), code);
    await peer.readToEnd();
    assert.deepEqual(states.statuses, ["handshaking", "closed"]);
  });
}

test("zmtp 6: an oversize frame ends the connection, and the next one brings messages again", async () => {
  const clock = new ManualClock();
  await using server = await RawServer.start();
  const { states, sub } = dialing(server, { clock, maxMessageBytes: 1_000 });
  await using _ = sub;
  const peer = await server.accept();
  await peer.shake("PUB");
  await peer.write(message(bytes("kv"), Buffer.alloc(1_001)));
  const { cause, retryInMs } = await states.next("waiting");
  assert.equal(cause.code, "message-too-large");
  assert.equal(
    cause.message,
    `zmtp ${server.endpoint}: message of 1003 or more bytes exceeds maxMessageBytes 1000; raise maxMessageBytes or check the publisher`,
  );
  clock.advance(retryInMs);
  const again = await server.accept();
  await again.shake("PUB");
  await again.write(message(bytes("kv"), bytes("fits")));
  assert.deepEqual(texts(await take(sub, 1)), [["kv", "fits"]]);
});

test("zmtp 6: the messages before an oversize frame are delivered", async () => {
  await using server = await RawServer.start();
  const { sub } = dialing(server, { maxMessageBytes: 1_000 });
  await using _ = sub;
  const peer = await server.accept();
  await peer.shake("PUB");
  await peer.write(message(bytes("kv"), bytes("1")), message(bytes("kv"), Buffer.alloc(1_001)));
  assert.deepEqual(texts(await take(sub, 1)), [["kv", "1"]]);
});

test("zmtp 8: endless MORE ends the connection", async () => {
  await using server = await RawServer.start();
  const { states, sub } = dialing(server, { maxFrames: 10 });
  await using _ = sub;
  const peer = await server.accept();
  await peer.shake("PUB");
  await peer.write(Buffer.alloc(22, Buffer.of(1, 0)));
  assert.equal(await states.cause(), "message-too-large");
});

test("zmtp 10: a message that the disconnect cut off is not delivered, nor joined to the next connection's", async () => {
  await using server = await RawServer.start();
  const { states, sub } = dialing(server, { reconnectMinMs: 1 });
  await using _ = sub;
  const first = await server.accept();
  await first.shake("PUB");
  await first.write(message(bytes("kv"), bytes("whole")), message(bytes("kv"), bytes("cut off")).subarray(0, -3));
  first.socket.end();
  assert.equal(await states.cause(), "disconnected");
  const second = await server.accept();
  await second.shake("PUB");
  await second.write(message(bytes("kv"), bytes("next")));
  assert.deepEqual(texts(await take(sub, 2)), [
    ["kv", "whole"],
    ["kv", "next"],
  ]);
});

test("zmtp 18: a second READY is a fault", async () => {
  await using server = await RawServer.start();
  const { states, sub } = dialing(server);
  await using _ = sub;
  const peer = await server.accept();
  await peer.shake("PUB");
  await peer.write(ready("PUB"));
  assert.equal(await states.cause(), "protocol");
});

test("zmtp 19: before the peer's READY we send greeting and READY and nothing else", async () => {
  await using server = await RawServer.start();
  const { states, sub } = dialing(server);
  const peer = await server.accept();
  await peer.write(greeting());
  const opening = await peer.read(64 + ready("SUB").length);
  assert.deepEqual(opening.subarray(64), ready("SUB"));
  sub.subscribe("more");
  await sub.close();
  assert.equal((await peer.readToEnd()).length, 0);
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "closed"]);
});

test("zmtp 20: the peer's READY and messages in one segment are handled", async () => {
  await using server = await RawServer.start();
  const { states, sub } = dialing(server);
  await using _ = sub;
  const peer = await server.accept();
  await peer.write(greeting(), ready("PUB"), message(bytes("kv"), bytes("1")), message(bytes("kv"), bytes("2")));
  assert.deepEqual(texts(await take(sub, 2)), [
    ["kv", "1"],
    ["kv", "2"],
  ]);
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "ready"]);
});

test("zmtp 22: a peer that we dialled and that says nothing is given up", async () => {
  const clock = new ManualClock();
  await using server = await RawServer.start();
  const { states, sub } = dialing(server, { clock, handshakeTimeoutMs: 5_000 });
  await using _ = sub;
  const peer = await server.accept();
  await peer.read(64);
  clock.advance(4_999);
  assert.deepEqual(states.statuses, ["connecting", "handshaking"]);
  clock.advance(1);
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "handshake-timeout");
  assert.match(cause.message, /no finished handshake after 5000 ms/);
});

test("zmtp 22: a peer that connected and dribbles its greeting is given up, and others are served meanwhile", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using sub = zmtp({ clock, heartbeatIntervalMs: 0 }).subscriber({ onConnection: states.listener });
  const endpoint = await sub.bind("tcp://127.0.0.1:0");
  const slow = await rawConnect(endpoint);
  await slow.read(64);
  await slow.write(greeting().subarray(0, 30));
  const honest = await rawConnect(endpoint);
  await honest.shake("PUB");
  await states.next("ready");
  clock.advance(5_000);
  assert.equal(await states.cause("closed"), "handshake-timeout");
  await slow.readToEnd();
  await honest.write(message(bytes("still here")));
  sub.subscribe("");
  assert.deepEqual(text((await honest.readCommand()).data), "");
});

test("zmtp 22: a process that stood still reads what came before it gives a handshake up", async () => {
  const clock = new ManualClock();
  await using server = await RawServer.start();
  const { states, sub } = dialing(server, { clock });
  await using _ = sub;
  const peer = await server.accept();
  await peer.read(64);
  clock.freeze(60_000);
  await peer.write(greeting(), ready("PUB"));
  await states.next("ready");
});

test("zmtp 23: handshakes beyond the limit are refused while the others are young", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using sub = zmtp({ clock, maxPendingHandshakes: 2 }).subscriber({ onConnection: states.listener });
  const endpoint = await sub.bind("tcp://127.0.0.1:0");
  const first = await rawConnect(endpoint);
  await first.read(64);
  const second = await rawConnect(endpoint);
  await second.read(64);
  const third = await rawConnect(endpoint);
  assert.equal((await third.readToEnd()).length, 0);
  assert.match((await states.next("closed")).cause?.message ?? "", /2 handshakes are pending/);
  await first.write(greeting(), ready("PUB"));
  await states.next("ready");
});

test("zmtp 23: at the limit a handshake that is slow makes room for a newcomer", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using sub = zmtp({ clock, maxPendingHandshakes: 1 }).subscriber({ onConnection: states.listener });
  const endpoint = await sub.bind("tcp://127.0.0.1:0");
  const slow = await rawConnect(endpoint);
  await slow.read(64);
  clock.advance(1_000);
  const honest = await rawConnect(endpoint);
  await honest.shake("PUB");
  assert.equal(await states.cause("closed"), "handshake-timeout");
  await slow.readToEnd();
  await states.next("ready");
});

test("a bound endpoint holds no more connections than it may", async () => {
  const states = new States();
  await using sub = zmtp({ maxConnections: 1 }).subscriber({ onConnection: states.listener });
  const endpoint = await sub.bind("tcp://127.0.0.1:0");
  const first = await rawConnect(endpoint);
  await first.shake("PUB");
  assert.equal((await (await rawConnect(endpoint)).readToEnd()).length, 0);
  first.socket.end();
  await states.next("closed");
  await (await rawConnect(endpoint)).shake("PUB");
  await states.next("ready");
});

test("zmtp 23: connections that are ready do not count as pending", async () => {
  const states = new States();
  await using sub = zmtp({ maxPendingHandshakes: 1 }).subscriber({ onConnection: states.listener });
  const endpoint = await sub.bind("tcp://127.0.0.1:0");
  for (let i = 0; i < 3; i += 1) {
    await (await rawConnect(endpoint)).shake("PUB");
    await states.next("ready");
  }
});
