import assert from "node:assert/strict";
import { test } from "node:test";
import { Heartbeat } from "../../../transports/zmtp/heartbeat.ts";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { bytes, command, ManualClock, message, RawServer, States, take } from "./support.ts";

/** A heartbeat that pings after 5 s and gives up 15 s later, and what it did. */
function beating(intervalMs = 5_000): { clock: ManualClock; heartbeat: Heartbeat; did: string[] } {
  const clock = new ManualClock();
  const did: string[] = [];
  const heartbeat = new Heartbeat(
    clock,
    { intervalMs, timeoutMs: 15_000 },
    {
      ping: () => did.push("ping"),
      sign: () => did.push("sign"),
      expire: (silentMs) => did.push(`expired after ${silentMs}`),
    },
  );
  return { clock, heartbeat, did };
}

test("zmtp 30: a silent peer is asked once, and given up when it does not answer", () => {
  const { clock, did } = beating();
  clock.advance(4_999);
  assert.deepEqual(did, []);
  clock.advance(1);
  assert.deepEqual(did, ["ping"]);
  clock.advance(14_999);
  assert.deepEqual(did, ["ping"]);
  clock.advance(1);
  assert.deepEqual(did, ["ping", "expired after 20000"]);
  assert.equal(clock.pending, 0);
});

test("zmtp 32: any byte is life: a large frame that comes slowly is no silence", () => {
  const { clock, heartbeat, did } = beating();
  for (let second = 0; second < 100; second += 4) {
    clock.advance(4_000);
    heartbeat.received();
  }
  assert.deepEqual(did, []);
  clock.advance(19_000);
  heartbeat.received();
  clock.advance(4_999);
  assert.deepEqual(did, ["ping"]);
});

test("zmtp 31: while reading is paused nothing is expected of the peer", () => {
  const { clock, heartbeat, did } = beating();
  heartbeat.pause();
  clock.advance(1_000_000);
  assert.ok(did.every((each) => each === "sign"));
  heartbeat.resume();
  did.length = 0;
  clock.advance(4_999);
  assert.deepEqual(did, []);
  clock.advance(1);
  assert.deepEqual(did, ["ping"]);
});

test("a connection that is paused and resumed all the time sets no timer each time", () => {
  const { clock, heartbeat, did } = beating();
  heartbeat.setTtl(60_000);
  const set = clock.timersSet;
  for (let i = 0; i < 1_000; i++) {
    heartbeat.pause();
    clock.advance(1);
    heartbeat.resume();
  }
  assert.equal(clock.timersSet, set);
  clock.advance(4_999);
  assert.deepEqual(did, []);
  clock.advance(1);
  assert.deepEqual(did, ["ping"]);
});

test("zmtp 31: a pause between PING and PONG does not count", () => {
  const { clock, heartbeat, did } = beating();
  clock.advance(5_000);
  heartbeat.pause();
  clock.advance(100_000);
  heartbeat.resume();
  did.length = 1;
  clock.advance(4_999);
  assert.deepEqual(did, ["ping"]);
});

test("zmtp 31: while reading is paused the peer gets signs of life, for its PINGs lie unread", () => {
  const { clock, heartbeat, did } = beating();
  clock.advance(4_000);
  heartbeat.pause();
  clock.advance(4_999);
  assert.deepEqual(did, []);
  clock.advance(10_001);
  assert.deepEqual(did, ["sign", "sign", "sign"]);
  heartbeat.setTtl(2_000);
  clock.advance(3_000);
  assert.deepEqual(did.slice(3), ["sign", "sign", "sign"]);
});

test("zmtp 31: a process that stood still reads before it gives a peer up", () => {
  const { clock, heartbeat, did } = beating();
  clock.advance(5_000);
  clock.freeze(60_000);
  assert.deepEqual(did, ["ping"]);
  heartbeat.received();
  clock.advance(4_999);
  assert.deepEqual(did, ["ping"]);
});

for (const ttlMs of [300, 65_600, 6_553_500]) {
  test(`zmtp 28: a TTL of ${ttlMs} ms is honoured to the moment`, () => {
    const { clock, heartbeat, did } = beating(0);
    heartbeat.setTtl(ttlMs);
    clock.advance(ttlMs - 1);
    assert.deepEqual(did, []);
    clock.advance(1);
    assert.deepEqual(did, [`expired after ${ttlMs}`]);
  });
}

test("zmtp 28: a TTL of 0 takes an earlier one back", () => {
  const { clock, heartbeat, did } = beating(0);
  heartbeat.setTtl(100);
  heartbeat.setTtl(0);
  clock.advance(1_000_000);
  assert.deepEqual(did, []);
  assert.equal(clock.pending, 0);
});

test("zmtp 28: the TTL in a PING, in tenths of a second, ends a connection that falls silent", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using server = await RawServer.start();
  await using sub = zmtp({ clock, heartbeatIntervalMs: 0 }).subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB");
  await peer.write(command("PING", Buffer.of(0x02, 0x90)));
  await peer.readCommand();
  clock.advance(65_599);
  assert.ok(!states.statuses.includes("waiting"));
  clock.advance(1);
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "heartbeat-timeout");
  assert.match(cause.message, /sent nothing for 65600 ms/);
});

test("zmtp 30: a half-open peer is found out by a PING without TTL, and connected to again", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using server = await RawServer.start();
  await using sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB");
  await states.next("ready");
  clock.advance(5_000);
  assert.deepEqual(await peer.readCommand(), { name: "PING", data: Buffer.of(0, 0) });
  clock.advance(15_000);
  const { cause, retryInMs } = await states.next("waiting");
  assert.equal(cause.code, "heartbeat-timeout");
  clock.advance(retryInMs);
  await (await server.accept()).shake("PUB");
  await states.next("ready");
});

test("zmtp 30: a peer of 3.0, which knows no PING, is not asked", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using server = await RawServer.start();
  const sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB", 0);
  await states.next("ready");
  clock.advance(1_000_000);
  await sub.close();
  assert.equal((await peer.readToEnd()).length, 0);
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "ready", "closed"]);
});

test("zmtp 31: a subscriber that nobody reads keeps its connection", async () => {
  const clock = new ManualClock();
  const states = new States();
  await using server = await RawServer.start();
  await using sub = zmtp({ clock }).subscriber({ onConnection: states.listener, receiveHighWaterMark: 1 });
  sub.subscribe("");
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB");
  await peer.readCommand();
  // The answer shows that the message before the PING was taken, and with it the mark reached.
  await peer.write(message(bytes("1")), command("PING", bytes("\0\0")));
  await peer.readCommand();
  clock.advance(5_000);
  assert.deepEqual(await peer.readCommand(), { name: "PONG", data: Buffer.alloc(0) });
  clock.advance(200_000);
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "ready"]);
  await take(sub, 1);
  clock.advance(5_000);
  while ((await peer.readCommand()).name === "PONG");
});
