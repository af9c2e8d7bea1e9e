import assert from "node:assert/strict";
import type { LookupFunction } from "node:net";
import { test } from "node:test";
import { type ZmtpOptions, zmtp } from "../../../transports/zmtp/index.ts";
import { connectError } from "../../../transports/zmtp/net-errors.ts";
import {
  bytes,
  deferred,
  greeting,
  ManualClock,
  message,
  RawServer,
  ready,
  States,
  take,
  text,
  texts,
} from "./support.ts";

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  await using server = await RawServer.start();
  return server.port;
}

/** Resolves every name to the next of these addresses; an error for `null`. */
function lookupOf(...addresses: readonly (string | null)[]): LookupFunction & { calls: number } {
  const lookup = (_host: string, options: { all?: boolean }, callback: (...result: never[]) => void): void => {
    const address = addresses[Math.min(lookup.calls, addresses.length - 1)]!;
    lookup.calls += 1;
    const answer = callback as (...result: unknown[]) => void;
    if (address === null) answer(Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" }));
    else if (options.all) answer(null, [{ address, family: 4 }]);
    else answer(null, address, 4);
  };
  lookup.calls = 0;
  return lookup as LookupFunction & { calls: number };
}

test("zmtp 33: after a restart all topics are sent again, exactly once, though nobody reads", async () => {
  const states = new States();
  await using server = await RawServer.start();
  const sub = zmtp({ reconnectMinMs: 1 }).subscriber({ onConnection: states.listener });
  for (const topic of ["a", "b", "a", "c"]) sub.subscribe(topic);
  sub.unsubscribe("c");
  sub.connect(server.endpoint);
  for (let connection = 1; connection <= 3; connection += 1) {
    const peer = await server.accept();
    await peer.shake("PUB");
    assert.equal((await states.next("ready")).connectionId, connection);
    const topics = [await peer.readCommand(), await peer.readCommand()].map(({ data }) => text(data));
    assert.deepEqual(topics.sort(), ["a", "b"]);
    if (connection === 3) await sub.close();
    else peer.socket.end();
    assert.equal((await peer.readToEnd()).length, 0);
  }
});

test("zmtp 33: batches carry the number of the connection that is ready", async () => {
  const states = new States();
  await using server = await RawServer.start();
  await using sub = zmtp({ reconnectMinMs: 1 }).subscriber({ onConnection: states.listener });
  sub.subscribe("");
  sub.connect(server.endpoint);
  const seen: (readonly [number, string])[] = [];
  for (const name of ["first", "second"]) {
    const peer = await server.accept();
    await peer.shake("PUB");
    await peer.write(message(bytes(name)));
    peer.socket.end();
    await states.next("waiting");
  }
  for await (const { connectionId, messages } of sub.receive()) {
    for (const frames of messages) seen.push([connectionId, text(frames[0])]);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, [
    [1, "first"],
    [2, "second"],
  ]);
});

test("zmtp 34: five thousand topics are all sent again", async () => {
  await using server = await RawServer.start();
  await using sub = zmtp({ reconnectMinMs: 1 }).subscriber();
  const topics = Array.from({ length: 5_000 }, (_, i) => `kv@10.0.${i >> 8}.${i & 255}@model`);
  for (const topic of topics) sub.subscribe(topic);
  sub.connect(server.endpoint);
  for (let connection = 0; connection < 2; connection += 1) {
    const peer = await server.accept();
    await peer.shake("PUB");
    const received: string[] = [];
    while (received.length < topics.length) received.push(text((await peer.readCommand()).data));
    assert.deepEqual(received.sort(), topics.slice().sort());
    peer.socket.destroy();
  }
});

/** A server that closes each connection as soon as it is ready, and the delays that this causes. */
async function storm(rounds: number, readyForMs: (round: number) => number, options: ZmtpOptions): Promise<number[]> {
  const clock = new ManualClock();
  const states = new States();
  await using server = await RawServer.start();
  await using sub = zmtp({ clock, random: () => 0.999_999, ...options }).subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const delays: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const peer = await server.accept();
    await peer.shake("PUB");
    await states.next("ready");
    clock.advance(readyForMs(round));
    peer.socket.end();
    const { retryInMs } = await states.next("waiting");
    delays.push(Math.round(retryInMs));
    clock.advance(retryInMs);
  }
  return delays;
}

test("zmtp 35: a peer that accepts and closes is backed off from, though it becomes ready each time", async () => {
  const delays = await storm(6, () => 0, { reconnectMinMs: 100, reconnectMaxMs: 1_000 });
  assert.deepEqual(delays, [100, 200, 400, 800, 1_000, 1_000]);
});

test("zmtp 35: only a connection that stayed ready starts the delays anew", async () => {
  const readyForMs = (round: number): number => (round === 3 ? 10_000 : 9_999);
  const delays = await storm(5, readyForMs, { stableAfterMs: 10_000, heartbeatIntervalMs: 0 });
  assert.deepEqual(delays, [100, 200, 400, 100, 200]);
});

test("zmtp 35: a peer that accepts and closes before its greeting is backed off from", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using server = await RawServer.start();
  await using sub = zmtp({ clock, random: () => 0 }).subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  for (const expected of [50, 100, 200]) {
    (await server.accept()).socket.end();
    const { cause, retryInMs } = await states.next("waiting");
    assert.equal(cause.code, "disconnected");
    assert.equal(retryInMs, expected);
    clock.advance(retryInMs);
  }
});

test("zmtp 37: a port on which nobody listens is refused", async () => {
  const states = new States();
  const endpoint = `tcp://127.0.0.1:${await freePort()}`;
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.connect(endpoint);
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "refused");
  assert.equal(
    cause.message,
    `zmtp ${endpoint}: cannot connect (ECONNREFUSED): nobody listens there; check the port and whether the peer is up`,
  );
});

test("zmtp 37: an ipc path that nobody has bound is refused", async () => {
  const states = new States();
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.connect("ipc:///nonexistent/engine.sock");
  assert.equal(await states.cause(), "refused");
});

test("zmtp 37: an address that does not answer in time is unreachable", async () => {
  const clock = new ManualClock();
  const states = new States();
  const lookup = (() => {}) as unknown as LookupFunction;
  await using sub = zmtp({ clock, lookup, connectTimeoutMs: 5_000 }).subscriber({ onConnection: states.listener });
  sub.connect("tcp://black.hole:5557");
  clock.advance(4_999);
  assert.deepEqual(states.statuses, ["connecting"]);
  clock.advance(1);
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "unreachable");
  assert.match(cause.message, /no answer in 5000 ms/);
});

for (const [systemCode, code] of [
  ["EHOSTUNREACH", "unreachable"],
  ["ENETUNREACH", "unreachable"],
  ["ETIMEDOUT", "unreachable"],
  ["EADDRNOTAVAIL", "unreachable"],
  ["EAI_AGAIN", "dns"],
  ["ECONNRESET", "disconnected"],
] as const) {
  test(`zmtp 37: ${systemCode} is called ${code}`, () => {
    const error = Object.assign(new Error(systemCode), { code: systemCode });
    assert.equal(connectError("tcp://engine:5557", error).code, code);
    assert.equal(connectError("tcp://engine:5557", new AggregateError([error])).code, code);
    assert.equal(connectError("tcp://engine:5557", error).cause, error);
  });
}

test("zmtp 37: a host name without an address is a matter of DNS", async () => {
  const states = new States();
  await using sub = zmtp({ lookup: lookupOf(null) }).subscriber({ onConnection: states.listener });
  sub.connect("tcp://engine.invalid:5557");
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "dns");
  assert.match(cause.message, /zmtp tcp:\/\/engine\.invalid:5557: cannot connect \(ENOTFOUND\)/);
});

test("zmtp 37: the host name is resolved anew at each attempt", async () => {
  const states = new States();
  await using server = await RawServer.start();
  const lookup = lookupOf(null, "127.0.0.2", "127.0.0.1");
  await using sub = zmtp({ lookup, reconnectMinMs: 1 }).subscriber({ onConnection: states.listener });
  sub.connect(`tcp://engine.test:${server.port}`);
  assert.equal(await states.cause(), "dns");
  assert.equal(await states.cause(), "refused");
  await (await server.accept()).shake("PUB");
  await states.next("ready");
  assert.equal(lookup.calls, 3);
});

test("zmtp 38: closing while a name is resolved leaves nothing behind", async () => {
  const clock = new ManualClock();
  const states = new States();
  const sub = zmtp({ clock, lookup: (() => {}) as unknown as LookupFunction }).subscriber({
    onConnection: states.listener,
  });
  sub.connect("tcp://engine.test:5557");
  await sub.close();
  assert.deepEqual(states.statuses, ["connecting", "closed"]);
  assert.equal(clock.pending, 0);
});

test("zmtp 38: closing during the handshake leaves nothing behind", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using server = await RawServer.start();
  const sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await states.next("handshaking");
  await sub.close();
  await peer.readToEnd();
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "closed"]);
  assert.equal(clock.pending, 0);
});

test("zmtp 38: closing during the back-off leaves nothing behind", async () => {
  const clock = new ManualClock();
  const states = new States();
  const sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
  sub.connect(`tcp://127.0.0.1:${await freePort()}`);
  await states.next("waiting");
  assert.equal(clock.pending, 1);
  await sub.close();
  assert.deepEqual(states.statuses, ["connecting", "waiting", "closed"]);
  assert.equal(clock.pending, 0);
});

test("zmtp 38: closing a ready connection leaves nothing behind, and no cause", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using server = await RawServer.start();
  const sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB");
  await states.next("ready");
  await sub.close();
  await peer.readToEnd();
  assert.deepEqual(states.seen.at(-1)?.state, { status: "closed" });
  assert.equal(clock.pending, 0);
});

test("zmtp 38: a listener that disconnects at any state is obeyed", async () => {
  for (const status of ["connecting", "handshaking", "ready", "waiting"]) {
    const clock = new ManualClock();
    const closed = deferred();
    await using server = await RawServer.start();
    const sub = zmtp({ clock }).subscriber({
      onConnection: (endpoint, state) => {
        if (state.status === status) sub.disconnect(endpoint);
        if (state.status === "closed") closed.resolve();
      },
    });
    await using _ = sub;
    sub.connect(server.endpoint);
    if (status !== "connecting") {
      const peer = await server.accept();
      await peer.write(greeting(), ready("PUB"));
      peer.socket.end();
    }
    await closed.promise;
    assert.equal(clock.pending, 0, status);
  }
});

test("zmtp 38: disconnecting twice, or from what was never connected, is ignored", async () => {
  const states = new States();
  await using server = await RawServer.start();
  const sub = zmtp().subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  sub.disconnect(server.endpoint);
  sub.disconnect(server.endpoint);
  sub.disconnect("tcp://never.connected:1");
  await sub.close();
  assert.deepEqual(states.statuses, ["connecting", "closed"]);
});

test("zmtp 39: connecting before anybody listens finds the publisher once it is there", async () => {
  const clock = new ManualClock();
  const states = new States();
  const port = await freePort();
  await using sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
  sub.subscribe("kv");
  sub.connect(`tcp://127.0.0.1:${port}`);
  const { retryInMs } = await states.next("waiting");
  const subscribed = deferred();
  await using pub = zmtp().publisher({ onSubscription: () => subscribed.resolve() });
  await pub.bind(`tcp://127.0.0.1:${port}`);
  clock.advance(retryInMs);
  await subscribed.promise;
  pub.send([bytes("kv"), bytes("hello")]);
  assert.deepEqual(texts(await take(sub, 1)), [["kv", "hello"]]);
});

test("connecting twice to the same endpoint makes one connection", async () => {
  const states = new States();
  await using server = await RawServer.start();
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  sub.connect(server.endpoint);
  await (await server.accept()).shake("PUB");
  await states.next("ready");
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "ready"]);
});
