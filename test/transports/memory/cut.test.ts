import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes } from "../../support/messages.ts";
import { stateLog } from "../../support/state-log.ts";
import { settled } from "../../support/virtual-clock.ts";
import { inboxOf, numbers, sendNumbers, stream, virtualMemory } from "./support.ts";

test("a cut breaks the connection on both sides, loses what is under way, and is got over", async () => {
  const network = virtualMemory({ reconnectMinMs: 10 });
  const log = stateLog();
  const { publisher, received, endpoint } = await stream(network, "tcp://10.0.0.1:5557", log.listener);
  network.transport.faults.set({ latencyMs: 5 });
  sendNumbers(publisher, 3);
  await network.clock.advance(5);
  sendNumbers(publisher, 3, 3);
  network.transport.faults.cut({ endpoint });
  const waiting = await log.next("waiting");
  assert.equal(waiting.cause.code, "disconnected");
  assert.ok(waiting.retryInMs >= 5 && waiting.retryInMs <= 10);
  await network.clock.advance(50);
  sendNumbers(publisher, 3, 6);
  await network.clock.advance(5);
  assert.deepEqual(received, [...numbers(3), ...numbers(3, 6)]);
  assert.equal(log.entries.at(-1)?.state.status, "ready");
});

test("a cut from within a send loses that message too", async () => {
  const network = virtualMemory();
  const { publisher, received } = await stream(network);
  network.transport.faults.set({
    drop: ([frame]) => {
      if (String(Buffer.from(frame!)) === "2") network.transport.faults.cut();
      return false;
    },
  });
  sendNumbers(publisher, 2);
  await settled();
  sendNumbers(publisher, 3, 2);
  await network.clock.advance(1_000);
  assert.deepEqual(received, ["0", "1"]);
});

test("a partition is unreachable until it is over", async () => {
  const network = virtualMemory({ reconnectMinMs: 10, reconnectMaxMs: 10 });
  const log = stateLog();
  const { publisher, received, endpoint } = await stream(network, "tcp://10.0.0.1:5557", log.listener);
  network.transport.faults.cut({ endpoint }, { forMs: 100 });
  await network.clock.advance(99);
  sendNumbers(publisher, 1);
  const causes = log.entries.flatMap(({ state }) => (state.status === "waiting" ? [state.cause.code] : []));
  assert.equal(causes[0], "disconnected");
  assert.ok(causes.length > 5);
  assert.deepEqual([...new Set(causes.slice(1))], ["unreachable"]);
  await network.clock.advance(11);
  sendNumbers(publisher, 1, 1);
  await settled();
  assert.deepEqual(received, ["1"]);
});

test("a partition without an end lasts until it is healed", async () => {
  const network = virtualMemory();
  const { publisher, received } = await stream(network);
  network.transport.faults.cut({ from: "subscriber" }, { forMs: Infinity });
  await network.clock.advance(1_000_000);
  sendNumbers(publisher, 1);
  network.transport.faults.heal();
  await network.clock.advance(1_000);
  sendNumbers(publisher, 1, 1);
  await settled();
  assert.deepEqual(received, ["1"]);
});

test("a cut concerns its scope alone: an endpoint, or the connections of a kind of socket", async () => {
  const network = virtualMemory({ reconnectMinMs: 1_000 });
  const a = await stream(network, "tcp://10.0.0.1:5557");
  const b = await stream(network, "tcp://10.0.0.2:5557");
  const router = network.transport.router();
  const dealer = network.transport.dealer();
  dealer.connect(await router.bind("tcp://10.0.0.1:5558"));
  const requests = inboxOf(router);
  await settled();
  network.transport.faults.cut({ endpoint: a.endpoint });
  network.transport.faults.cut({ from: "router" });
  for (const { publisher } of [a, b]) sendNumbers(publisher, 1);
  dealer.send([bytes("queued")]);
  await settled();
  assert.deepEqual([a.received, b.received, requests], [[], ["0"], []]);
  await network.clock.advance(1_000);
  assert.deepEqual(requests, ["queued"]);
});

test("a cut during the handshake is a lost connection", async () => {
  const network = virtualMemory();
  const log = stateLog();
  const router = network.transport.router({ onConnection: log.listener });
  await router.bind("inproc://r");
  network.transport.faults.set({ latencyMs: 5 });
  const states = stateLog();
  const dealer = network.transport.dealer({ onConnection: states.listener });
  dealer.connect("inproc://r");
  await network.clock.advance(5);
  network.transport.faults.cut();
  assert.deepEqual(states.statuses, ["connecting", "handshaking", "waiting"]);
  assert.deepEqual(log.statuses, ["handshaking", "closed"]);
  await dealer.close();
  await router.close();
  assert.equal(network.clock.pending, 0);
});
