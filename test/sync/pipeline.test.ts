import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SimulatedPod, SimulatedPodOptions } from "../../src/simulator/index.ts";
import { assertExact, chat, engine, type Pipeline, pipeline, podOf } from "../support/pipeline.ts";
import { pipelineTransport, pipelineTransportName } from "../support/pipeline-transport.ts";

interface Bench extends Pipeline {
  engine(key: string, options?: Partial<SimulatedPodOptions>): Promise<SimulatedPod>;
}

async function setUp(context: TestContext): Promise<Bench> {
  const transport = await pipelineTransport();
  const made = pipeline(transport);
  const engines: SimulatedPod[] = [];
  context.after(async () => {
    await made.manager.stop();
    for (const each of engines) await each.stop();
  });
  return {
    ...made,
    async engine(key, options) {
      const started = await engine(transport, key, options);
      engines.push(started);
      return started;
    },
  };
}

const WITHOUT_REPLAY = { endpoints: [{ endpoint: "tcp://127.0.0.1:0" }] };
const run = (sentence: string, body: (bench: Bench) => Promise<void>): void => {
  test(`${pipelineTransportName}: ${sentence}`, { timeout: 30_000 }, async (context) => body(await setUp(context)));
};

run("the index follows several engines exactly, evictions included", async (bench) => {
  const engines = [await bench.engine("ns/a"), await bench.engine("ns/bb"), await bench.engine("ns/ccc")];
  for (const each of engines) chat(each, 3);
  for (const each of engines) bench.manager.onPodAdd(podOf(each));
  for (const each of engines) chat(each, 30);
  for (const each of engines) {
    await bench.caughtUp(each);
    assertExact(bench, each);
    const { status, firstSequence, endpoint, connection } = bench.stream(each);
    assert.deepEqual([status, firstSequence, endpoint], ["live", 0, each.ranks[0]!.endpoint]);
    assert.equal(connection?.status, "ready");
  }
});

for (const encoding of ["array", "map"] as const) {
  for (const replayFraming of ["legacy", "topic"] as const) {
    run(`${encoding} events and ${replayFraming} replies are understood`, async (bench) => {
      const pod = await bench.engine("ns/a", { encode: { encoding }, replayFraming, topic: "kv@ns" });
      chat(pod, 10);
      bench.manager.onPodAdd(podOf(pod, { topic: "kv" }));
      await bench.caughtUp(pod);
      chat(pod, 10);
      await bench.caughtUp(pod);
      assertExact(bench, pod);
    });
  }
}

run("an engine that restarts in place is told from the one before it, and followed", async (bench) => {
  const pod = await bench.engine("ns/a");
  bench.manager.onPodAdd(podOf(pod));
  chat(pod, 8);
  await bench.caughtUp(pod);
  await pod.restart();
  chat(pod, 12);
  await bench.watch.until(() => bench.stream(pod).restarts === 1);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  assert.equal(bench.stream(pod).status, "live");
});

run("an engine that restarts and then says nothing is found empty", async (bench) => {
  const pod = await bench.engine("ns/a");
  bench.manager.onPodAdd(podOf(pod));
  chat(pod, 8);
  await bench.caughtUp(pod);
  await pod.restart();
  await bench.watch.until(() => bench.stream(pod).restarts === 1);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
});

run("without a replay endpoint a restart is followed from the first batch that comes", async (bench) => {
  const pod = await bench.engine("ns/a", WITHOUT_REPLAY);
  bench.manager.onPodAdd(podOf(pod));
  await bench.watch.until(() => bench.stream(pod).connection?.status === "ready");
  // The publisher may not know of the subscription yet: what it sends before that is lost.
  while (bench.stream(pod).lastSequence === null) {
    chat(pod, 1);
    pod.reset();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await bench.caughtUp(pod);
  assert.deepEqual(bench.watch.purges, []);
  await pod.restart();
  await bench.watch.until(() => bench.watch.purges.includes("unverified"));
  assertExact(bench, pod);
});

run("an update that changes nothing, and a pod that is added again, disturb nothing", async (bench) => {
  const pod = await bench.engine("ns/a");
  bench.manager.onPodAdd(podOf(pod));
  chat(pod, 8);
  await bench.caughtUp(pod);
  bench.manager.onPodUpdate(podOf(pod), podOf(pod));
  bench.manager.onPodAdd(podOf(pod));
  assert.deepEqual(bench.watch.closed, []);
  assertExact(bench, pod);
});

run("two ranks of a pod are two engines", async (bench) => {
  const ends = { endpoint: "tcp://127.0.0.1:0", replayEndpoint: "tcp://127.0.0.1:0" };
  const pod = await bench.engine("ns/a", { endpoints: [ends, ends] });
  bench.manager.onPodAdd(podOf(pod));
  chat(pod, 10, 0);
  chat(pod, 4, 1);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  assert.deepEqual(
    bench.manager.pods().map(({ streams }) => streams.map(({ rank }) => rank)),
    [[0, 1]],
  );
  pod.reset(1);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
});

run("a rank that is added disturbs the others only where they have spoken for it", async (bench) => {
  const ends = { endpoint: "tcp://127.0.0.1:0", replayEndpoint: "tcp://127.0.0.1:0" };
  const pod = await bench.engine("ns/a", { endpoints: [ends, ends] });
  const [first, second] = pod.ranks;
  chat(pod, 5, 0);
  chat(pod, 3, 1);
  bench.manager.onPodAdd(podOf(pod, { ranks: [first!] }));
  await bench.watch.until(() => bench.stream(pod).lastSequence === pod.nextSequence() - 1);
  bench.manager.onPodAdd(podOf(pod));
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  assert.deepEqual(bench.watch.closed, []);
  bench.manager.onPodAdd(podOf(pod, { ranks: [second!] }));
  assert.deepEqual(bench.watch.closed, ["ns/a 0"]);
});

run("a pod that goes takes its blocks at once, and nobody else's", async (bench) => {
  const [a, b] = [await bench.engine("ns/a"), await bench.engine("ns/b")];
  for (const each of [a, b]) {
    bench.manager.onPodAdd(podOf(each));
    chat(each, 10);
  }
  for (const each of [a, b]) await bench.caughtUp(each);
  const pod = podOf(a);
  bench.manager.onPodDelete({ key: pod.key, pod });
  assert.deepEqual(
    bench.manager.pods().map(({ pod: { key } }) => key),
    ["ns/b"],
  );
  assert.equal([...bench.indexer.heldBlocks({ model: "m", pod: "ns/a", rank: 0, loraId: -1 })].length, 0);
  assert.deepEqual(bench.watch.closed, ["ns/a 0"]);
  assertExact(bench, b);
});

run("a pod that moves is another engine", async (bench) => {
  const [a, b] = [await bench.engine("ns/a"), await bench.engine("ns/b")];
  bench.manager.onPodAdd(podOf(a));
  chat(a, 10);
  chat(b, 5);
  await bench.caughtUp(a);
  const moved = podOf(a, { ranks: b.ranks });
  bench.manager.onPodUpdate(podOf(a), moved);
  assert.equal([...bench.indexer.heldBlocks({ model: "m", pod: "ns/a", rank: 0, loraId: -1 })].length, 0);
  await bench.watch.until(() => bench.stream(a).lastSequence === b.nextSequence() - 1);
  const held = [...bench.indexer.heldBlocks({ model: "m", pod: "ns/a", rank: 0, loraId: -1 })];
  assert.equal(held.length, [...b.pool()].length);
});

for (const [what, change] of [
  ["uid", { uid: "other" }],
  ["restart count", { restartCount: 1 }],
  ["adapter", { loraId: 3 }],
] as const) {
  run(`a pod of another ${what} is another engine`, async (bench) => {
    const pod = await bench.engine("ns/a");
    bench.manager.onPodAdd(podOf(pod));
    chat(pod, 5);
    await bench.caughtUp(pod);
    bench.manager.onPodUpdate(podOf(pod), podOf(pod, change));
    assert.deepEqual(bench.watch.closed, ["ns/a 0"]);
    assert.equal(bench.indexer.stats().holders, 0);
    await bench.caughtUp(pod);
    assert.equal(bench.indexer.stats().holders, [...pod.pool()].length);
  });
}

run("the end of an earlier incarnation does not end the pod of the same name", async (bench) => {
  const pod = await bench.engine("ns/a");
  bench.manager.onPodAdd(podOf(pod, { uid: "new" }));
  bench.manager.onPodDelete(podOf(pod, { uid: "old" }));
  assert.equal(bench.manager.pods().length, 1);
  bench.manager.onPodDelete(podOf(pod, { uid: "new" }));
  assert.equal(bench.manager.pods().length, 0);
});

run("an endpoint that cannot be used is reported, and disturbs nobody", async (bench) => {
  const pod = await bench.engine("ns/a");
  bench.manager.onPodAdd(podOf(pod, { key: "ns/bad", ranks: [{ rank: 0, endpoint: "nonsense" }] }));
  bench.manager.onPodAdd(podOf(pod));
  chat(pod, 5);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  const bad = bench.manager.pods().find(({ pod: { key } }) => key === "ns/bad");
  const connection = bad?.streams[0]?.connection;
  assert.ok(connection?.status === "closed");
  assert.equal(connection.cause?.code, "invalid-endpoint");
  assert.match(connection.cause.message, /nonsense/);
});

run("a stopped manager takes no pods and starts no more", async (bench) => {
  const pod = await bench.engine("ns/a");
  bench.manager.onPodAdd(podOf(pod));
  await bench.manager.stop();
  await bench.manager.stop();
  bench.manager.onPodAdd(podOf(pod));
  assert.deepEqual(bench.manager.pods(), []);
  await assert.rejects(bench.manager.start(), { code: "closed" });
});
