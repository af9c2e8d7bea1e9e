import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SimulatedPod, SimulatedPodOptions } from "../../src/simulator/index.ts";
import { encodeSequence } from "../../src/simulator/sequence.ts";
import { type MemoryTransport, memory } from "../../transports/memory/index.ts";
import { forgetful } from "../support/forgetful-transport.ts";
import { assertExact, chat, engine, type Pipeline, pipeline, podOf } from "../support/pipeline.ts";
import { seededRandom } from "../support/random.ts";

interface Bench extends Pipeline {
  readonly transport: MemoryTransport;
  readonly pod: SimulatedPod;
}

/** One engine on the memory transport, and the pipeline that follows it. */
async function setUp(context: TestContext, options: Partial<SimulatedPodOptions> = {}): Promise<Bench> {
  const transport = memory({ reconnectMinMs: 1, reconnectMaxMs: 20, random: seededRandom(7) });
  const made = pipeline(forgetful(transport));
  const pod = await engine(transport, "ns/a", options);
  context.after(async () => {
    transport.faults.clear();
    await made.manager.stop();
    await pod.stop();
  });
  made.manager.onPodAdd(podOf(pod));
  await made.watch.until(() => made.stream(pod).status === "live" || made.stream(pod).status === "partial");
  return { ...made, transport, pod };
}

const limit = { timeout: 30_000 };

test("a cut connection costs nothing where the replay shows the same engine", limit, async (context) => {
  const bench = await setUp(context);
  const { pod, transport } = bench;
  chat(pod, 8);
  await bench.caughtUp(pod);
  transport.faults.cut({ endpoint: pod.ranks[0]!.endpoint }, { forMs: 30 });
  chat(pod, 8);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  assert.deepEqual(bench.watch.purges, []);
  assert.equal(bench.stream(pod).restarts, 0);
});

test("lost, repeated and overtaken batches leave the index exact", limit, async (context) => {
  const bench = await setUp(context);
  const { pod, transport } = bench;
  transport.faults.set({ drop: 0.2, duplicate: 0.2, reorder: { probability: 0.3, window: 3 } }, { from: "publisher" });
  for (let i = 0; i < 40; i++) chat(pod, 5);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  const { missedBatches, duplicateBatches, firstSequence } = bench.stream(pod);
  assert.ok(missedBatches > 0 && duplicateBatches > 0);
  assert.equal(firstSequence, 0);
});

test("a batch that was lost at the end is found when the stream is quiet", limit, async (context) => {
  const bench = await setUp(context);
  const { pod, transport } = bench;
  chat(pod, 4);
  await bench.caughtUp(pod);
  transport.faults.dropNext(1, { from: "publisher" });
  pod.request({ tokens: Array.from({ length: 16 }, (_, i) => 90_000 + i) });
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  assert.equal(bench.stream(pod).status, "live");
});

test("replays that lose their middle and their end are asked for again", limit, async (context) => {
  const bench = await setUp(context);
  const { pod, transport } = bench;
  transport.faults.set({ drop: 0.3 }, { from: "router" });
  transport.faults.cut({ endpoint: pod.ranks[0]!.endpoint }, { forMs: 20 });
  for (let i = 0; i < 20; i++) chat(pod, 5);
  await bench.caughtUp(pod);
  transport.faults.clear();
  // Where too much was lost it is partial for a while, and then asks for the whole again.
  await bench.watch.until(() => bench.stream(pod).status === "live");
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  assert.ok(bench.stream(pod).replays > 2);
});

test("a replay endpoint that drops when it is full is asked until it is complete", limit, async (context) => {
  const bench = await setUp(context, { replayOverflow: "drop", replayHighWaterMark: 5 });
  const { pod, transport } = bench;
  transport.faults.cut({ endpoint: pod.ranks[0]!.endpoint }, { forMs: 20 });
  for (let i = 0; i < 10; i++) chat(pod, 10);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
  assert.equal(bench.stream(pod).status, "live");
});

test(
  "a replay endpoint that never answers stalls nothing for long, and the stream says partial",
  limit,
  async (context) => {
    const transport = memory({ reconnectMinMs: 1, reconnectMaxMs: 20 });
    const options = { replayTimeoutMs: 30, replayIdleMs: 20, quietCheckMs: 20, replayRetryMinMs: 20 };
    const bench = pipeline(transport, { options });
    const silent = transport.router();
    const replayEndpoint = await silent.bind("tcp://127.0.0.1:0");
    const pod = await engine(transport, "ns/a");
    context.after(() => Promise.all([bench.manager.stop(), pod.stop(), silent.close()]));
    chat(pod, 6);
    const { endpoint } = pod.ranks[0]!;
    bench.manager.onPodAdd(podOf(pod, { ranks: [{ rank: 0, endpoint, replayEndpoint }] }));
    await bench.watch.until(() => bench.stream(pod).status === "partial");
    pod.reset();
    chat(pod, 1);
    await bench.caughtUp(pod);
    assert.equal(bench.stream(pod).status, "partial");
    assertExact(bench, pod);
  },
);

test(
  "an engine whose buffer is shorter than its history is partial, and nothing of it is false",
  limit,
  async (context) => {
    const transport = memory({ reconnectMinMs: 1, reconnectMaxMs: 20 });
    const bench = pipeline(transport);
    const pod = await engine(transport, "ns/a", { bufferSteps: 6 });
    context.after(() => Promise.all([bench.manager.stop(), pod.stop()]));
    for (let i = 0; i < 10; i++) chat(pod, 7);
    bench.manager.onPodAdd(podOf(pod));
    await bench.caughtUp(pod);
    const { status, firstSequence } = bench.stream(pod);
    assert.deepEqual([status, firstSequence], ["partial", pod.nextSequence() - 6]);
    const pool = new Set([...pod.pool()].map(({ blockHash }) => blockHash));
    for (const { blockHash } of bench.indexer.heldBlocks({ model: "m", pod: "ns/a", rank: 0, loraId: -1 })) {
      assert.ok(pool.has(blockHash));
    }
  },
);

test("a batch that cannot be read costs itself alone", limit, async (context) => {
  const transport = memory({ reconnectMinMs: 1, reconnectMaxMs: 20 });
  const bench = pipeline(transport);
  const publisher = transport.publisher();
  const endpoint = await publisher.bind("tcp://127.0.0.1:0");
  const pod = await engine(transport, "ns/a");
  context.after(() => Promise.all([bench.manager.stop(), pod.stop(), publisher.close()]));
  bench.manager.onPodAdd(podOf(pod, { ranks: [{ rank: 0, endpoint }] }));
  await bench.watch.until(() => bench.stream(pod).connection?.status === "ready");
  const good = Buffer.from("93cb41da571c66738e519191b0416c6c426c6f636b73436c656172656400", "hex");
  const batches = [
    good,
    Buffer.from("c1", "hex"),
    Buffer.from("93cb41da571c66738e519292c00191b0416c6c426c6f636b73436c656172656400", "hex"),
    good,
  ];
  for (const [sequence, payload] of batches.entries())
    publisher.send([new Uint8Array(), encodeSequence(sequence), payload]);
  publisher.send([new Uint8Array(), new Uint8Array(3), good]);
  publisher.send([good]);
  await bench.watch.until(() => bench.watch.errors.length === 4);
  assert.deepEqual(bench.watch.errors, ["msgpack", "event-type", "framing", "framing"]);
  const { lastSequence, status, events, decodeErrors } = bench.stream(pod);
  assert.deepEqual([lastSequence, status, events, decodeErrors], [3, "live", 3, 2]);
});

test("a closed stream leaves no timer behind", limit, async (context) => {
  const bench = await setUp(context);
  chat(bench.pod, 3);
  await bench.caughtUp(bench.pod);
  await bench.manager.stop();
  await bench.pod.stop();
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((name) => name === "Timeout"),
    [],
  );
});
