import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ConfigurationError } from "../../src/errors.ts";
import { decodeEventBatch } from "../../src/events/decode.ts";
import * as simulator from "../../src/simulator/index.ts";
import type { Simulation, SimulationOptions } from "../../src/simulator/simulation.ts";
import { memory } from "../../transports/memory/index.ts";
import { Fold, heldBy } from "./fold.ts";
import { ManualClock } from "./manual-clock.ts";
import { subscribe, watch } from "./peers.ts";

const WORKLOAD = { conversations: 6, systemPromptTokens: 32, turnTokens: 16, answerTokens: 16, turns: 4 };

async function start(context: TestContext, options: Partial<SimulationOptions> = {}): Promise<Simulation> {
  const simulation = await simulator.startSimulation({
    transport: memory(),
    clock: new ManualClock(),
    blockSize: 4,
    capacityBlocks: 60,
    requestsPerSecond: 0,
    workload: WORKLOAD,
    ...options,
  });
  context.after(() => simulation.close());
  return simulation;
}

function steps(simulation: Simulation, count: number): void {
  for (let step = 0; step < count; step++) simulation.step();
}

test("the first engine publishes on 5557 and replays on 5558", async (context) => {
  const { pods } = await start(context);
  assert.deepEqual(
    pods.map(({ key }) => key),
    ["simulation/engine-0", "simulation/engine-1", "simulation/engine-2"],
  );
  assert.deepEqual(pods[0]!.ranks, [
    { rank: 0, endpoint: "tcp://127.0.0.1:5557", replayEndpoint: "tcp://127.0.0.1:5558" },
  ]);
});

test("requests come at their rate", async (context) => {
  const clock = new ManualClock();
  const simulation = await start(context, { clock, requestsPerSecond: 50 });
  clock.advance(2_000);
  assert.equal(simulation.counters.requests, 100);
  clock.advance(1_000);
  assert.equal(simulation.counters.requests, 150);
});

test("after a pause of the process only a bounded burst follows", async (context) => {
  const clock = new ManualClock();
  let nowMs = 0;
  const paused = {
    now: () => nowMs,
    setTimeout: (callback: () => void, delayMs: number) => clock.setTimeout(callback, delayMs),
    clearTimeout: (handle: unknown) => clock.clearTimeout(handle),
  };
  const simulation = await start(context, { clock: paused, requestsPerSecond: 50 });
  nowMs = 3_600_000;
  clock.advance(20);
  assert.equal(simulation.counters.requests, 100);
});

test("a subscriber of each engine that folds the events holds what the engine holds", async (context) => {
  const transport = watch(memory());
  const simulation = await start(context, { transport, engines: 2, ranks: 2, cpuCapacityBlocks: 80 });
  const ranks = simulation.pods.flatMap((pod) => pod.ranks.map(({ rank, endpoint }) => ({ pod, rank, endpoint })));
  const readers = ranks.map(({ endpoint }) => {
    const { subscriber, reader } = subscribe(transport, endpoint);
    context.after(() => subscriber.close());
    return reader;
  });
  await transport.subscribed(4);
  steps(simulation, 300);
  assert.ok(simulation.counters.removedBlocks > 0);
  for (const [index, { pod, rank }] of ranks.entries()) {
    const fold = new Fold();
    const messages = await readers[index]!.take(pod.nextSequence(rank));
    for (const message of messages) fold.apply(decodeEventBatch(message[2]!).batch.events);
    assert.ok(messages.length > 10);
    assert.deepEqual(fold.held(), heldBy(pod.pool(rank)));
  }
});

test("the seed determines what the engines hold", async (context) => {
  const simulations = await Promise.all([1, 1, 2].map((seed) => start(context, { seed })));
  const held = simulations.map((simulation) => {
    steps(simulation, 50);
    return simulation.pods.map((pod) => heldBy(pod.pool()));
  });
  assert.deepEqual(held[0], held[1]);
  assert.notDeepEqual(held[0], held[2]);
});

test("engines share system prompts and no conversation", async (context) => {
  const simulation = await start(context, { engines: 2, capacityBlocks: 5_000 });
  steps(simulation, 200);
  const [first, second] = simulation.pods.map(
    (pod) => new Map([...pod.pool()].map((block) => [block.prefixTokens().join(), block.prefixTokens().length])),
  );
  const shared = [...first!].filter(([prefix]) => second!.has(prefix)).map(([, length]) => length);
  assert.ok(shared.length > 0);
  assert.ok(Math.max(...shared) <= WORKLOAD.systemPromptTokens);
});

test("counters tell what happened", async (context) => {
  const simulation = await start(context);
  steps(simulation, 200);
  const { requests, refusedRequests, batches, promptTokens, cachedTokens, storedBlocks, removedBlocks } =
    simulation.counters;
  const held = simulation.pods.flatMap((pod) => [...pod.pool()]).length;
  assert.deepEqual([requests, refusedRequests], [200, 0]);
  assert.equal(storedBlocks - removedBlocks, held);
  assert.equal(
    batches,
    simulation.pods.reduce((sum, pod) => sum + pod.nextSequence(), 0),
  );
  assert.ok(cachedTokens > 0 && cachedTokens < promptTokens);
});

test("requests to a stopped engine are refused and counted, the others go on", async (context) => {
  const simulation = await start(context, { engines: 2 });
  await simulation.pods[0]!.stop();
  steps(simulation, 100);
  assert.ok(simulation.counters.refusedRequests > 0);
  assert.ok(simulation.counters.batches > 0);
});

test("closing stops all engines and leaves no timer", async (context) => {
  const clock = new ManualClock();
  const simulation = await start(context, { clock, requestsPerSecond: 10 });
  await Promise.all([simulation.close(), simulation.close()]);
  assert.equal(clock.pending, 0);
  assert.ok(simulation.pods.every((pod) => !pod.isRunning));
});

test("where a port is taken nothing runs", async (context) => {
  const transport = memory();
  const first = await start(context, { transport, engines: 1, port: 5561 });
  await assert.rejects(start(context, { transport, engines: 3 }), { code: "address-in-use" });
  await first.close();
  assert.equal((await start(context, { transport, engines: 3 })).pods.length, 3);
});

for (const [name, options] of [
  ["no engine", { engines: 0 }],
  ["a negative rate", { requestsPerSecond: -1 }],
  ["a port above 65535", { port: 65_536 }],
  ["less capacity than the longest request", { capacityBlocks: 30 }],
  ["less CPU capacity than the longest request", { cpuCapacityBlocks: 30 }],
] as const) {
  test(`${name} is refused`, async (context) => {
    await assert.rejects(start(context, options), ConfigurationError);
  });
}
