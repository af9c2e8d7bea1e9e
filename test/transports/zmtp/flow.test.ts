import assert from "node:assert/strict";
import { test } from "node:test";
import { zmtp } from "../../../transports/zmtp/index.ts";
import {
  bytes,
  command,
  deferred,
  message,
  type RawPeer,
  RawServer,
  rawConnect,
  States,
  take,
  text,
  turn,
} from "./support.ts";

const numbered = (i: number, size = 0): Buffer => message(bytes("kv"), bytes(`${i}`), Buffer.alloc(size));

test("zmtp 40: a subscriber that nobody reads holds no more than its mark, and TCP holds the publisher back", async () => {
  const subscribed = deferred();
  await using pub = zmtp().publisher({ sendHighWaterMark: 10, onSubscription: () => subscribed.resolve() });
  const endpoint = await pub.bind("tcp://127.0.0.1:0");
  await using sub = zmtp().subscriber({ receiveHighWaterMarkBytes: 1_000_000 });
  sub.subscribe("");
  sub.connect(endpoint);
  await subscribed.promise;
  const payload = Buffer.alloc(50_000);
  const sent = 2_000;
  for (let i = 0; i < sent; i += 1) {
    pub.send([bytes(`${i}`), payload]);
    await turn();
  }
  await pub.close();
  let received = 0;
  const states = new States();
  await using again = zmtp().publisher({ onConnection: states.listener });
  await again.bind(endpoint);
  const iterator = sub.receive()[Symbol.asyncIterator]();
  const first = await iterator.next();
  received += first.value?.messages.length ?? 0;
  // What the kernel held comes after; a new publisher's connection is refused no place, so wait for its arrival.
  const ended = states.next("ready").then(() => null);
  for (;;) {
    const result = await Promise.race([iterator.next(), ended]);
    if (result === null) break;
    received += result.value?.messages.length ?? 0;
  }
  // 100 MB were sent. The mark is 1 MB, and the kernel's buffers on loopback end at about 10 MB.
  assert.ok(received > 20 && received < 600, `${received} of ${sent}`);
});

test("zmtp 41: pausing and resuming loses and reorders nothing", async () => {
  await using server = await RawServer.start();
  await using sub = zmtp().subscriber({ receiveHighWaterMark: 10 });
  sub.subscribe("");
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB");
  const count = 20_000;
  void peer.write(...Array.from({ length: count }, (_, i) => numbered(i, i % 700)));
  let expected = 0;
  for await (const { messages } of sub.receive()) {
    for (const frames of messages) {
      assert.equal(Number(text(frames[1])), expected);
      assert.equal(frames[2]?.length, expected % 700);
      expected += 1;
    }
    if (expected === count) break;
    await turn();
  }
});

test("zmtp 42: at its high-water mark a slow peer alone loses messages, and whole ones", async () => {
  const ready = new States();
  let subscriptions = 0;
  const both = deferred();
  await using pub = zmtp().publisher({
    sendHighWaterMark: 20,
    onConnection: ready.listener,
    onSubscription: (_topic, on) => {
      subscriptions += on ? 1 : 0;
      if (subscriptions === 2) both.resolve();
    },
  });
  const endpoint = await pub.bind("tcp://127.0.0.1:0");
  const slow = await rawConnect(endpoint);
  await slow.shake("SUB");
  await slow.write(command("SUBSCRIBE"));
  slow.socket.pause();
  await using keen = zmtp().subscriber();
  keen.subscribe("");
  keen.connect(endpoint);
  await both.promise;
  const count = 1_000;
  for (let i = 0; i < count; i += 10) {
    for (let j = i; j < i + 10; j += 1) pub.send([bytes("kv"), bytes(`${j}`), Buffer.alloc(30_000, j)]);
    const received = await take(keen, 10);
    assert.deepEqual(
      received.map((frames) => Number(text(frames[1]))),
      Array.from({ length: 10 }, (_, j) => i + j),
    );
  }
  slow.socket.resume();
  const got: number[] = [];
  pub.send([bytes("end")]);
  for (;;) {
    const frames = await slow.readMessage();
    if (text(frames[0]) === "end") break;
    got.push(Number(text(frames[1])));
    assert.deepEqual(frames[2], Buffer.alloc(30_000, got.at(-1)));
    // The end marker is dropped like any other while the queue is full.
    pub.send([bytes("end")]);
  }
  assert.ok(got.length > 20 && got.length < count, `${got.length}`);
  assert.deepEqual(
    got,
    [...got].sort((a, b) => a - b),
  );
});

test("zmtp 43: no publisher starves another, however small the mark", async () => {
  await using a = await RawServer.start();
  await using b = await RawServer.start();
  await using c = await RawServer.start();
  await using sub = zmtp().subscriber({ receiveHighWaterMark: 1 });
  sub.subscribe("");
  const peers: RawPeer[] = [];
  for (const server of [a, b, c]) {
    sub.connect(server.endpoint);
    const peer = await server.accept();
    await peer.shake("PUB");
    await peer.readCommand();
    peers.push(peer);
  }
  for (const [i, peer] of peers.entries()) {
    void peer.write(...Array.from({ length: 20_000 }, () => message(bytes(`${i}`), Buffer.alloc(1_000))));
  }
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
});

test("what was sent before a close arrives, though the peer never stops sending", async () => {
  const states = new States();
  const router = zmtp({ lingerMs: 5_000 }).router({ onConnection: states.listener });
  const peer = await rawConnect(await router.bind("tcp://127.0.0.1:0"));
  await peer.shake("DEALER", 1, "me");
  await states.next("ready");
  void peer.write(Buffer.alloc(5_000_000, message(Buffer.alloc(98))));
  for (let i = 0; i < 1_000; i += 1) assert.equal(router.send([bytes("me"), numbered(i, 2_000)]), true);
  const closed = router.close();
  for (let i = 0; i < 1_000; i += 1) assert.deepEqual(await peer.readMessage(), [numbered(i, 2_000)]);
  peer.socket.end();
  await closed;
});

test("a peer that does not read holds a close up for lingerMs and no longer", async () => {
  const states = new States();
  const router = zmtp({ lingerMs: 20 }).router({ onConnection: states.listener });
  const peer = await rawConnect(await router.bind("tcp://127.0.0.1:0"));
  await peer.shake("DEALER", 1, "me");
  await states.next("ready");
  peer.socket.pause();
  for (let i = 0; i < 200; i += 1) router.send([bytes("me"), Buffer.alloc(100_000)]);
  await router.close();
  peer.socket.destroy();
});
