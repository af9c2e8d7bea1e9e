import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TransportError } from "../../../src/errors.ts";
import { zmtp } from "../../../transports/zmtp/index.ts";
import {
  bytes,
  deferred,
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

const hasCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof TransportError && error.code === code;

test("zmtp 45: a router gives a peer without identity one that begins with 0, and each its own", async () => {
  await using router = zmtp().router();
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const peers = [await rawConnect(endpoint), await rawConnect(endpoint)];
  for (const peer of peers) {
    await peer.shake("DEALER", 1, "");
    await peer.write(message(bytes(""), bytes("hello")));
  }
  const [[first], [second]] = (await take(router, 2)) as unknown as [[Uint8Array], [Uint8Array]];
  assert.equal(first[0], 0);
  assert.equal(second[0], 0);
  assert.notDeepEqual(first, second);
});

test("zmtp 45: a router tells READY with an empty identity, and routes by the peer's", async () => {
  await using router = zmtp().router();
  const peer = await rawConnect(await router.bind("tcp://127.0.0.1:0"));
  assert.deepEqual(text(await peer.shake("DEALER", 1, "engine 7")), text(ready("ROUTER", "")).slice(8));
  await peer.write(message(bytes("question")));
  assert.deepEqual(texts(await take(router, 1)), [["engine 7", "question"]]);
  assert.equal(router.send([bytes("engine 7"), bytes(""), bytes("answer")]), true);
  assert.deepEqual(await peer.readFrame(), { flags: 1, body: Buffer.from("") });
  assert.deepEqual(await peer.readFrame(), { flags: 0, body: Buffer.from("answer") });
});

test("zmtp 45: an unknown peer is false, or an error when mandatory", async () => {
  await using lax = zmtp().router();
  await using strict = zmtp().router({ mandatory: true });
  assert.equal(lax.send([bytes("nobody"), bytes("x")]), false);
  assert.throws(() => strict.send([bytes("nobody"), bytes("x")]), hasCode("host-unreachable"));
  assert.throws(() => strict.send([bytes("no"), bytes("x")]), /no peer has the identity 0x6e6f; wait/);
});

test("zmtp 45: a peer that left is unknown", async () => {
  const states = new States();
  await using router = zmtp().router({ onConnection: states.listener });
  const peer = await rawConnect(await router.bind("tcp://127.0.0.1:0"));
  await peer.shake("DEALER", 1, "me");
  await states.next("ready");
  peer.socket.end();
  assert.equal(await states.cause("closed"), "disconnected");
  assert.equal(router.send([bytes("me"), bytes("x")]), false);
});

test("zmtp 45: an identity that is taken is refused to the newcomer, and free again after the first left", async () => {
  const states = new States();
  await using router = zmtp().router({ onConnection: states.listener });
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const first = await rawConnect(endpoint);
  await first.shake("DEALER", 1, "me");
  await states.next("ready");
  const second = await rawConnect(endpoint);
  await second.write(greeting(), ready("DEALER", "me"));
  const { cause } = await states.next("closed");
  assert.match(cause?.message ?? "", /identity 0x6d65 belongs to another peer/);
  await second.readToEnd();
  assert.equal(router.send([bytes("me"), bytes("still")]), true);
  assert.deepEqual(await first.readMessage(), [Buffer.from("still")]);
  first.socket.end();
  await states.next("closed");
  await (await rawConnect(endpoint)).shake("DEALER", 1, "me");
  assert.equal((await states.next("ready")).connectionId, 3);
});

test("zmtp 45: an identity that begins with 0 is refused, for it could be a generated one", async () => {
  const states = new States();
  await using router = zmtp().router({ onConnection: states.listener });
  const peer = await rawConnect(await router.bind("tcp://127.0.0.1:0"));
  await peer.write(greeting(), ready("DEALER", "\0abcd"));
  assert.equal(await states.cause("closed"), "protocol");
});

test("zmtp 45: a router's send is false at the peer's high-water mark", async () => {
  const states = new States();
  await using router = zmtp({ lingerMs: 0 }).router({ onConnection: states.listener, sendHighWaterMark: 5 });
  const peer = await rawConnect(await router.bind("tcp://127.0.0.1:0"));
  await peer.shake("DEALER", 1, "me");
  await states.next("ready");
  peer.socket.pause();
  const results = Array.from({ length: 400 }, () => router.send([bytes("me"), Buffer.alloc(100_000)]));
  assert.equal(results[0], true);
  assert.equal(results.at(-1), false);
});

test("zmtp 46: a dealer queues until its peer's READY, and then sends exactly these bytes", async () => {
  await using server = await RawServer.start();
  await using dealer = zmtp().dealer();
  const seq = Buffer.from("000000000000002a", "hex");
  dealer.send([bytes(""), seq]);
  dealer.connect(server.endpoint);
  const peer = await server.accept();
  await peer.write(greeting());
  await peer.read(64);
  const { name, data } = await peer.readCommand();
  assert.equal(name, "READY");
  assert.equal(text(data), text(ready("DEALER", "")).slice(8));
  seq.fill(0);
  await peer.write(ready("ROUTER"));
  assert.equal((await peer.read(12)).toString("hex"), "01000008000000000000002a");
});

test("zmtp 46: a dealer without a peer throws when its queue is full", async () => {
  await using dealer = zmtp().dealer({ sendHighWaterMark: 2 });
  dealer.send([bytes("1")]);
  dealer.send([bytes("2")]);
  assert.throws(() => dealer.send([bytes("3")]), hasCode("high-water-mark"));
  await using small = zmtp().dealer({ sendHighWaterMarkBytes: 10 });
  small.send([Buffer.alloc(100)]);
  assert.throws(() => small.send([bytes("")]), hasCode("high-water-mark"));
});

test("zmtp 46: a dealer with a peer that does not read throws when that queue is full", async () => {
  const states = new States();
  await using server = await RawServer.start();
  await using dealer = zmtp({ lingerMs: 0 }).dealer({ sendHighWaterMark: 2, onConnection: states.listener });
  dealer.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("ROUTER");
  await states.next("ready");
  peer.socket.pause();
  assert.throws(() => {
    for (let i = 0; i < 200; i += 1) dealer.send([Buffer.alloc(1_000_000)]);
  }, hasCode("high-water-mark"));
});

test("zmtp 46: several ready peers are sent to in turn", async () => {
  const states = new States();
  await using one = await RawServer.start();
  await using two = await RawServer.start();
  await using dealer = zmtp().dealer({ onConnection: states.listener });
  const peers = [];
  for (const server of [one, two]) {
    dealer.connect(server.endpoint);
    const peer = await server.accept();
    await peer.shake("ROUTER");
    await states.next("ready");
    peers.push(peer);
  }
  for (const name of ["a", "b", "c", "d"]) dealer.send([bytes(name)]);
  const received = [];
  for (const peer of peers) received.push([text((await peer.readMessage())[0]), text((await peer.readMessage())[0])]);
  assert.deepEqual(received, [
    ["a", "c"],
    ["b", "d"],
  ]);
});

test("zmtp 47: a subscriber binds and publishers connect out to it, before it subscribes or after", async () => {
  let subscribed = 0;
  const all = deferred();
  await using sub = zmtp().subscriber();
  sub.subscribe("kv");
  const endpoint = await sub.bind("tcp://127.0.0.1:0");
  const pubs = ["a", "b"].map((name) => {
    const pub = zmtp().publisher({
      onSubscription: () => {
        subscribed += 1;
        if (subscribed === 4) all.resolve();
      },
    });
    pub.connect(endpoint);
    return { name, pub };
  });
  sub.subscribe("other");
  await all.promise;
  for (const { name, pub } of pubs) pub.send([bytes("kv"), bytes(name)]);
  assert.deepEqual(texts(await take(sub, 2)).sort(), [
    ["kv", "a"],
    ["kv", "b"],
  ]);
  await Promise.all(pubs.map(({ pub }) => pub.close()));
});

test("zmtp 47: ipc carries messages, and its file goes with the socket", async () => {
  const folder = await mkdtemp(join(tmpdir(), "zmtp-"));
  try {
    const path = join(folder, "engine.sock");
    const router = zmtp().router();
    assert.equal(await router.bind(`ipc://${path}`), `ipc://${path}`);
    await using dealer = zmtp().dealer();
    dealer.connect(`ipc://${path}`);
    dealer.send([bytes("over a file")]);
    assert.equal(text((await take(router, 1))[0]?.[1]), "over a file");
    await router.close();
    assert.equal(existsSync(path), false);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("zmtp 47: an ipc file that a dead process left is replaced, a live one's is not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "zmtp-"));
  try {
    const path = join(folder, "engine.sock");
    // Renaming the file of a live server keeps its close from removing it: what is left is nobody's.
    const other = createServer().listen(`${path}.tmp`);
    await new Promise((resolve) => other.once("listening", resolve));
    await (await import("node:fs/promises")).rename(`${path}.tmp`, path);
    await new Promise((resolve) => other.close(resolve));
    assert.equal(existsSync(path), true);
    await using pub = zmtp().publisher();
    await pub.bind(`ipc://${path}`);
    await using second = zmtp().publisher();
    await assert.rejects(second.bind(`ipc://${path}`), hasCode("address-in-use"));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("zmtp 47: ipc://* takes a free path", async () => {
  await using one = zmtp().publisher();
  await using two = zmtp().publisher();
  const endpoints = [await one.bind("ipc://*"), await two.bind("ipc://*")];
  assert.notEqual(endpoints[0], endpoints[1]);
});

const hasIPv6 = Object.values(networkInterfaces()).some((each) => each?.some(({ family }) => family === "IPv6"));
test("zmtp 48: an IPv6 literal and a host name connect", { skip: hasIPv6 ? false : "no IPv6 here" }, async () => {
  for (const [bound, connected] of [
    ["tcp://[::1]:0", "tcp://[::1]"],
    ["tcp://127.0.0.1:0", "tcp://localhost"],
    ["tcp://*:0", "tcp://[::1]"],
    ["tcp://*:0", "tcp://127.0.0.1"],
  ] as const) {
    await using router = zmtp().router();
    const endpoint = await router.bind(bound);
    await using dealer = zmtp().dealer();
    dealer.connect(connected + endpoint.slice(endpoint.lastIndexOf(":")));
    dealer.send([bytes("hello")]);
    assert.equal(text((await take(router, 1))[0]?.[1]), "hello");
  }
});

test("zmtp 48: a wildcard is bound to an endpoint that can be connected to", async () => {
  await using pub = zmtp().publisher();
  assert.match(await pub.bind("tcp://*:*"), /^tcp:\/\/127\.0\.0\.1:\d+$/);
  assert.match(await pub.bind("tcp://0.0.0.0:0"), /^tcp:\/\/127\.0\.0\.1:\d+$/);
  await using sub = zmtp().subscriber();
  assert.throws(() => sub.connect("tcp://127.0.0.1:0"), hasCode("invalid-endpoint"));
  assert.throws(() => sub.connect("udp://127.0.0.1:5557"), hasCode("unsupported"));
  await assert.rejects(sub.bind("tcp://127.0.0.1"), hasCode("invalid-endpoint"));
});

test("a port that is taken, or an address of another machine, cannot be bound", async () => {
  await using one = zmtp().publisher();
  await using two = zmtp().publisher();
  const endpoint = await one.bind("tcp://127.0.0.1:0");
  await assert.rejects(two.bind(endpoint), hasCode("address-in-use"));
  await assert.rejects(two.bind("tcp://192.0.2.1:0"), hasCode("invalid-endpoint"));
  await two.bind("tcp://127.0.0.1:0");
});

test("an aborted bind rejects with the reason and binds nothing", async () => {
  await using pub = zmtp().publisher();
  const reason = new Error("changed my mind");
  await assert.rejects(pub.bind("tcp://127.0.0.1:0", { signal: AbortSignal.abort(reason) }), reason);
  const during = new AbortController();
  const binding = pub.bind("tcp://localhost:0", { signal: during.signal });
  during.abort(reason);
  await assert.rejects(binding, reason);
});

test("closing while a bind is under way rejects it as closed", async () => {
  const pub = zmtp().publisher();
  const binding = pub.bind("tcp://127.0.0.1:0");
  const closing = pub.close();
  await assert.rejects(binding, hasCode("closed"));
  await closing;
});

test("zmtp 49: the life of a connection, told from both sides", async () => {
  const clock = new ManualClock();
  const dialled = new States();
  const accepted = new States();
  const pub = zmtp({ clock }).publisher({ onConnection: accepted.listener });
  const endpoint = await pub.bind("tcp://127.0.0.1:0");
  const sub = zmtp({ clock, random: () => 0 }).subscriber({ onConnection: dialled.listener });
  sub.connect(endpoint);
  await Promise.all([dialled.next("ready"), accepted.next("ready")]);
  await pub.close();
  assert.equal((await dialled.next("waiting")).retryInMs, 50);
  clock.advance(50);
  await dialled.next("waiting");
  await sub.close();
  assert.deepEqual(
    dialled.seen.map(({ state }) => ("cause" in state ? `${state.status}: ${state.cause?.code}` : state)),
    [
      { status: "connecting", attempt: 1 },
      { status: "handshaking" },
      { status: "ready", connectionId: 1 },
      "waiting: disconnected",
      { status: "connecting", attempt: 2 },
      "waiting: refused",
      { status: "closed" },
    ],
  );
  assert.ok(dialled.seen.every((each) => each.endpoint === endpoint));
  assert.deepEqual(accepted.statuses, ["handshaking", "ready", "closed"]);
  assert.match(accepted.seen[0]!.endpoint, /^tcp:\/\/127\.0\.0\.1:\d+$/);
  assert.notEqual(accepted.seen[0]!.endpoint, endpoint);
});

test("zmtp 49: a peer that resets the connection disconnected", async () => {
  const states = new States();
  await using server = await RawServer.start();
  await using sub = zmtp().subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB");
  await states.next("ready");
  peer.socket.resetAndDestroy();
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "disconnected");
  assert.match(cause.message, /the connection broke \(ECONNRESET\)/);
});

test("a subscription that ends with its peer is reported as cancelled", async () => {
  const seen: string[] = [];
  const states = new States();
  await using pub = zmtp().publisher({
    onConnection: states.listener,
    onSubscription: (topic, on) => seen.push(`${on ? "+" : "-"}${text(topic)}`),
  });
  const peer = await rawConnect(await pub.bind("tcp://127.0.0.1:0"));
  await peer.shake("SUB");
  await peer.write(message(bytes("\x01kv")));
  peer.socket.end();
  await states.next("closed");
  assert.deepEqual(seen, ["+kv", "-kv"]);
});

test("a listener that throws does not tear the transport's state", async () => {
  const uncaught: unknown[] = [];
  const fault = new Error("the listener's own");
  const listener = (error: unknown): void => void uncaught.push(error);
  const others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException").on("uncaughtException", listener);
  try {
    await using server = await RawServer.start();
    await using sub = zmtp().subscriber({
      onConnection: (_endpoint, { status }) => {
        if (status === "ready") throw fault;
      },
    });
    sub.subscribe("");
    sub.connect(server.endpoint);
    const peer = await server.accept();
    await peer.shake("PUB");
    await peer.write(message(bytes("goes on")));
    assert.deepEqual(texts(await take(sub, 1)), [["goes on"]]);
    assert.deepEqual(uncaught, [fault]);
  } finally {
    process.off("uncaughtException", listener);
    for (const other of others) process.on("uncaughtException", other);
  }
});

test("every call on a closed socket says so, but disconnect and close", async () => {
  const transport = zmtp();
  const [sub, pub, dealer, router] = [
    transport.subscriber(),
    transport.publisher(),
    transport.dealer(),
    transport.router(),
  ];
  for (const socket of [sub, pub, dealer, router]) {
    await socket.close();
    await socket.close();
    await socket[Symbol.asyncDispose]();
    socket.disconnect("tcp://127.0.0.1:1");
    assert.throws(() => socket.connect("tcp://127.0.0.1:1"), hasCode("closed"));
    await assert.rejects(socket.bind("tcp://127.0.0.1:0"), hasCode("closed"));
  }
  for (const call of [
    () => sub.subscribe(""),
    () => sub.unsubscribe(""),
    () => pub.send([bytes("x")]),
    () => dealer.send([bytes("x")]),
    () => router.send([bytes("x"), bytes("y")]),
  ]) {
    assert.throws(call, hasCode("closed"));
  }
  for await (const _ of sub.receive()) assert.fail("a closed socket received");
});

test("a message without frames is refused, with or without a peer", async () => {
  await using pub = zmtp().publisher();
  await using dealer = zmtp().dealer();
  assert.throws(() => pub.send([]), hasCode("unsupported"));
  assert.throws(() => dealer.send([]), hasCode("unsupported"));
});
