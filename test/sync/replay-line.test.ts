import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { encodeEventBatch } from "../../src/events/encode.ts";
import type { SimulatedPod } from "../../src/simulator/index.ts";
import type { StreamOptions } from "../../src/sync/options.ts";
import { ReplayLine } from "../../src/sync/replay-line.ts";
import { memory } from "../../transports/memory/index.ts";
import { assertExact, chat, engine, pipeline, podOf } from "../support/pipeline.ts";
import { settled, virtualClock } from "../support/virtual-clock.ts";

const limit = { timeout: 30_000 };

/** A line in which each is a number, and those that have asked, in order. At first, all time is worked. */
function setUpLine() {
  const clock = virtualClock();
  let idleMs: number | null = null;
  const turns = {
    get workedMs(): number {
      return idleMs ?? clock.now();
    },
  };
  const rest = (): void => {
    idleMs = clock.now();
  };
  const line = new ReplayLine(clock, turns);
  const replays = Array.from({ length: 30 }, (_, at) => ({ at }));
  const asked: number[] = [];
  for (const replay of replays) line.enter(replay, () => asked.push(replay.at));
  return { clock, rest, line, replays, asked };
}

test("eight ask at once, and whoever has waited longest asks when one leaves", async () => {
  const { clock, line, replays, asked } = setUpLine();
  assert.deepEqual(asked, []);
  await settled();
  assert.deepEqual(asked, [0, 1, 2, 3, 4, 5, 6, 7]);
  line.leave(replays[3]!);
  line.leave(replays[3]!);
  await settled();
  assert.deepEqual(asked.slice(8), [8]);
  for (const replay of replays) {
    line.leave(replay);
    await settled();
  }
  assert.deepEqual(asked.length, 30);
  assert.equal(clock.pending, 0);
});

test("who leaves before it was its turn never asks, even if all before it leave at the same time", async () => {
  const { line, replays, asked } = setUpLine();
  await settled();
  for (const replay of replays.slice(0, -1)) line.leave(replay);
  await settled();
  assert.deepEqual(asked.slice(8), [29]);
});

test("who is not answered makes room after a while, and who was answered after a longer one", async () => {
  const { clock, line, replays, asked } = setUpLine();
  await clock.advance(10);
  for (const replay of replays.slice(0, 5)) line.answered(replay);
  await clock.advance(9);
  assert.equal(asked.length, 8);
  await clock.advance(1);
  assert.equal(asked.length, 11);
  for (const replay of replays.slice(8, 11)) line.answered(replay);
  await clock.advance(89);
  assert.equal(asked.length, 11);
  await clock.advance(1);
  assert.equal(asked.length, 16);
});

test("who is answered after it made room has a place again, and more than eight may have one", async () => {
  const { clock, line, replays, asked } = setUpLine();
  await clock.advance(20);
  assert.equal(asked.length, 16);
  for (const replay of replays.slice(0, 16)) line.answered(replay);
  for (const replay of replays.slice(8, 16)) line.leave(replay);
  await clock.advance(99);
  assert.equal(asked.length, 16);
  line.leave(replays[0]!);
  await settled();
  assert.equal(asked.length, 17);
});

test("while there is little to work, those that are answered slowly make room one at a time", async () => {
  const { clock, rest, line, replays, asked } = setUpLine();
  const answerAll = (): void => {
    for (const { at } of replays.slice(0, asked.length)) line.answered(replays[at]!);
  };
  for (let i = 0; i < 10; i++) {
    await clock.advance(10);
    answerAll();
  }
  assert.equal(asked.length, 8);
  rest();
  for (let i = 1; i <= 5; i++) {
    await clock.advance(10);
    answerAll();
    assert.equal(asked.length, 8 + i);
  }
});

/** Engines that have said something, and a pipeline that knows none of them; time passes when a test says so. */
async function setUp(context: TestContext, count: number, options: StreamOptions = {}) {
  const clock = virtualClock();
  const transport = memory({ clock });
  /** Of which pod, and from which sequence on. */
  const asked: [pod: string, from: number][] = [];
  let running = 0;
  let most = 0;
  const observer = {
    onReplayRequested: ({ pod }: { readonly pod: string }, from: number): void => {
      asked.push([pod, from]);
      most = Math.max(most, ++running);
    },
    onReplayEnded: (): void => void running--,
  };
  const bench = pipeline(transport, { clock, options: { quietCheckMs: 0, ...options }, observers: [observer] });
  const start = async (key: string): Promise<SimulatedPod> => {
    const pod = await engine(transport, key, { clock });
    chat(pod, 6);
    return pod;
  };
  const pods = await Promise.all(Array.from({ length: count }, (_, i) => start(`ns/${i}`)));
  context.after(async () => {
    await clock.run(bench.manager.stop());
    for (const pod of pods) await clock.run(pod.stop());
    assert.equal(clock.pending, 0);
  });
  return { clock, transport, bench, pods, asked, mostAtOnce: () => most };
}

/** As discovery would announce it, but with a replay endpoint that nobody serves. */
function deadOf(pod: SimulatedPod, i = 0) {
  return podOf(pod, { ranks: pod.ranks.map((rank) => ({ ...rank, replayEndpoint: `tcp://10.9.9.9:${5_000 + i}` })) });
}

test(
  "of many engines that are found at once each is asked once, few at a time, in the order they were found",
  limit,
  async (context) => {
    const { clock, bench, pods, asked, mostAtOnce } = await setUp(context, 40);
    for (const pod of pods) bench.manager.onPodAdd(podOf(pod));
    await clock.run(Promise.all(pods.map((pod) => bench.caughtUp(pod))));
    assert.deepEqual(
      asked,
      pods.map(({ key }) => [key, 0]),
    );
    assert.equal(mostAtOnce(), 8);
    for (const pod of pods) {
      assertExact(bench, pod);
      const { status, replays, replaySuccesses, replayFailures } = bench.stream(pod);
      assert.deepEqual([status, replays, replaySuccesses, replayFailures], ["live", 1, 1, 0]);
    }
  },
);

test(
  "engines whose endpoints are dead keep no other waiting for long, and are given their time all the same",
  limit,
  async (context) => {
    const { clock, bench, pods } = await setUp(context, 40, { replayTimeoutMs: 5_000 });
    const dead = pods.slice(0, 20);
    const others = pods.slice(20);
    for (const [i, pod] of dead.entries()) bench.manager.onPodAdd(deadOf(pod, i));
    for (const pod of others) bench.manager.onPodAdd(podOf(pod));
    await clock.advance(100);
    for (const pod of others) assert.equal(bench.stream(pod).status, "live");
    for (const pod of dead) assert.deepEqual([bench.stream(pod).status, bench.stream(pod).replays], ["catching-up", 1]);
    for (const pod of dead) chat(pod, 3);
    await clock.run(Promise.all(dead.map((pod) => bench.caughtUp(pod))));
    for (const pod of dead) assert.equal(bench.stream(pod).status, "partial");
    for (const pod of others) assertExact(bench, pod);
  },
);

test("a replay that is answered keeps its place for longer than one that is not", limit, async (context) => {
  const { clock, transport, bench, pods, asked } = await setUp(context, 30);
  const router = transport.router();
  const replayEndpoint = await router.bind("tcp://127.0.0.1:0");
  const [sequence, payload] = [
    new Uint8Array(8),
    encodeEventBatch({ ts: 0, events: [], dataParallelRank: 0 }, { encoding: "map" }),
  ];
  const serve = async (): Promise<void> => {
    for await (const { messages } of router.receive()) {
      for (const [identity, empty] of messages) {
        clock.setTimeout(() => router.send([identity!, empty!, sequence, payload]), 10);
      }
    }
  };
  const served = serve();
  for (const pod of pods) bench.manager.onPodAdd(podOf(pod, { ranks: [{ ...pod.ranks[0]!, replayEndpoint }] }));
  await clock.advance(29);
  // One more at each look, for there is nothing to work.
  assert.equal(asked.length, 10);
  await clock.run(bench.manager.stop());
  await clock.advance(10);
  await clock.run(router.close());
  await served;
});

test("a pod that goes leaves the line, and its place", limit, async (context) => {
  const { clock, bench, pods, asked } = await setUp(context, 12);
  for (const [i, pod] of pods.entries()) bench.manager.onPodAdd(i < 8 ? deadOf(pod, i) : podOf(pod));
  await settled();
  const [removed, waiting] = pods.slice(8) as [SimulatedPod, SimulatedPod];
  bench.manager.onPodDelete(podOf(removed));
  bench.manager.onPodDelete(podOf(pods[0]!));
  await settled();
  assert.deepEqual(
    asked.slice(8).map(([pod]) => pod),
    pods.slice(9).map(({ key }) => key),
  );
  await clock.run(bench.caughtUp(waiting));
  assert.equal(clock.now(), 0);
});

test("a manager that stops asks for none of those that wait", limit, async (context) => {
  const { clock, bench, pods, asked } = await setUp(context, 12);
  for (const [i, pod] of pods.entries()) bench.manager.onPodAdd(deadOf(pod, i));
  await settled();
  await clock.run(bench.manager.stop());
  assert.equal(asked.length, 8);
});

test(
  "what comes live while a stream waits in the line follows its replay, be it too much to be held",
  limit,
  async (context) => {
    const { clock, bench, pods, asked } = await setUp(context, 9, { maxHeldBytes: 3_000 });
    const pod = pods[8]!;
    for (const [i, dead] of pods.slice(0, 8).entries()) bench.manager.onPodAdd(deadOf(dead, i));
    bench.manager.onPodAdd(podOf(pod));
    await settled();
    chat(pod, 40);
    await settled();
    const { status, heldBytes, replays } = bench.stream(pod);
    assert.deepEqual([status, replays], ["catching-up", 0]);
    assert.ok(heldBytes > 0 && heldBytes <= 3_000, `${heldBytes} bytes`);
    assert.ok(bench.watch.errors.includes("overflow"));
    await clock.run(bench.caughtUp(pod));
    assertExact(bench, pod);
    assert.equal(bench.stream(pod).status, "live");
    assert.deepEqual(asked.slice(8), [[pod.key, 0]]);
  },
);

test("a check that waited in the line asks for what is the last batch by then", limit, async (context) => {
  const { clock, bench, pods, asked } = await setUp(context, 9, { quietCheckMs: 50, quietCheckMaxMs: 50 });
  const pod = pods[8]!;
  bench.manager.onPodAdd(podOf(pod));
  await clock.run(bench.caughtUp(pod));
  await clock.advance(45);
  for (const [i, dead] of pods.slice(0, 8).entries()) bench.manager.onPodAdd(deadOf(dead, i));
  await clock.advance(10);
  chat(pod, 3);
  await settled();
  assert.equal(bench.stream(pod).replays, 1);
  await clock.advance(20);
  assert.deepEqual(asked.at(-1), [pod.key, pod.nextSequence() - 1]);
  assertExact(bench, pod);
});
