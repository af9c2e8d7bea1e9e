import assert from "node:assert/strict";
import { test } from "node:test";
import * as libzmq from "zeromq";
import { encodeMetadata } from "../../../transports/zmtp/commands.ts";
import { Handshake, type HandshakeStep } from "../../../transports/zmtp/handshake.ts";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { nullMechanism } from "../../../transports/zmtp/null.ts";
import { bytes, deferred, ManualClock, RawServer, rawConnect, States, take, text, texts } from "./support.ts";

/** The other side of every test here is libzmq, by way of the `zeromq` package. */
const FREE = "tcp://127.0.0.1:*";

test("zmtp 12, 13, 14: libzmq sends 10 bytes with odd padding, waits for ours, and turns out to speak 3.1", async () => {
  await using server = await RawServer.start();
  const sub = new libzmq.Subscriber({ linger: 0 });
  sub.connect(server.endpoint);
  const peer = await server.accept();
  const shaking = new Handshake(nullMechanism(encodeMetadata([["Socket-Type", bytes("PUB")]])), "PUB");
  const start = await peer.read(10);
  assert.equal(start.toString("hex"), "ff00000000000000017f");
  assert.deepEqual(shaking.push(start), { send: [] });
  await peer.write(shaking.opening());
  const rest = await peer.read(54);
  assert.equal(rest[32 - 10], 0);
  const greeted = shaking.push(rest);
  assert.equal(greeted.failure, undefined);
  await peer.write(...greeted.send);
  let step: HandshakeStep = { send: [] };
  while (step.done === undefined && step.failure === undefined) step = shaking.push(await peer.read(1));
  assert.deepEqual([step.done?.peer.socketType, step.done?.peer.knowsCommands], ["SUB", true]);
  sub.close();
});

test("zmtp 14, 24: libzmq of 3.1 gets SUBSCRIBE as a command, and sends its own as one that we take", async () => {
  const subscribed = deferred<string>();
  await using pub = zmtp().publisher({ onSubscription: (topic) => subscribed.resolve(text(topic)) });
  const theirSub = new libzmq.Subscriber({ linger: 0 });
  theirSub.subscribe("from libzmq");
  theirSub.connect(await pub.bind("tcp://127.0.0.1:0"));
  assert.equal(await subscribed.promise, "from libzmq");
  const theirPub = new libzmq.XPublisher({ linger: 0 });
  await theirPub.bind(FREE);
  await using sub = zmtp().subscriber();
  sub.subscribe("from us");
  sub.connect(theirPub.lastEndpoint!);
  assert.equal(text((await theirPub.receive())[0]), "\x01from us");
  theirSub.close();
  theirPub.close();
});

for (const [title, sent, words] of [
  ["zmtp 15: a web server behind libzmq's STREAM", "HTTP/1.1 400 Bad Request\r\n", /begins with "HTTP/],
  ["zmtp 15: ZMTP 2.0 behind libzmq's STREAM", "\xff\0\0\0\0\0\0\0\x01\x7f\x01\x02", /ZMTP revision 1/],
] as const) {
  test(`${title} is told at once, and tried again slowly`, async () => {
    const stream = new libzmq.Stream({ linger: 0 });
    await stream.bind(FREE);
    const states = new States();
    await using sub = zmtp({ clock: new ManualClock(), random: () => 0 }).subscriber({ onConnection: states.listener });
    sub.connect(stream.lastEndpoint!);
    const [identity] = await stream.receive();
    await stream.send([identity!, Buffer.from(sent, "latin1")]);
    const { cause, retryInMs } = await states.next("waiting");
    assert.equal(cause.code, "protocol");
    assert.match(cause.message, words);
    assert.equal(retryInMs, 5_000);
    stream.close();
  });
}

test("zmtp 17: libzmq that dials the wrong socket of ours is told apart, and the right one is served", async () => {
  const states = new States();
  await using router = zmtp().router({ onConnection: states.listener });
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const wrong = new libzmq.Subscriber({ linger: 0 });
  wrong.connect(endpoint);
  assert.equal(await states.cause("closed"), "socket-type-mismatch");
  const dealer = new libzmq.Dealer({ linger: 0 });
  dealer.connect(endpoint);
  await dealer.send("hello");
  assert.equal(text((await take(router, 1))[0]?.[1]), "hello");
  wrong.close();
  dealer.close();
});

test("zmtp 18: READY as libzmq writes it, with and without an identity, is read", async () => {
  await using router = zmtp().router();
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const named = new libzmq.Dealer({ linger: 0, routingId: "x".repeat(255) });
  const nameless = new libzmq.Dealer({ linger: 0 });
  for (const [dealer, identity] of [
    [named, /^x{255}$/],
    [nameless, /^\0.{4}$/s],
  ] as const) {
    dealer.connect(endpoint);
    await dealer.send("hello");
    assert.match(text((await take(router, 1))[0]?.[0]), identity);
  }
  named.close();
  nameless.close();
});

test("zmtp 19: libzmq, which drops whoever speaks before its READY, keeps all of fifty subscribers", async () => {
  const pub = new libzmq.XPublisher({ linger: 0 });
  await pub.bind(FREE);
  const states = new States();
  const subs = Array.from({ length: 50 }, (_, i) => {
    const sub = zmtp().subscriber({ onConnection: states.listener });
    sub.subscribe(`topic ${i}`);
    sub.connect(pub.lastEndpoint!);
    return sub;
  });
  const seen = new Set<string>();
  while (seen.size < subs.length) seen.add(text((await pub.receive())[0]));
  assert.ok(!states.statuses.includes("waiting"), states.statuses.join());
  await Promise.all(subs.map((sub) => sub.close()));
  pub.close();
});

test("zmtp 20: what libzmq had queued before it was connected follows its READY at once, and is whole", async () => {
  await using router = zmtp().router();
  const dealer = new libzmq.Dealer({ linger: 0 });
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  dealer.connect(endpoint);
  const count = 500;
  for (let i = 0; i < count; i += 1) await dealer.send([`${i}`, Buffer.alloc(i)]);
  const received = await take(router, count);
  assert.deepEqual(
    received.map(([, number, body]) => [Number(text(number)), body?.length]),
    Array.from({ length: count }, (_, i) => [i, i]),
  );
  dealer.close();
});

test("zmtp 21: the ERROR by which libzmq refuses is told as a refusal, and tried again slowly", async () => {
  const zap = new libzmq.Reply({ linger: 0 });
  await zap.bind("inproc://zeromq.zap.01");
  const answering = (async () => {
    for await (const [version, id] of zap) await zap.send([version!, id!, "400", "No", "", ""]);
  })();
  const pub = new libzmq.Publisher({ linger: 0, zapDomain: "test" });
  await pub.bind(FREE);
  const states = new States();
  await using sub = zmtp({ clock: new ManualClock(), random: () => 0 }).subscriber({ onConnection: states.listener });
  sub.connect(pub.lastEndpoint!);
  const { cause, retryInMs } = await states.next("waiting");
  assert.equal(cause.code, "authentication");
  assert.match(cause.message, /the peer does not accept us: "400"/);
  assert.equal(retryInMs, 5_000);
  pub.close();
  zap.close();
  await answering;
});

test("zmtp 22: libzmq's STREAM, which accepts and says nothing, is given up, whoever dialled", async () => {
  const clock = new ManualClock();
  const stream = new libzmq.Stream({ linger: 0 });
  await stream.bind(FREE);
  const dialled = new States();
  await using sub = zmtp({ clock }).subscriber({ onConnection: dialled.listener });
  sub.connect(stream.lastEndpoint!);
  await dialled.next("handshaking");
  const accepted = new States();
  await using router = zmtp({ clock }).router({ onConnection: accepted.listener });
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const silent = new libzmq.Stream({ linger: 0 });
  silent.connect(endpoint);
  await accepted.next("handshaking");
  const dealer = new libzmq.Dealer({ linger: 0 });
  dealer.connect(endpoint);
  await dealer.send("served meanwhile");
  assert.equal(text((await take(router, 1))[0]?.[1]), "served meanwhile");
  clock.advance(5_000);
  assert.equal(await dialled.cause(), "handshake-timeout");
  assert.equal(await accepted.cause("closed"), "handshake-timeout");
  for (const socket of [stream, silent, dealer]) socket.close();
});

test("zmtp 23: libzmq that was turned away for pending handshakes comes back and is served", async () => {
  const states = new States();
  await using router = zmtp({ maxPendingHandshakes: 1, clock: new ManualClock() }).router({
    onConnection: states.listener,
  });
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const slow = await rawConnect(endpoint);
  await slow.read(64);
  const dealer = new libzmq.Dealer({ linger: 0, reconnectInterval: 5 });
  dealer.connect(endpoint);
  await dealer.send("after all");
  assert.match((await states.next("closed")).cause?.message ?? "", /1 handshakes are pending/);
  slow.socket.end();
  assert.equal(text((await take(router, 1))[0]?.[1]), "after all");
  dealer.close();
});

test("zmtp 38: closing while libzmq connects, shakes hands, is ready or is gone leaves nothing behind", async () => {
  for (const status of ["connecting", "handshaking", "ready", "waiting"] as const) {
    const clock = new ManualClock();
    const states = new States();
    const pub = new libzmq.Publisher({ linger: 0 });
    await pub.bind(FREE);
    const sub = zmtp({ clock }).subscriber({ onConnection: states.listener });
    sub.connect(pub.lastEndpoint!);
    if (status === "waiting") {
      await states.next("ready");
      pub.close();
    }
    await states.next(status);
    await sub.close();
    assert.deepEqual(states.seen.at(-1)?.state, { status: "closed" });
    assert.equal(clock.pending, 0, status);
    pub.close();
  }
});

test("zmtp 39: who connects before the other binds finds it, ours before libzmq and libzmq before ours", async () => {
  await using reserved = await RawServer.start();
  const endpoint = reserved.endpoint;
  await reserved.close();
  const states = new States();
  await using dealer = zmtp({ reconnectMinMs: 5, reconnectMaxMs: 20 }).dealer({ onConnection: states.listener });
  dealer.connect(endpoint);
  dealer.send([bytes("from us")]);
  assert.equal(await states.cause(), "refused");
  const router = new libzmq.Router({ linger: 0 });
  await router.bind(endpoint);
  assert.equal(text((await router.receive())[1]), "from us");
  router.close();
  await dealer.close();

  await using later = await RawServer.start();
  const theirEndpoint = later.endpoint;
  await later.close();
  const theirs = new libzmq.Dealer({ linger: 0, reconnectInterval: 5 });
  const refused = new Promise((resolve) => theirs.events.on("close", resolve));
  theirs.connect(theirEndpoint);
  await theirs.send("from libzmq");
  await refused;
  await using ours = zmtp().router();
  await ours.bind(theirEndpoint);
  assert.deepEqual(
    texts(await take(ours, 1)).map((frames) => frames[1]),
    ["from libzmq"],
  );
  theirs.close();
});
