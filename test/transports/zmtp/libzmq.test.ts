import assert from "node:assert/strict";
import { test } from "node:test";
import * as libzmq from "zeromq";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { bytes, deferred, States, take, text, texts } from "./support.ts";

/** The other side of every test here is libzmq, by way of the `zeromq` package. */
const FREE = "tcp://127.0.0.1:*";

test("zmtp 24, 33: libzmq publishes, restarts, and is subscribed to again though nobody reads", async () => {
  const states = new States();
  await using sub = zmtp({ reconnectMinMs: 5 }).subscriber({ onConnection: states.listener });
  sub.subscribe("kv");
  let endpoint = FREE;
  for (const name of ["first", "second"]) {
    const pub = new libzmq.XPublisher({ linger: 1_000 });
    await pub.bind(endpoint);
    endpoint = pub.lastEndpoint!;
    sub.connect(endpoint);
    assert.deepEqual(text((await pub.receive())[0]), "\x01kv");
    await pub.send(["other", "not asked for"]);
    await pub.send(["kv@pod", "", name, Buffer.alloc(100_000)]);
    pub.close();
    await states.next("waiting");
  }
  const received = await take(sub, 2);
  assert.deepEqual(
    received.map((frames) => [...frames.slice(0, 3).map((body) => text(body)), frames[3]?.length]),
    [
      ["kv@pod", "", "first", 100_000],
      ["kv@pod", "", "second", 100_000],
    ],
  );
});

test("zmtp 34: libzmq gets five thousand topics again after it restarted", async () => {
  const states = new States();
  await using sub = zmtp({ reconnectMinMs: 5 }).subscriber({ onConnection: states.listener });
  const topics = Array.from({ length: 5_000 }, (_, i) => `topic ${i}`);
  for (const topic of topics) sub.subscribe(topic);
  let endpoint = FREE;
  for (let round = 0; round < 2; round += 1) {
    const pub = new libzmq.XPublisher({ receiveHighWaterMark: 0 });
    await pub.bind(endpoint);
    endpoint = pub.lastEndpoint!;
    sub.connect(endpoint);
    const seen = new Set<string>();
    while (seen.size < topics.length) seen.add(text((await pub.receive())[0]).slice(1));
    assert.deepEqual([...seen].sort(), topics.slice().sort());
    pub.close();
    await states.next("waiting");
  }
});

test("zmtp 25, 26: libzmq subscribes and cancels, topics of 240 to 260 bytes too", async () => {
  const seen: string[] = [];
  const lengths = Array.from({ length: 21 }, (_, i) => 240 + i);
  const subscribed = deferred();
  const cancelled = deferred();
  await using pub = zmtp().publisher({
    onSubscription: (topic, on) => {
      seen.push(`${on ? "+" : "-"}${topic.length}`);
      if (seen.length === lengths.length) subscribed.resolve();
      if (!on) cancelled.resolve();
    },
  });
  const sub = new libzmq.Subscriber({ linger: 0 });
  sub.connect(await pub.bind("tcp://127.0.0.1:0"));
  for (const length of lengths) sub.subscribe(String.fromCharCode(length - 175).repeat(length));
  await subscribed.promise;
  assert.deepEqual(seen.splice(0).sort(), lengths.map((length) => `+${length}`).sort());
  for (const length of lengths) {
    const topic = String.fromCharCode(length - 175).repeat(length);
    pub.send([bytes(topic), bytes("hello")]);
    assert.deepEqual(
      (await sub.receive()).map((body) => text(body)),
      [topic, "hello"],
    );
  }
  sub.unsubscribe(String.fromCharCode(65).repeat(240));
  await cancelled.promise;
  assert.deepEqual(seen, ["-240"]);
  sub.close();
});

test("zmtp 45: libzmq's dealer talks to our router, by its own identity", async () => {
  await using router = zmtp().router({ mandatory: true });
  const dealer = new libzmq.Dealer({ routingId: "engine 7", linger: 0 });
  dealer.connect(await router.bind("tcp://127.0.0.1:0"));
  await dealer.send(["", "question"]);
  assert.deepEqual(texts(await take(router, 1)), [["engine 7", "", "question"]]);
  assert.equal(router.send([bytes("engine 7"), bytes(""), bytes("answer")]), true);
  assert.deepEqual(
    (await dealer.receive()).map((body) => text(body)),
    ["", "answer"],
  );
  dealer.close();
});

test("zmtp 46: our dealer talks to libzmq's router, and the exact bytes arrive", async () => {
  const router = new libzmq.Router({ linger: 0 });
  await router.bind(FREE);
  await using dealer = zmtp().dealer();
  dealer.send([bytes(""), Buffer.from("000000000000002a", "hex")]);
  dealer.connect(router.lastEndpoint!);
  const [identity, ...frames] = await router.receive();
  assert.deepEqual(
    frames.map((body) => body.toString("hex")),
    ["", "000000000000002a"],
  );
  const count = 1_000;
  for (let i = 0; i < count; i += 1) await router.send([identity!, "", `${i}`]);
  const received = await take(dealer, count);
  assert.deepEqual(
    received.map((answer) => Number(text(answer[1]))),
    Array.from({ length: count }, (_, i) => i),
  );
  router.close();
});

test("zmtp 47: libzmq's publisher connects out to our bound subscriber", async () => {
  const states = new States();
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.subscribe("");
  const endpoint = await sub.bind("tcp://127.0.0.1:0");
  const pub = new libzmq.XPublisher({ linger: 0 });
  pub.connect(endpoint);
  await pub.receive();
  await pub.send(["kv", "from below"]);
  assert.deepEqual(texts(await take(sub, 1)), [["kv", "from below"]]);
  pub.close();
  assert.equal(await states.cause("closed"), "disconnected");
});

test("zmtp 16, 17: libzmq of another mechanism or socket type is told apart", async () => {
  const states = new States();
  const plain = new libzmq.Publisher({ plainServer: true, linger: 0 });
  await plain.bind(FREE);
  const pull = new libzmq.Pull({ linger: 0 });
  await pull.bind(FREE);
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.connect(plain.lastEndpoint!);
  assert.match((await states.next("waiting")).cause.message, /during the handshake; it may want another security/);
  sub.connect(pull.lastEndpoint!);
  assert.equal(await states.cause(), "socket-type-mismatch");
  plain.close();
  pull.close();
});

test("zmtp 42: libzmq receives every message of a burst that is within the mark, whole and in order", async () => {
  const subscribed = deferred();
  await using pub = zmtp().publisher({ onSubscription: () => subscribed.resolve() });
  const sub = new libzmq.Subscriber({ receiveHighWaterMark: 0, linger: 0 });
  sub.subscribe("");
  sub.connect(await pub.bind("tcp://127.0.0.1:0"));
  await subscribed.promise;
  const count = 5_000;
  for (let i = 0; i < count; i += 1) pub.send([bytes(`${i}`), Buffer.alloc((i * 37) % 20_000, i)]);
  for (let i = 0; i < count; i += 1) {
    const [number, body] = await sub.receive();
    assert.equal(Number(text(number)), i);
    assert.equal(body?.length, (i * 37) % 20_000);
    assert.ok(body?.every((byte) => byte === (i & 255)));
  }
  sub.close();
});
