import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MessageBatch } from "../../../src/transport.ts";
import { parseEndpoint } from "../../../transports/memory/endpoint.ts";
import { memory, memoryNetwork } from "../../../transports/memory/index.ts";
import { Topics } from "../../../transports/memory/topics.ts";
import { bytes, readerOf, text } from "../../support/messages.ts";
import { stateLog } from "../../support/state-log.ts";
import { settled, virtualClock } from "../../support/virtual-clock.ts";
import { numbers, sendNumbers, stream, virtualMemory } from "./support.ts";

const hasCode = (code: string) => (error: unknown) => (error as { code?: string }).code === code;

test("transports are networks of their own, unless they share one", async () => {
  const network = memoryNetwork({ clock: virtualClock() });
  const [one, two, other] = [memory({ network }), memory({ network }), memory({ clock: virtualClock() })];
  assert.equal(one.network, network);
  assert.equal(one.faults, two.faults);
  const router = one.router();
  await router.bind("tcp://127.0.0.1:5558");
  await other.router().bind("tcp://127.0.0.1:5558");
  await assert.rejects(two.router().bind("tcp://127.0.0.1:5558"), hasCode("address-in-use"));
  const dealer = two.dealer();
  dealer.connect("tcp://localhost:5558");
  dealer.send([bytes("hello")]);
  assert.equal(text((await readerOf(router).next()).message[1]), "hello");
});

test("a shared network has a clock and randomness already, and a foreign one is none", () => {
  const network = memoryNetwork();
  assert.throws(() => memory({ network, random: Math.random }), hasCode("invalid-option"));
  assert.throws(() => memory({ network: { faults: network.faults } }), hasCode("invalid-option"));
});

test("options are checked", () => {
  assert.throws(() => memory({ lingerMs: -1 }), /lingerMs is -1; it has to be a whole number from 0/);
  assert.throws(() => memory({ reconnectMinMs: 100, reconnectMaxMs: 10 }), hasCode("invalid-option"));
  assert.throws(() => memory().dealer({ sendHighWaterMark: 0 }), hasCode("invalid-option"));
});

test("a port on every host is reached by any, and keeps it from others", async () => {
  for (const wildcard of ["tcp://*:5557", "tcp://0.0.0.0:5557", "tcp://[::]:5557"]) {
    const transport = memory({ clock: virtualClock() });
    const router = transport.router();
    assert.equal(await router.bind(wildcard), "tcp://127.0.0.1:5557");
    const reader = readerOf(router);
    for (const host of ["127.0.0.1", "localhost", "[::1]", "10.9.8.7", "Engine-0.pods"]) {
      const dealer = transport.dealer();
      dealer.connect(`tcp://${host}:5557`);
      dealer.send([bytes(host)]);
      assert.equal(text((await reader.next()).message[1]), host);
    }
    await assert.rejects(transport.router().bind("tcp://10.9.8.7:5557"), hasCode("address-in-use"));
  }
  const transport = memory({ clock: virtualClock() });
  await transport.router().bind("tcp://10.9.8.7:5557");
  await transport.router().bind("tcp://10.9.8.8:5557");
  await assert.rejects(transport.router().bind("tcp://*:5557"), hasCode("address-in-use"));
  await assert.rejects(transport.router().bind("tcp://*:5557"), /somebody else is bound there/);
});

test("free endpoints are the same at every run, and never taken ones", async () => {
  const transport = memory({ clock: virtualClock() });
  const bound: string[] = [];
  for (const endpoint of ["tcp://*:0", "tcp://h:49153", "tcp://h:0", "tcp://[::1]:*", "inproc://*", "ws://*"]) {
    bound.push(await transport.router().bind(endpoint));
  }
  assert.deepEqual(bound, [
    "tcp://127.0.0.1:49152",
    "tcp://h:49153",
    "tcp://h:49154",
    "tcp://127.0.0.1:49155",
    "inproc://free-1",
    "ws://free-2",
  ]);
});

test("endpoints that nobody could mean are refused", () => {
  for (const text of [
    "",
    "x",
    "://x",
    "tcp://h",
    "tcp://:1",
    "tcp://h:65536",
    "tcp://h:x",
    "tcp://::1:5",
    "inproc://",
  ]) {
    assert.throws(() => parseEndpoint(text, "bind"), hasCode("invalid-endpoint"), text);
  }
  for (const text of ["tcp://*:5557", "tcp://h:0", "tcp://[::]:5", "inproc://*"]) {
    assert.throws(() => parseEndpoint(text, "connect"), hasCode("invalid-endpoint"), text);
  }
});

test("who is refused tries again after a delay that doubles, with jitter, to its longest", async () => {
  const network = virtualMemory({ reconnectMinMs: 10, reconnectMaxMs: 50 });
  const delays: number[] = [];
  const sockets = Array.from({ length: 200 }, () =>
    network.transport.dealer({
      onConnection: (_endpoint, state) => {
        if (state.status === "waiting") delays.push(state.retryInMs / Math.min(50, 10 * 2 ** (state.attempt - 2)));
      },
    }),
  );
  for (const socket of sockets) socket.connect("tcp://nobody:1");
  await network.clock.advance(200);
  assert.ok(delays.length > 1_000);
  assert.ok(delays.every((share) => share >= 0.5 && share < 1));
  assert.ok(new Set(delays).size > 900);
  await Promise.all(sockets.map((socket) => socket.close()));
  assert.equal(network.clock.pending, 0);
});

test("closing waits for a slow reader no longer than lingerMs, and 0 does not wait", async () => {
  for (const [lingerMs, expected] of [
    [200, 200],
    [0, 0],
  ] as const) {
    const network = virtualMemory({ lingerMs });
    const { transport, clock } = network;
    const router = transport.router({ receiveHighWaterMark: 1 });
    const dealer = transport.dealer();
    dealer.connect(await router.bind("inproc://*"));
    await settled();
    sendNumbers(dealer, 10);
    await settled();
    await clock.run(dealer.close());
    assert.equal(clock.now(), expected);
    assert.equal(clock.pending, 0);
    await router.close();
  }
});

test("what lingers is cut short by the peer's own end", async () => {
  const { transport, clock } = virtualMemory();
  const router = transport.router({ receiveHighWaterMark: 1 });
  const dealer = transport.dealer();
  dealer.connect(await router.bind("inproc://*"));
  await settled();
  sendNumbers(dealer, 10);
  const closing = dealer.close();
  await router.close();
  await closing;
  assert.equal(clock.now(), 0);
  assert.equal(clock.pending, 0);
});

test("a reader that takes its time is sent just what its marks allow", async () => {
  const { transport } = virtualMemory();
  const router = transport.router({ receiveHighWaterMark: 10 });
  const dealer = transport.dealer({ sendHighWaterMark: 5 });
  dealer.connect(await router.bind("inproc://*"));
  await settled();
  let sent = 0;
  for (let i = 0; i < 100; i += 1) {
    try {
      dealer.send([bytes(`${i}`)]);
      sent += 1;
    } catch (error) {
      assert.ok(hasCode("high-water-mark")(error));
    }
    await settled();
  }
  assert.equal(sent, 15);
});

test("messages that were sent in one go come in batches, and many connections take turns", async () => {
  const network = virtualMemory();
  const { transport } = network;
  const publishers = [transport.publisher(), transport.publisher()];
  const subscriber = transport.subscriber();
  subscriber.subscribe("");
  for (const publisher of publishers) subscriber.connect(await publisher.bind("inproc://*"));
  await settled();
  for (const publisher of publishers) sendNumbers(publisher, 1_000);
  const batches: MessageBatch[] = [];
  void (async () => {
    for await (const batch of subscriber.receive()) batches.push(batch);
  })();
  await settled();
  assert.ok(batches.length < 20, `${batches.length} batches`);
  assert.equal(
    batches.reduce((sum, { messages }) => sum + messages.length, 0),
    2_000,
  );
  assert.deepEqual([...new Set(batches.slice(0, 2).map(({ connectionId }) => connectionId))].sort(), [1, 2]);
});

test("a second consumer is told that there is one", async () => {
  const subscriber = memory().subscriber();
  const first = subscriber.receive()[Symbol.asyncIterator]();
  const waiting = first.next();
  await assert.rejects(subscriber.receive()[Symbol.asyncIterator]().next(), hasCode("unsupported"));
  await first.return?.();
  assert.equal((await waiting).done, true);
});

test("a message needs a frame, and a router's one behind the identity", async () => {
  const transport = memory();
  assert.throws(() => transport.publisher().send([]), hasCode("unsupported"));
  assert.throws(() => transport.dealer().send([]), hasCode("unsupported"));
  assert.throws(() => transport.router().send([bytes("identity")]), hasCode("unsupported"));
});

test("disconnecting in a listener, at any state, closes once and leaves nothing", async () => {
  for (const at of ["connecting", "handshaking", "ready", "waiting"] as const) {
    const network = virtualMemory();
    const log = stateLog();
    const router = network.transport.router();
    if (at !== "waiting") await router.bind("inproc://r");
    const dealer = network.transport.dealer({
      onConnection: (endpoint, state) => {
        log.listener(endpoint, state);
        if (state.status === at) dealer.disconnect(endpoint);
      },
    });
    dealer.connect("inproc://r");
    await settled();
    assert.equal(log.statuses.filter((status) => status === "closed").length, 1, at);
    assert.equal(log.statuses.at(-1), "closed");
    await Promise.all([dealer.close(), router.close()]);
    assert.equal(network.clock.pending, 0);
  }
});

test("a listener that throws tears nothing", async () => {
  const uncaught: unknown[] = [];
  const others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException").on("uncaughtException", (error) => uncaught.push(error));
  try {
    const fault = new Error("the listener's own");
    const network = virtualMemory();
    const { publisher, received } = await stream(network, "inproc://x", (_endpoint, { status }) => {
      if (status === "ready") throw fault;
    });
    sendNumbers(publisher, 3);
    await settled();
    assert.deepEqual(received, numbers(3));
    assert.deepEqual(uncaught, [fault]);
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const other of others) process.on("uncaughtException", other);
  }
});

test("what was under way when a subscription ended is not delivered", async () => {
  const network = virtualMemory();
  const { publisher, subscriber, received } = await stream(network);
  network.transport.faults.set({ latencyMs: 5 });
  sendNumbers(publisher, 3);
  subscriber.unsubscribe("");
  subscriber.subscribe("1");
  await network.clock.advance(10);
  assert.deepEqual(received, ["1"]);
});

test("topics match as a list of counted prefixes would", () => {
  const topic = fc.uint8Array({ maxLength: 3, max: 2 });
  const step = fc.record({ add: fc.boolean(), topic });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(topic), (steps, frames) => {
      const topics = new Topics();
      const model = new Map<string, number>();
      for (const { add, topic } of steps) {
        const key = topic.join();
        const count = model.get(key) ?? 0;
        assert.equal(add ? topics.add(topic) : topics.remove(topic), add ? count === 0 : count === 1);
        if (add) model.set(key, count + 1);
        else if (count > 1) model.set(key, count - 1);
        else model.delete(key);
      }
      assert.deepEqual(
        topics
          .list()
          .map((each) => each.join())
          .sort(),
        [...model.keys()].sort(),
      );
      for (const frame of frames) {
        const expected = [...model.keys()].some((key) => `${frame.join()},`.startsWith(key === "" ? "" : `${key},`));
        assert.equal(topics.matches(frame), expected);
      }
    }),
  );
});
