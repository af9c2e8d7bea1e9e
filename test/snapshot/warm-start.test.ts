import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Pod } from "../../src/discovery/discovery.ts";
import type { SimulatedPod, SimulatedPodOptions } from "../../src/simulator/index.ts";
import { type MemoryTransport, memory } from "../../transports/memory/index.ts";
import { assertExact, chat, engine, podOf } from "../support/pipeline.ts";
import { seededRandom } from "../support/random.ts";
import { type Daemon, daemon, temporaryFolder } from "./support.ts";

const limit = { timeout: 30_000 };

interface Bench {
  readonly transport: MemoryTransport;
  readonly pod: SimulatedPod;
  readonly path: string;
  /** Starts a daemon that keeps its snapshot there. */
  start(pods?: readonly Pod[]): Promise<Daemon>;
}

/** An engine that has said something, and the snapshot of a daemon that followed it. */
async function bench(context: TestContext, options: Partial<SimulatedPodOptions> = {}): Promise<Bench> {
  const transport = memory({ reconnectMinMs: 1, reconnectMaxMs: 20, random: seededRandom(7) });
  const pod = await engine(transport, "ns/a", options);
  context.after(() => pod.stop());
  const path = join(await temporaryFolder(context), "snapshot");
  const start = (pods: readonly Pod[] = [podOf(pod)]): Promise<Daemon> =>
    daemon(transport, pods, { warmStart: { snapshotPath: path } });
  chat(pod, 8);
  await using first = await start();
  await first.caughtUp(pod);
  await first.store.close();
  assert.deepEqual(first.news, ["written 1"]);
  return { transport, pod, path, start };
}

function promptsOf(pod: SimulatedPod): Uint32Array[] {
  return [...pod.pool()].map((block) => block.prefixTokens());
}

/** None of them is answered. */
function assertHidden({ store }: Daemon, prompts: readonly Uint32Array[]): void {
  assert.ok(prompts.length > 0);
  for (const prompt of prompts) assert.deepEqual(store.indexer.matchPrefix("m", -1, prompt), []);
}

test("a daemon that starts again goes on where it ended", limit, async (context) => {
  const { pod, start } = await bench(context);
  const known = pod.nextSequence();
  chat(pod, 5);
  await using second = await start();
  await second.caughtUp(pod);
  assertExact({ indexer: second.store.indexer }, pod);
  assert.deepEqual(second.news, ["restored 1"]);
  assert.deepEqual(second.purges, []);
  const { batches, status, firstSequence } = second.stream("ns/a");
  assert.deepEqual([batches, status, firstSequence], [pod.nextSequence() - known, "live", 0]);
});

test("where nothing was published meanwhile, the last batch is proof enough", limit, async (context) => {
  const { pod, start } = await bench(context);
  await using second = await start();
  await second.store.whenReady();
  assertExact({ indexer: second.store.indexer }, pod);
  assert.deepEqual([second.stream("ns/a").batches, second.purges.length], [0, 0]);
});

test("what an engine lost by its restart is purged", limit, async (context) => {
  const { pod, start } = await bench(context);
  await pod.restart();
  chat(pod, 1);
  await using second = await start();
  await second.caughtUp(pod);
  assertExact({ indexer: second.store.indexer }, pod);
  assert.deepEqual(second.purges, ["restart"]);
});

test("an engine that restarted and has published as much as before is another one", limit, async (context) => {
  const { pod, start } = await bench(context);
  const known = pod.nextSequence();
  await pod.restart();
  while (pod.nextSequence() < known + 2) pod.reset();
  chat(pod, 5);
  await using second = await start();
  await second.caughtUp(pod);
  assertExact({ indexer: second.store.indexer }, pod);
  assert.deepEqual(second.purges, ["restart"]);
});

test("of an engine that is gone nothing is answered, and the others are not kept back", limit, async (context) => {
  const { pod, start } = await bench(context);
  const prompts = promptsOf(pod);
  await pod.stop();
  await using second = await start();
  await second.store.whenReady();
  assert.deepEqual(second.news, ["restored 1"]);
  assert.ok(second.store.indexer.stats().blocks > 0);
  assertHidden(second, prompts);
});

test("what is restored shows only when its engine has proved to be the same", limit, async (context) => {
  const { transport, pod, start } = await bench(context);
  const [{ endpoint }] = pod.ranks as [Pod["ranks"][0]];
  transport.faults.cut({ endpoint }, { forMs: 300 });
  await using second = await start();
  await second.watch.until(() => second.stream("ns/a").connection?.status === "waiting");
  assert.ok(second.store.indexer.stats().blocks > 0);
  assertHidden(second, promptsOf(pod));
  await second.caughtUp(pod);
  assertExact({ indexer: second.store.indexer }, pod);
  assert.deepEqual(second.purges, []);
});

test("the daemon is not ready while a replay has still to prove what was restored", limit, async (context) => {
  const { transport, pod, start } = await bench(context);
  transport.faults.set({ drop: 1 }, { from: "router" });
  await using second = await start();
  await second.watch.until(() => second.stream("ns/a").status === "catching-up");
  assert.equal(second.store.isReady, false);
  assertHidden(second, promptsOf(pod));
  transport.faults.clear();
  await second.store.whenReady();
  await second.caughtUp(pod);
  assertExact({ indexer: second.store.indexer }, pod);
});

test("what a replay endpoint does not prove in its time is purged", limit, async (context) => {
  const { transport, pod, path } = await bench(context);
  transport.faults.set({ drop: 1 }, { from: "router" });
  const streams = {
    replayTimeoutMs: 30,
    replayIdleMs: 20,
    quietCheckMs: 0,
    replayRetryMinMs: 60_000,
    replayRetryMaxMs: 60_000,
  };
  await using second = await daemon(transport, [podOf(pod)], { streams, warmStart: { snapshotPath: path } });
  await second.store.whenReady();
  assert.deepEqual([second.purges, second.stream("ns/a").status], [["unverified"], "partial"]);
  assert.equal(second.store.indexer.stats().blocks, 0);
});

test("a snapshot from before all that the engine can replay is of no use, and does no harm", limit, async (context) => {
  const { pod, start } = await bench(context, { bufferSteps: 6 });
  for (let i = 0; i < 10; i++) chat(pod, 5);
  await using second = await start();
  await second.caughtUp(pod);
  const { status, firstSequence } = second.stream("ns/a");
  assert.deepEqual([status, firstSequence], ["partial", pod.nextSequence() - 6]);
  const pool = new Set([...pod.pool()].map(({ blockHash }) => blockHash));
  for (const { blockHash } of second.store.indexer.heldBlocks({ model: "m", pod: "ns/a", rank: 0, loraId: -1 })) {
    assert.ok(pool.has(blockHash));
  }
});

test("without a replay endpoint nothing is kept: nothing could prove it", limit, async (context) => {
  const { pod, start } = await bench(context);
  const [{ endpoint }] = pod.ranks as [Pod["ranks"][0]];
  await using second = await start([podOf(pod, { ranks: [{ rank: 0, endpoint }] })]);
  await second.store.whenReady();
  assert.deepEqual(second.purges, ["unverified"]);
  assert.equal(second.store.indexer.stats().blocks, 0);
  await second.store.close();
  assert.deepEqual(second.news, ["restored 1", "written 0"]);
});

for (const [what, change] of [
  ["a new uid", { uid: "b" }],
  ["another container", { restartCount: 1 }],
  ["another adapter", { loraId: 3 }],
  ["another topic", { topic: "kv" }],
] as const) {
  test(`a pod with ${what} begins anew`, limit, async (context) => {
    const { pod, start } = await bench(context);
    await pod.stop();
    await using second = await start([podOf(pod, change)]);
    assert.deepEqual(second.news, ["restored 1"]);
    assert.equal(second.store.indexer.stats().blocks, 0);
  });
}

test("a corrupted snapshot is refused, and the start is a cold one", limit, async (context) => {
  const { pod, path, start } = await bench(context);
  const bytes = await readFile(path);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(path, bytes);
  await using second = await start();
  await second.caughtUp(pod);
  assert.deepEqual(second.news, ["refused corrupt-dump"]);
  assertExact({ indexer: second.store.indexer }, pod);
  assert.equal(second.stream("ns/a").batches, pod.nextSequence());
});

test("a snapshot that ends too early is refused, and leaves nothing in the index", limit, async (context) => {
  const { pod, path, start } = await bench(context);
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, bytes.length - 5));
  await pod.stop();
  await using second = await start();
  assert.deepEqual(second.news, ["refused truncated-dump"]);
  const { evictedBlocks, ...rest } = second.store.indexer.stats();
  assert.deepEqual([evictedBlocks, rest], [0, { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0 }]);
});

test("a seed that came with a refused snapshot is not kept", limit, async (context) => {
  const { path, start } = await bench(context);
  const text = await readFile(path, "utf8");
  const [, seed] = /"seed":"([0-9a-f]{16})"/.exec(text)!;
  await writeFile(path, text.slice(0, -5));
  await using second = await start([]);
  assert.notEqual(second.store.indexer.seed.toString(16).padStart(16, "0"), seed);
});

test("what another release hashed otherwise is refused as foreign", limit, async (context) => {
  const { path, start } = await bench(context);
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace(/"probe":"[0-9a-f]{16}"/, '"probe":"0000000000000000"'));
  await using second = await start([]);
  assert.deepEqual(second.news, ["refused foreign-dump"]);
});

test("a file of something else is refused as foreign, and replaced at the end", limit, async (context) => {
  const { pod, path, start } = await bench(context);
  await writeFile(path, "[kv-event-sync]\nport = 1\n");
  await using second = await start();
  await second.caughtUp(pod);
  await second.store.close();
  assert.deepEqual(second.news, ["refused foreign-dump", "written 1"]);
});

test("ranks, tiers, adapters and salts are restored as they were", limit, async (context) => {
  const transport = memory({ reconnectMinMs: 1, reconnectMaxMs: 20 });
  const pod = await engine(transport, "ns/a", {
    endpoints: [0, 1].map(() => ({ endpoint: "tcp://127.0.0.1:0", replayEndpoint: "tcp://127.0.0.1:0" })),
    capacityBlocks: 12,
    cpuCapacityBlocks: 20,
  });
  context.after(() => pod.stop());
  const path = join(await temporaryFolder(context), "snapshot");
  const tokens = Array.from({ length: 48 }, (_, i) => i);
  for (const rank of [0, 1]) {
    chat(pod, 6, rank);
    pod.request({ tokens, loraName: "sql" }, rank);
    pod.request({ tokens, cacheSalt: "salt" }, rank);
  }
  const exported = ({ store }: Daemon): string[] =>
    [0, 1].flatMap((rank) =>
      [...store.indexer.exportSource({ model: "m", pod: "ns/a", rank, loraId: -1 })]
        .map((block) => JSON.stringify(block, (_, value) => (typeof value === "bigint" ? `${value}` : value)))
        .sort(),
    );
  const start = (): Promise<Daemon> => daemon(transport, [podOf(pod)], { warmStart: { snapshotPath: path } });
  await using first = await start();
  await first.caughtUp(pod);
  const before = exported(first);
  await first.store.close();
  await using second = await start();
  await second.caughtUp(pod);
  assert.ok(before.some((line) => line.includes("sql")) && before.some((line) => line.includes("cpu")));
  assert.deepEqual(exported(second), before);
  assert.deepEqual([second.stream("ns/a", 0).batches, second.stream("ns/a", 1).batches], [0, 0]);
});

test("a daemon that was never ready keeps the snapshot that is there", limit, async (context) => {
  const { transport, path, start } = await bench(context);
  const before = await readFile(path, "utf8");
  transport.faults.set({ drop: 1 }, { from: "router" });
  await using second = await start();
  await second.watch.until(() => second.stream("ns/a").status === "catching-up");
  await second.store.close();
  assert.equal(await readFile(path, "utf8"), before);
});

test("a snapshot that cannot be written is told, and ends nothing", limit, async (context) => {
  const { transport, pod, path } = await bench(context);
  const warmStart = { snapshotPath: join(path, "not-a-folder", "snapshot") };
  await using second = await daemon(transport, [podOf(pod)], { warmStart });
  await second.caughtUp(pod);
  await second.store.close();
  assert.deepEqual(second.news, ["refused ENOTDIR", "write failed ENOTDIR"]);
});

test("metrics tell what was taken over, and how the snapshots go", limit, async (context) => {
  const { transport, pod, path } = await bench(context);
  const warmStart = { snapshotPath: path, snapshotIntervalMs: 1, peers: ["http://127.0.0.1:1"] };
  await using second = await daemon(transport, [podOf(pod)], { warmStart });
  await second.watch.until(() => second.news.includes("written 1"));
  const text = await second.store.registry.metrics();
  const value = (series: string): number =>
    Number(new RegExp(`^aibrix_kvcache_${series} (\\d+)$`, "m").exec(text)?.[1]);
  assert.equal(value("restores_refused_total"), 1);
  assert.equal(value("restored_blocks"), promptsOf(pod).length);
  assert.ok(value('snapshot_writes_total\\{outcome="success"\\}') >= 1);
  assert.ok(value("snapshot_bytes") > 500);
});

test("snapshots are written while the engines go on, and each can be gone on from", limit, async (context) => {
  const { transport, pod, path } = await bench(context);
  const warmStart = { snapshotPath: path, snapshotIntervalMs: 1 };
  await using second = await daemon(transport, [podOf(pod)], { warmStart });
  for (let i = 0; i < 20; i++) {
    chat(pod, 3);
    const written = second.news.length;
    await second.watch.until(() => second.news.length > written);
    if (i % 5 !== 4) continue;
    const copy = `${path}-${i}`;
    await writeFile(copy, await readFile(path));
    await using third = await daemon(transport, [podOf(pod)], { warmStart: { snapshotPath: copy } });
    await third.caughtUp(pod);
    assertExact({ indexer: third.store.indexer }, pod);
    assert.deepEqual([third.news, third.purges.length], [["restored 1"], 0]);
  }
});
