import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../../src/transport.ts";
import { bytes, text } from "../../support/messages.ts";
import { settled } from "../../support/virtual-clock.ts";
import { inboxOf, numbers, sendNumbers, stream, virtualMemory } from "./support.ts";

const hasCode = (code: string) => (error: unknown) => (error as { code?: string }).code === code;

test("without faults what is sent arrives, and no time passes", async () => {
  const network = virtualMemory();
  const { publisher, received } = await stream(network);
  sendNumbers(publisher, 1_000);
  await settled();
  assert.deepEqual(received, numbers(1_000));
  assert.equal(network.clock.now(), 0);
  assert.equal(network.clock.pending, 0);
});

test("latency delays messages, and keeps their order when it varies", async () => {
  const network = virtualMemory();
  const { publisher, received } = await stream(network);
  network.transport.faults.set({ latencyMs: 10 });
  sendNumbers(publisher, 2);
  await network.clock.advance(9);
  assert.deepEqual(received, []);
  await network.clock.advance(1);
  assert.deepEqual(received, ["0", "1"]);
  network.transport.faults.set({ latencyMs: [5, 50] });
  sendNumbers(publisher, 100, 2);
  await network.clock.advance(4);
  assert.equal(received.length, 2);
  await network.clock.advance(46);
  assert.deepEqual(received, numbers(102));
});

test("latency holds for connecting and for subscribing", async () => {
  const network = virtualMemory();
  network.transport.faults.set({ latencyMs: 10 });
  const seen: string[] = [];
  const publisher = network.transport.publisher({
    onSubscription: () => seen.push(`subscribed at ${network.clock.now()}`),
  });
  await publisher.bind("inproc://engine");
  const subscriber = network.transport.subscriber({
    onConnection: (_endpoint, { status }) => seen.push(`${status} at ${network.clock.now()}`),
  });
  subscriber.subscribe("");
  subscriber.connect("inproc://engine");
  await network.clock.advance(100);
  assert.deepEqual(seen, ["connecting at 0", "handshaking at 10", "ready at 20", "subscribed at 30"]);
});

test("a share of messages is dropped by probability, none at 0 and all at 1", async () => {
  const network = virtualMemory();
  const { publisher, received } = await stream(network);
  network.transport.faults.set({ drop: 0.25 });
  sendNumbers(publisher, 10_000);
  await settled();
  assert.ok(received.length > 7_300 && received.length < 7_700, `${received.length}`);
  assert.deepEqual(
    received,
    received.slice().sort((a, b) => Number(a) - Number(b)),
  );
  received.length = 0;
  network.transport.faults.set({ drop: 1 });
  sendNumbers(publisher, 100);
  network.transport.faults.set({ drop: 0 });
  sendNumbers(publisher, 5, 100);
  await settled();
  assert.deepEqual(received, numbers(5, 100));
});

test("a predicate drops what it is true of, and sees the frames without a router's identity", async () => {
  const { transport } = virtualMemory();
  const seen: string[][] = [];
  const drop = (frames: Message): boolean => {
    seen.push(frames.map(text));
    return text(frames[0]) === "b";
  };
  transport.faults.set({ drop }, { from: "router" });
  const router = transport.router();
  const dealer = transport.dealer();
  dealer.connect(await router.bind("inproc://*"));
  dealer.send([bytes("hello")]);
  const { value } = await router.receive()[Symbol.asyncIterator]().next();
  const identity = value.messages[0][0];
  const received = inboxOf(dealer);
  for (const name of ["a", "b", "c"]) assert.equal(router.send([identity, bytes(name)]), true);
  await settled();
  assert.deepEqual(seen, [["a"], ["b"], ["c"]]);
  assert.deepEqual(received, ["a", "c"]);
});

test("the next so many messages are dropped, of those in the scope", async () => {
  const network = virtualMemory();
  const a = await stream(network, "tcp://10.0.0.1:5557");
  const b = await stream(network, "tcp://10.0.0.2:5557");
  network.transport.faults.dropNext(3, { endpoint: b.endpoint });
  network.transport.faults.dropNext(1, { from: "router" });
  for (const { publisher } of [a, b]) sendNumbers(publisher, 5);
  await settled();
  assert.deepEqual(a.received, numbers(5));
  assert.deepEqual(b.received, ["3", "4"]);
});

test("a duplicate follows its original, with memory of its own", async () => {
  const network = virtualMemory();
  const { publisher, subscriber } = await stream(network);
  await subscriber.close();
  network.transport.faults.set({ duplicate: 1 });
  const second = network.transport.subscriber();
  second.subscribe("");
  second.connect("tcp://10.0.0.1:5557");
  await settled();
  sendNumbers(publisher, 2);
  const { value } = await second.receive()[Symbol.asyncIterator]().next();
  assert.deepEqual(
    value.messages.map(([frame]: Message) => text(frame)),
    ["0", "0", "1", "1"],
  );
  assert.notEqual(value.messages[0][0].buffer, value.messages[1][0].buffer);
});

test("reordering lets messages overtake those under way, by no more than the window, and loses none", async () => {
  const network = virtualMemory();
  const { publisher, received } = await stream(network);
  network.transport.faults.set({ reorder: { probability: 0.3, window: 4 } });
  sendNumbers(publisher, 500);
  await settled();
  assert.deepEqual(received.slice().sort(), numbers(500).sort());
  assert.notDeepEqual(received, numbers(500));
  const ahead = received.map((name, i) => Number(name) - i);
  assert.ok(Math.max(...ahead) <= 4, `${Math.max(...ahead)}`);
});

test("a high-water mark takes the place of the socket's own", async () => {
  const network = virtualMemory();
  const { publisher, received } = await stream(network);
  network.transport.faults.set({ sendHighWaterMark: 3 }, { from: "publisher" });
  sendNumbers(publisher, 10);
  await settled();
  assert.deepEqual(received, numbers(3));
  const dealer = network.transport.dealer();
  const router = network.transport.router();
  dealer.connect(await router.bind("inproc://*"));
  await settled();
  network.transport.faults.set({ sendHighWaterMark: 1 });
  dealer.send([bytes("fits")]);
  assert.throws(() => dealer.send([bytes("does not")]), hasCode("high-water-mark"));
});

test("the most specific scope that names a fault decides", async () => {
  const network = virtualMemory();
  const a = await stream(network, "tcp://10.0.0.1:5557");
  const b = await stream(network, "tcp://10.0.0.2:5557");
  const { faults } = network.transport;
  faults.set({ drop: 0 }, { endpoint: a.endpoint, from: "publisher" });
  faults.set({ drop: 1, latencyMs: 5 }, { endpoint: a.endpoint });
  faults.set({ drop: 1 }, { from: "publisher" });
  faults.set({ drop: 0, latencyMs: 50 });
  for (const { publisher } of [a, b]) sendNumbers(publisher, 3);
  await network.clock.advance(5);
  assert.deepEqual(a.received, numbers(3));
  faults.set({}, { from: "publisher" });
  sendNumbers(b.publisher, 3);
  await network.clock.advance(49);
  assert.deepEqual(b.received, []);
  await network.clock.advance(1);
  assert.deepEqual(b.received, numbers(3));
});

test("a wildcard that is bound is named by every spelling that reaches it", async () => {
  for (const endpoint of ["tcp://*:5557", "tcp://localhost:5557", "tcp://engine:5557"]) {
    const network = virtualMemory();
    const publisher = network.transport.publisher();
    await publisher.bind("tcp://0.0.0.0:5557");
    const subscriber = network.transport.subscriber();
    subscriber.subscribe("");
    subscriber.connect("tcp://engine:5557");
    const received = inboxOf(subscriber);
    await settled();
    network.transport.faults.dropNext(1, { endpoint });
    sendNumbers(publisher, 2);
    await settled();
    assert.deepEqual(received, ["1"], endpoint);
  }
});

test("clear ends all faults", async () => {
  const network = virtualMemory();
  const { publisher, received } = await stream(network);
  network.transport.faults.set({ drop: 1 });
  network.transport.faults.dropNext(100);
  network.transport.faults.clear();
  sendNumbers(publisher, 3);
  await settled();
  assert.deepEqual(received, numbers(3));
});

test("faults that make no sense are refused by name", () => {
  const { faults } = virtualMemory().transport;
  assert.throws(() => faults.set({ drop: 1.1 }), /fault drop is 1.1; it has to be a probability/);
  assert.throws(() => faults.set({ duplicate: Number.NaN }), hasCode("invalid-option"));
  assert.throws(() => faults.set({ latencyMs: -1 }), hasCode("invalid-option"));
  assert.throws(() => faults.set({ latencyMs: [5, 1] }), hasCode("invalid-option"));
  assert.throws(() => faults.set({ reorder: { probability: 0.5, window: 0 } }), hasCode("invalid-option"));
  assert.throws(() => faults.set({ sendHighWaterMark: 0 }), hasCode("invalid-option"));
  assert.throws(() => faults.dropNext(-1), hasCode("invalid-option"));
  assert.throws(() => faults.cut({}, { forMs: -1 }), hasCode("invalid-option"));
  assert.throws(() => faults.set({}, { endpoint: "nonsense" }), hasCode("invalid-endpoint"));
});
