import assert from "node:assert/strict";
import { test } from "node:test";
import * as libzmq from "zeromq";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { bytes, deferred, ManualClock, States, take, text, turn } from "./support.ts";
import { Tap } from "./tap.ts";

/** The other side of every test here is libzmq, by way of the `zeromq` package. */
const FREE = "tcp://127.0.0.1:*";

test("zmtp 27: libzmq's PINGs are answered, for longer than it would wait", async () => {
  const states = new States();
  const pub = new libzmq.Publisher({ linger: 0, heartbeatInterval: 10, heartbeatTimeout: 100 });
  await pub.bind(FREE);
  await using tap = await Tap.start(pub.lastEndpoint!);
  await using sub = zmtp({ heartbeatIntervalMs: 0 }).subscriber({ onConnection: states.listener });
  sub.connect(tap.endpoint);
  await tap.saw("up", "\x04PONG", 30);
  assert.ok(tap.count("down", "\x04PING") >= 30);
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "ready"]);
  pub.close();
});

test("zmtp 28: the TTL in libzmq's PING is honoured when libzmq falls silent", async () => {
  const clock = new ManualClock();
  const states = new States();
  const pub = new libzmq.Publisher({ linger: 0, heartbeatInterval: 10, heartbeatTimeToLive: 2_000 });
  await pub.bind(FREE);
  await using tap = await Tap.start(pub.lastEndpoint!);
  await using sub = zmtp({ clock, heartbeatIntervalMs: 0 }).subscriber({ onConnection: states.listener });
  sub.connect(tap.endpoint);
  await tap.saw("up", "\x04PONG");
  tap.hold("down");
  // What was under way is answered, and then nothing comes any more.
  while (tap.count("up", "\x04PONG") < tap.count("down", "\x04PING") - (tap.pass("down") > 0 ? 1 : 0)) await turn();
  clock.advance(2_000);
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "heartbeat-timeout");
  assert.match(cause.message, /sent nothing for 2000 ms/);
  pub.close();
});

test("zmtp 30: libzmq that is gone without a word is found out, and connected to again", async () => {
  const clock = new ManualClock();
  const states = new States();
  const pub = new libzmq.XPublisher({ linger: 0 });
  await pub.bind(FREE);
  await using tap = await Tap.start(pub.lastEndpoint!);
  await using sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
  sub.subscribe("kv");
  sub.connect(tap.endpoint);
  await states.next("ready");
  assert.equal(text((await pub.receive())[0]), "\x01kv");
  tap.hold("down");
  clock.advance(5_000);
  await tap.saw("up", "\x04PING");
  await tap.holds("down", 1);
  clock.advance(15_000);
  const { cause, retryInMs } = await states.next("waiting");
  assert.equal(cause.code, "heartbeat-timeout");
  tap.release("down");
  clock.advance(retryInMs);
  await states.next("ready");
  pub.close();
});

test("zmtp 31: libzmq does not drop a subscriber that nobody reads, though its PINGs lie unread", async () => {
  const states = new States();
  const pub = new libzmq.XPublisher({ linger: 0, heartbeatInterval: 10, heartbeatTimeout: 100 });
  await pub.bind(FREE);
  await using tap = await Tap.start(pub.lastEndpoint!);
  await using sub = zmtp({ heartbeatIntervalMs: 10 }).subscriber({
    onConnection: states.listener,
    receiveHighWaterMark: 1,
  });
  sub.subscribe("");
  sub.connect(tap.endpoint);
  await pub.receive();
  await pub.send("1");
  await pub.send("2");
  // Signs of life, at one each 10 ms: so many take several times libzmq's time-out.
  await tap.saw("up", "\x04PONG", tap.count("up", "\x04PONG") + 40);
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "ready"]);
  const received = await take(sub, 2);
  assert.deepEqual(
    received.map(([body]) => text(body)),
    ["1", "2"],
  );
  pub.close();
});

test("zmtp 32: libzmq's frame of 1 MiB may come slowly, for longer than any silence may last", async () => {
  const clock = new ManualClock();
  const states = new States();
  const pub = new libzmq.XPublisher({ linger: 0 });
  await pub.bind(FREE);
  await using tap = await Tap.start(pub.lastEndpoint!);
  await using sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
  sub.subscribe("");
  sub.connect(tap.endpoint);
  await pub.receive();
  tap.hold("down");
  const size = 1_048_576;
  await pub.send(Buffer.alloc(size, 7));
  await tap.holds("down", size);
  for (let piece = 0; piece < 10; piece += 1) {
    tap.pass("down", 100_000);
    // A PING comes 5 s after the last byte, and only once: another one shows that this piece was taken for life.
    const pings = tap.count("up", "\x04PING");
    while (tap.count("up", "\x04PING") === pings) {
      clock.advance(50);
      await turn();
    }
  }
  assert.ok(clock.now() > 40_000);
  tap.pass("down");
  assert.equal((await take(sub, 1))[0]?.[0]?.length, size);
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "ready"]);
  pub.close();
});

test("zmtp 35: libzmq that accepts and closes, for it wants PLAIN, is backed off from", async () => {
  const clock = new ManualClock();
  const states = new States();
  const pub = new libzmq.Publisher({ linger: 0, plainServer: true });
  await pub.bind(FREE);
  await using sub = zmtp({ clock, random: () => 0 }).subscriber({ onConnection: states.listener });
  sub.connect(pub.lastEndpoint!);
  for (let round = 0; round < 4; round += 1) {
    const { cause, retryInMs } = await states.next("waiting");
    // Whether its greeting still arrives before it closes is a matter of chance.
    const [firstMs, longestMs] = cause.code === "mechanism-mismatch" ? [5_000, 15_000] : [50, 15_000];
    assert.equal(retryInMs, Math.min(firstMs * 2 ** round, longestMs), cause.code);
    clock.advance(retryInMs);
  }
  pub.close();
});

test("zmtp 37: libzmq that has gone is told as disconnected, and then as refused", async () => {
  const states = new States();
  const pub = new libzmq.Publisher({ linger: 0 });
  await pub.bind(FREE);
  await using sub = zmtp({ reconnectMinMs: 5, reconnectMaxMs: 20 }).subscriber({ onConnection: states.listener });
  sub.connect(pub.lastEndpoint!);
  await states.next("ready");
  pub.close();
  assert.equal(await states.cause(), "disconnected");
  while ((await states.cause()) !== "refused");
});

test("zmtp 40: of all that libzmq sends, a subscriber that nobody reads takes its mark and no more", async () => {
  const states = new States();
  const pub = new libzmq.XPublisher({ linger: 0, sendHighWaterMark: 10 });
  await pub.bind(FREE);
  await using sub = zmtp().subscriber({ receiveHighWaterMarkBytes: 1_000_000, onConnection: states.listener });
  sub.subscribe("");
  sub.connect(pub.lastEndpoint!);
  await pub.receive();
  const payload = Buffer.alloc(50_000);
  const sent = 2_000;
  for (let i = 0; i < sent; i += 1) {
    await pub.send([`${i}`, payload]);
    await turn();
  }
  pub.close();
  const last = states.next("waiting").then(() => null);
  const iterator = sub.receive()[Symbol.asyncIterator]();
  let received = 0;
  for (;;) {
    const result = await Promise.race([iterator.next(), last]);
    if (result === null) break;
    received += result.value?.messages.length ?? 0;
  }
  // 100 MB were sent. The mark is 1 MB, and the kernel's buffers on loopback end at about 10 MB.
  assert.ok(received > 20 && received < 600, `${received} of ${sent}`);
});

test("zmtp 41: pausing and resuming loses and reorders nothing of what libzmq sends", async () => {
  const pub = new libzmq.XPublisher({ linger: 0, sendHighWaterMark: 0 });
  await pub.bind(FREE);
  await using sub = zmtp().subscriber({ receiveHighWaterMark: 10 });
  sub.subscribe("");
  sub.connect(pub.lastEndpoint!);
  await pub.receive();
  const count = 5_000;
  const sending = (async () => {
    for (let i = 0; i < count; i += 1) await pub.send([`${i}`, Buffer.alloc(i % 700)]);
  })();
  let expected = 0;
  for await (const { messages } of sub.receive()) {
    for (const [number, body] of messages) {
      assert.deepEqual([Number(text(number)), body?.length], [expected, expected % 700]);
      expected += 1;
    }
    if (expected === count) break;
    await turn();
  }
  await sending;
  pub.close();
});

test("zmtp 42: libzmq that does not read loses whole messages, and the one beside it none", async () => {
  let subscribed = 0;
  const both = deferred();
  await using pub = zmtp({ lingerMs: 0 }).publisher({
    sendHighWaterMark: 20,
    onSubscription: () => {
      subscribed += 1;
      if (subscribed === 2) both.resolve();
    },
  });
  const endpoint = await pub.bind("tcp://127.0.0.1:0");
  const [slow, keen] = [1, 0].map((receiveHighWaterMark) => {
    const sub = new libzmq.Subscriber({ linger: 0, receiveHighWaterMark, receiveBufferSize: 8_192 });
    sub.subscribe("");
    sub.connect(endpoint);
    return sub;
  });
  await both.promise;
  const count = 1_000;
  for (let i = 0; i < count; i += 10) {
    for (let j = i; j < i + 10; j += 1) pub.send([bytes(`${j}`), Buffer.alloc(30_000, j)]);
    for (let j = i; j < i + 10; j += 1) assert.equal(Number(text((await keen!.receive())[0])), j);
  }
  const got: number[] = [];
  const ended = (async () => {
    for (;;) {
      const [number, body] = await slow!.receive();
      if (text(number) === "end") return;
      got.push(Number(text(number)));
      assert.deepEqual(body, Buffer.alloc(30_000, got.at(-1)));
    }
  })();
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  // The end marker is dropped like any other while the queue is full.
  while (!isOver) {
    pub.send([bytes("end")]);
    await turn();
  }
  await ended;
  assert.ok(got.length > 2 && got.length < count, `${got.length}`);
  assert.deepEqual(
    got,
    [...got].sort((a, b) => a - b),
  );
  for (const sub of [slow, keen]) sub!.close();
});

test("zmtp 43: none of three libzmq publishers starves another, however small the mark", async () => {
  await using sub = zmtp().subscriber({ receiveHighWaterMark: 1 });
  sub.subscribe("");
  const pubs: libzmq.XPublisher[] = [];
  for (let i = 0; i < 3; i += 1) {
    const pub = new libzmq.XPublisher({ linger: 0, sendHighWaterMark: 0 });
    await pub.bind(FREE);
    sub.connect(pub.lastEndpoint!);
    await pub.receive();
    pubs.push(pub);
  }
  const payload = Buffer.alloc(1_000);
  await Promise.all(
    pubs.map(async (pub, i) => {
      for (let sent = 0; sent < 3_000; sent += 1) await pub.send([`${i}`, payload]);
    }),
  );
  const counts = [0, 0, 0];
  for await (const { messages } of sub.receive()) {
    counts[Number(text(messages[0]?.[0]))]! += messages.length;
    if (counts.reduce((sum, count) => sum + count) >= 1_500) break;
    await turn();
  }
  assert.ok(
    counts.every((count) => count >= 300),
    counts.join(),
  );
  for (const pub of pubs) pub.close();
});
