import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import type { SimulatedPod } from "../../src/simulator/index.ts";
import { Gate } from "../../src/sync/gate.ts";
import { TurnQueue } from "../../src/sync/turn-queue.ts";
import type { Transport } from "../../src/transport.ts";
import { memory } from "../../transports/memory/index.ts";
import { assertExact, chat, engine, pipeline, podOf } from "../support/pipeline.ts";

/** Each piece of work takes a millisecond of a clock that nothing else moves. */
function setUp(loops: number, pieces: number) {
  let nowMs = 0;
  const turns = new TurnQueue({ ...systemClock, now: () => nowMs });
  const worked: number[] = [];
  const work = async (loop: number): Promise<void> => {
    for (let i = 0; i < pieces; i++) {
      if (turns.isOver) await turns.next();
      turns.work(() => {
        nowMs++;
        worked.push(loop);
      });
    }
  };
  const done = Promise.all(Array.from({ length: loops }, (_, loop) => work(loop)));
  return { worked, done };
}

test("a hundred loops together work no longer in one turn of the event loop than one alone", async () => {
  const { worked, done } = setUp(100, 10);
  const byTurn: number[] = [];
  for (let before = 0; worked.length < 1_000; before = worked.length) {
    if (worked.length > before) byTurn.push(worked.length - before);
    await setImmediate();
    byTurn.push(worked.length - before);
  }
  await done;
  assert.equal(worked.length, 1_000);
  assert.ok(byTurn.length > 100, `${byTurn.length} turns`);
  assert.ok(Math.max(...byTurn) <= 8, `${Math.max(...byTurn)} pieces in one turn`);
});

test("whoever has waited longest is called first", async () => {
  const { worked, done } = setUp(5, 6);
  await done;
  const order = worked.filter((loop, at) => worked[at - 1] !== loop);
  assert.deepEqual(order, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 1, 2, 3, 4]);
});

/** Engines, and a pipeline by whose clock every look takes a millisecond, so that every batch takes at least three. */
async function engines(context: TestContext, count: number) {
  let nowMs = 0;
  /** Whose batches were applied, in order. */
  const applied: string[] = [];
  const transport = memory();
  const bench = pipeline(transport, {
    clock: { ...systemClock, now: () => nowMs++ },
    options: { quietCheckMs: 0 },
    observers: [{ onBatch: ({ pod }) => applied.push(pod) }],
  });
  const started = await Promise.all(Array.from({ length: count }, (_, i) => engine(transport, `ns/${i}`)));
  context.after(async () => {
    await bench.manager.stop();
    for (const each of started) await each.stop();
  });
  return { transport, bench, engines: started, applied };
}

/** Waits for what the engines have published; most batches in one turn of the event loop, of all streams together. */
async function mostInOneTurn({ bench, engines: all, applied }: Awaited<ReturnType<typeof engines>>): Promise<number> {
  const isDone = Promise.all(all.map((each) => bench.caughtUp(each)));
  const published = all.reduce((sum, each) => sum + each.nextSequence(), 0);
  let most = 0;
  for (let before = applied.length; applied.length < published; before = applied.length) {
    await setImmediate();
    most = Math.max(most, applied.length - before);
  }
  await isDone;
  for (const each of all) assertExact(bench, each);
  return most;
}

test("many streams that all have batches apply no more in one turn than one", { timeout: 30_000 }, async (context) => {
  const fleet = await engines(context, 20);
  for (const each of fleet.engines) fleet.bench.manager.onPodAdd(podOf(each));
  for (const each of fleet.engines) await fleet.bench.caughtUp(each);
  for (const each of fleet.engines) chat(each, 6);
  const most = await mostInOneTurn(fleet);
  assert.ok(most > 0 && most <= 3, `${most} batches in one turn`);
});

test("many replays at once apply no more in one turn than live streams do", { timeout: 30_000 }, async (context) => {
  const fleet = await engines(context, 20);
  for (const each of fleet.engines) chat(each, 6);
  for (const each of fleet.engines) fleet.bench.manager.onPodAdd(podOf(each));
  const most = await mostInOneTurn(fleet);
  assert.ok(most > 0 && most <= 3, `${most} batches in one turn`);
});

test("a live stream and a replay that both have batches take turns", { timeout: 30_000 }, async (context) => {
  const { bench, engines: both, applied } = await engines(context, 2);
  const [live, replayed] = both as [SimulatedPod, SimulatedPod];
  bench.manager.onPodAdd(podOf(live));
  await bench.caughtUp(live);
  chat(replayed, 40);
  bench.manager.onPodAdd(podOf(replayed));
  await bench.watch.until(() => applied.includes(replayed.key));
  const from = applied.length;
  chat(live, 40);
  for (const each of both) await bench.caughtUp(each);
  for (const each of both) assertExact(bench, each);
  const order = applied.slice(from);
  const until = Math.min(order.lastIndexOf(live.key), order.lastIndexOf(replayed.key));
  const firstOfBoth = Math.max(order.indexOf(live.key), order.indexOf(replayed.key));
  let longest = 0;
  for (let at = firstOfBoth, run = 0; at <= until; at++) {
    run = order[at] === order[at - 1] ? run + 1 : 1;
    longest = Math.max(longest, run);
  }
  assert.ok(until - firstOfBoth > 20, `${until - firstOfBoth} batches while both had some`);
  assert.ok(longest <= 2, `${longest} batches of one in a row`);
});

/** A replay endpoint that asks another one for what it is asked, once the gate is open. */
async function relay(context: TestContext, transport: Transport, endpoint: string, gate: Gate): Promise<string> {
  const router = transport.router();
  const dealer = transport.dealer();
  dealer.connect(endpoint);
  let asker: Uint8Array | undefined;
  const ask = async (): Promise<void> => {
    for await (const { messages } of router.receive()) {
      await gate.opened();
      for (const [identity, ...request] of messages) {
        asker = identity;
        dealer.send(request);
      }
    }
  };
  const answer = async (): Promise<void> => {
    for await (const { messages } of dealer.receive())
      for (const message of messages) router.send([asker!, ...message]);
  };
  const done = [ask(), answer()];
  context.after(async () => {
    await Promise.all([router.close(), dealer.close(), ...done]);
  });
  return router.bind("tcp://127.0.0.1:0");
}

test("what came live while a replay was awaited is applied in turns, too", { timeout: 30_000 }, async (context) => {
  const fleet = await engines(context, 1);
  const { bench, transport } = fleet;
  const pod = fleet.engines[0]!;
  chat(pod, 1);
  const gate = new Gate();
  const hold = gate.hold();
  const [rank] = pod.ranks;
  const replayEndpoint = await relay(context, transport, rank!.replayEndpoint!, gate);
  bench.manager.onPodAdd(podOf(pod, { ranks: [{ ...rank!, replayEndpoint }] }));
  await bench.watch.until(() => bench.stream(pod).status === "catching-up");
  chat(pod, 40);
  while (bench.stream(pod).heldBatches < pod.nextSequence() - 1) await setImmediate();
  const most = mostInOneTurn(fleet);
  hold[Symbol.dispose]();
  assert.ok((await most) > 0 && (await most) <= 3, `${await most} batches in one turn`);
  const { heldBatches, replays } = bench.stream(pod);
  assert.deepEqual([heldBatches, replays], [0, 1]);
});
