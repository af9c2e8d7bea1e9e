import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { register as globalRegistry, Registry } from "prom-client";
import { DecodeError, TransportError } from "../src/errors.ts";
import type { IndexStats } from "../src/indexer/indexer.ts";
import { createMetrics, type Metrics, type MetricsOptions } from "../src/metrics.ts";
import type { StreamId } from "../src/sync/status.ts";
import { podSeries, scrape } from "./metrics/scrape.ts";
import { podInfo } from "./server/support.ts";

const FIRST: StreamId = { pod: "default/a", model: "m", rank: 0 };
const SECOND: StreamId = { pod: "default/a", model: "m", rank: 1 };
const OTHER_POD: StreamId = { pod: "default/b", model: "m", rank: 0 };
const REFUSED = new TransportError("refused", "nobody listens");
const STATS: IndexStats = { contexts: 1, blocks: 20, holders: 30, orphans: 4, sources: 5, evictedBlocks: 6 };

function open(
  context: TestContext,
  streams: readonly StreamId[] = [FIRST],
  options: MetricsOptions = {},
): { readonly metrics: Metrics; readonly registry: Registry } {
  const registry = new Registry();
  const metrics = createMetrics(registry, options);
  context.after(() => metrics[Symbol.dispose]());
  for (const stream of streams) metrics.onStreamOpened?.(stream);
  return { metrics, registry };
}

test("the reference's series are there under its names and labels as soon as there is a pod", async (context) => {
  const { metrics, registry } = open(context);
  metrics.onBatch?.(FIRST, 0, { BlockStored: 1 }, 0.001);
  metrics.onError?.(FIRST, "framing", new Error("frames"));
  const series = await scrape(registry);
  for (const name of [
    'kvcache_zmq_connections_total{pod_key="default/a"}',
    'kvcache_zmq_disconnections_total{pod_key="default/a"}',
    'kvcache_zmq_reconnect_attempts_total{pod_key="default/a"}',
    'kvcache_zmq_events_received_total{pod_key="default/a",event_type="BlockStored"}',
    'kvcache_zmq_events_processed_total{pod_key="default/a",event_type="BlockStored"}',
    'kvcache_zmq_event_processing_duration_seconds_count{pod_key="default/a"}',
    'kvcache_zmq_missed_events_total{pod_key="default/a"}',
    'kvcache_zmq_replay_requests_total{pod_key="default/a"}',
    'kvcache_zmq_replay_success_total{pod_key="default/a"}',
    'kvcache_zmq_replay_failures_total{pod_key="default/a"}',
    'kvcache_zmq_errors_total{pod_key="default/a",error_type="framing"}',
    'kvcache_zmq_connection_status{pod_key="default/a"}',
    'kvcache_zmq_last_sequence_id{pod_key="default/a"}',
  ]) {
    assert.ok(series.has(name), name);
  }
});

test("a connection counts as one from the end of its handshake, not before", async (context) => {
  const { metrics, registry } = open(context);
  const seen: unknown[] = [];
  for (const state of [
    { status: "connecting", attempt: 1 },
    { status: "handshaking" },
    { status: "ready", connectionId: 1 },
  ] as const) {
    metrics.onConnection?.(FIRST, state);
    const series = await scrape(registry);
    seen.push([
      series.get('kvcache_zmq_connection_status{pod_key="default/a"}'),
      series.get('kvcache_zmq_connections_total{pod_key="default/a"}'),
    ]);
  }
  assert.deepEqual(seen, [
    [0, 0],
    [0, 0],
    [1, 1],
  ]);
});

test("a lost connection, its cause and the attempts to get it back are counted", async (context) => {
  const { metrics, registry } = open(context);
  metrics.onConnection?.(FIRST, { status: "connecting", attempt: 1 });
  metrics.onConnection?.(FIRST, { status: "ready", connectionId: 1 });
  for (let attempt = 1; attempt <= 2; attempt++) {
    metrics.onConnection?.(FIRST, { status: "waiting", cause: REFUSED, attempt, retryInMs: 1 });
    metrics.onConnection?.(FIRST, { status: "connecting", attempt });
  }
  const series = await scrape(registry);
  assert.equal(series.get('kvcache_zmq_disconnections_total{pod_key="default/a"}'), 1);
  assert.equal(series.get('kvcache_zmq_reconnect_attempts_total{pod_key="default/a"}'), 2);
  assert.equal(series.get('kvcache_zmq_errors_total{pod_key="default/a",error_type="refused"}'), 2);
  assert.equal(series.get('kvcache_zmq_connection_status{pod_key="default/a"}'), 0);
});

test("events are counted by type, those of unknown types together", async (context) => {
  const { metrics, registry } = open(context);
  metrics.onBatch?.(FIRST, 0, { BlockStored: 2, Invented1: 1, Invented2: 1 }, 0.001);
  metrics.onBatch?.(FIRST, 1, { BlockStored: 3, BlockRemoved: 1, AllBlocksCleared: 1 }, 0.001);
  const series = await scrape(registry);
  const counted = ["BlockStored", "BlockRemoved", "AllBlocksCleared", "other"].map((type) =>
    series.get(`kvcache_zmq_events_processed_total{pod_key="default/a",event_type="${type}"}`),
  );
  assert.deepEqual(counted, [5, 1, 1, 2]);
  assert.equal([...series.keys()].filter((name) => name.includes("Invented")).length, 0);
});

test("an event that cannot be read is received and not processed", async (context) => {
  const { metrics, registry } = open(context);
  metrics.onError?.(FIRST, "event-type", new DecodeError("event-type", "event 0 is of type X"));
  metrics.onError?.(FIRST, "msgpack", new DecodeError("msgpack", "cut off"));
  const series = await scrape(registry);
  assert.equal(series.get('kvcache_zmq_events_received_total{pod_key="default/a",event_type="other"}'), 1);
  assert.equal(series.has('kvcache_zmq_events_processed_total{pod_key="default/a",event_type="other"}'), false);
  assert.equal(series.get('kvcache_zmq_decode_errors_total{pod_key="default/a",kind="event-type"}'), 1);
  assert.equal(series.get('kvcache_zmq_errors_total{pod_key="default/a",error_type="msgpack"}'), 1);
});

test("an error of another kind is no decode error", async (context) => {
  const { metrics, registry } = open(context);
  metrics.onError?.(FIRST, "framing", new Error("two frames"));
  const series = await scrape(registry);
  assert.equal(series.get('kvcache_zmq_errors_total{pod_key="default/a",error_type="framing"}'), 1);
  const decodeErrors = [...series].filter(([name]) => name.startsWith("kvcache_zmq_decode_errors_total"));
  assert.deepEqual(new Set(decodeErrors.map(([, count]) => count)), new Set([0]));
});

test("what is no count or no time is ignored", async (context) => {
  const { metrics, registry } = open(context);
  for (const bad of [Number.NaN, -3, Number.POSITIVE_INFINITY]) {
    metrics.onMissed?.(FIRST, bad);
    metrics.onBatch?.(FIRST, bad, { BlockStored: bad }, bad);
  }
  metrics.onMissed?.(FIRST, 2);
  const series = await scrape(registry);
  assert.equal(series.get('kvcache_zmq_missed_events_total{pod_key="default/a"}'), 2);
  assert.equal(series.get('kvcache_zmq_events_processed_total{pod_key="default/a",event_type="BlockStored"}'), 0);
  assert.equal(series.get('kvcache_zmq_event_processing_duration_seconds_count{pod_key="default/a"}'), 0);
  assert.equal(series.has('kvcache_zmq_last_sequence_id{pod_key="default/a"}'), false);
});

test("an unknown kind of error is no new series", async (context) => {
  const { metrics, registry } = open(context);
  metrics.onError?.(FIRST, "made-up", new Error("whatever"));
  const series = await scrape(registry);
  assert.equal(series.get('kvcache_zmq_errors_total{pod_key="default/a",error_type="other"}'), 1);
  assert.ok(![...series.keys()].some((name) => name.includes("made-up")));
});

test("processing times fall into 15 buckets from 10 µs, each twice the one before", async (context) => {
  const { metrics, registry } = open(context);
  for (const seconds of [0.000_01, 0.000_011, 0.1, 1]) metrics.onBatch?.(FIRST, 0, {}, seconds);
  const name = "kvcache_zmq_event_processing_duration_seconds";
  const series = await scrape(registry);
  const buckets = [...series].filter(([key]) => key.startsWith(`${name}_bucket`));
  const bounds = buckets.map(([key]) => /le="([^"]*)"/.exec(key)?.[1]);
  assert.deepEqual(bounds, [...Array.from({ length: 15 }, (_, power) => String(0.000_01 * 2 ** power)), "+Inf"]);
  assert.deepEqual(
    buckets.map(([, count]) => count),
    [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4],
  );
  assert.equal(series.get(`${name}_count{pod_key="default/a"}`), 4);
  assert.ok(Math.abs(series.get(`${name}_sum{pod_key="default/a"}`)! - 1.100_021) < 1e-9);
});

test("missed batches, duplicates, purges and restarts are counted", async (context) => {
  const { metrics, registry } = open(context);
  metrics.onMissed?.(FIRST, 7);
  metrics.onDuplicate?.(FIRST);
  metrics.onPurge?.(FIRST, "gap");
  metrics.onPurge?.(FIRST, "restart");
  const series = await scrape(registry);
  assert.equal(series.get('kvcache_zmq_missed_events_total{pod_key="default/a"}'), 7);
  assert.equal(series.get('kvcache_zmq_duplicate_batches_total{pod_key="default/a"}'), 1);
  assert.equal(series.get('kvcache_zmq_purges_total{pod_key="default/a",reason="gap"}'), 1);
  assert.equal(series.get('kvcache_zmq_purges_total{pod_key="default/a",reason="restart"}'), 1);
  assert.equal(series.get('kvcache_zmq_restarts_total{pod_key="default/a"}'), 1);
});

test("replays are counted by their end, and timed", async (context) => {
  const { metrics, registry } = open(context);
  for (const succeeded of [true, true, false]) {
    metrics.onReplayRequested?.(FIRST, 0);
    metrics.onReplayEnded?.(FIRST, succeeded, 0.25);
  }
  const series = await scrape(registry);
  const value = (name: string): number | undefined => series.get(`kvcache_zmq_replay_${name}{pod_key="default/a"}`);
  assert.deepEqual(["requests_total", "success_total", "failures_total"].map(value), [3, 2, 1]);
  assert.deepEqual(["duration_seconds_count", "duration_seconds_sum"].map(value), [3, 0.75]);
});

test("each stream tells which status it has, and which not", async (context) => {
  const { metrics, registry } = open(context, [FIRST, SECOND]);
  metrics.onStatus?.(FIRST, "live");
  const series = await scrape(registry);
  const values = (rank: number) =>
    ["connecting", "catching-up", "live", "partial"].map((status) =>
      series.get(`kvcache_zmq_stream_status{pod_key="default/a",model="m",rank="${rank}",status="${status}"}`),
    );
  assert.deepEqual(
    [values(0), values(1)],
    [
      [0, 0, 1, 0],
      [1, 0, 0, 0],
    ],
  );
});

test("the status of a rank goes with its stream, though its pod stays", async (context) => {
  const { metrics, registry } = open(context, [FIRST, SECOND]);
  metrics.onStreamClosed?.(FIRST);
  const names = [...(await scrape(registry)).keys()].filter((name) => name.startsWith("kvcache_zmq_stream_status"));
  assert.equal(names.length, 4);
  assert.ok(names.every((name) => name.includes('rank="1"')));
});

test("lag is that of live batches, and 0 where the engine's clock is ahead", async (context) => {
  const { metrics, registry } = open(context);
  for (const lag of [undefined, 0.25, -3, Number.NaN]) metrics.onBatch?.(FIRST, 0, {}, 0.001, lag);
  const series = await scrape(registry);
  const value = (name: string) => series.get(`kvcache_zmq_lag_seconds_${name}{pod_key="default/a"}`);
  assert.deepEqual([value("count"), value("sum")], [2, 0.25]);
  assert.equal(series.get('kvcache_zmq_lag_seconds_bucket{le="0.001",pod_key="default/a"}'), 1);
});

test("what waits in a pod's streams is summed at the scrape, and gone with the pod", async (context) => {
  let pods = [
    podInfo("default/a", {}, [
      { rank: 0, heldBatches: 2, heldBytes: 300 },
      { rank: 1, heldBatches: 1, heldBytes: 200 },
    ]),
    podInfo("default/a", { modelName: "n" }, [{ model: "n", heldBatches: 4, heldBytes: 500 }]),
  ];
  const { registry } = open(context, [], { directory: { pods: () => pods } });
  const values = async () => {
    const series = await scrape(registry);
    return ["batches", "bytes"].map((unit) => series.get(`kvcache_zmq_held_${unit}{pod_key="default/a"}`));
  };
  assert.deepEqual(await values(), [7, 1000]);
  pods = [];
  assert.deepEqual(await values(), [undefined, undefined]);
});

test("the counters of a pod are the sums of its ranks", async (context) => {
  const { metrics, registry } = open(context, [FIRST, SECOND]);
  metrics.onMissed?.(FIRST, 1);
  metrics.onMissed?.(SECOND, 2);
  assert.equal((await scrape(registry)).get('kvcache_zmq_missed_events_total{pod_key="default/a"}'), 3);
});

test("a pod is connected where all of its ranks are", async (context) => {
  const { metrics, registry } = open(context, [FIRST, SECOND]);
  const status = async () => (await scrape(registry)).get('kvcache_zmq_connection_status{pod_key="default/a"}');
  metrics.onConnection?.(FIRST, { status: "ready", connectionId: 1 });
  assert.equal(await status(), 0);
  metrics.onConnection?.(SECOND, { status: "ready", connectionId: 1 });
  assert.equal(await status(), 1);
});

test("a pod's sequence is the highest of its ranks', and a purged stream has none", async (context) => {
  const { metrics, registry } = open(context, [FIRST, SECOND]);
  const sequence = async () => (await scrape(registry)).get('kvcache_zmq_last_sequence_id{pod_key="default/a"}');
  assert.equal(await sequence(), undefined);
  metrics.onBatch?.(FIRST, 40, {}, 0);
  metrics.onBatch?.(SECOND, 7, {}, 0);
  assert.equal(await sequence(), 40);
  metrics.onPurge?.(FIRST, "restart");
  assert.equal(await sequence(), 7);
});

test("a pod's series go with its last stream, and no other's", async (context) => {
  const { metrics, registry } = open(context, [FIRST, SECOND, OTHER_POD]);
  const otherSeries = await podSeries(registry, "default/b");
  metrics.onStreamClosed?.(FIRST);
  assert.notDeepEqual(await podSeries(registry, "default/a"), []);
  metrics.onStreamClosed?.(SECOND);
  assert.deepEqual(await podSeries(registry, "default/a"), []);
  assert.deepEqual(await podSeries(registry, "default/b"), otherSeries);
});

test("pods of one key and two models share their series", async (context) => {
  const sameKey: StreamId = { ...FIRST, model: "other" };
  const { metrics, registry } = open(context, [FIRST, sameKey]);
  metrics.onDuplicate?.(FIRST);
  metrics.onDuplicate?.(sameKey);
  metrics.onStreamClosed?.(sameKey);
  assert.equal((await scrape(registry)).get('kvcache_zmq_duplicate_batches_total{pod_key="default/a"}'), 2);
});

test("a rank that goes while it is connected counts as a connection that ended", async (context) => {
  const { metrics, registry } = open(context, [FIRST, SECOND]);
  metrics.onConnection?.(FIRST, { status: "ready", connectionId: 1 });
  metrics.onStreamClosed?.(FIRST);
  assert.equal((await scrape(registry)).get('kvcache_zmq_disconnections_total{pod_key="default/a"}'), 1);
});

test("what comes of a stream after its end brings no series back", async (context) => {
  const { metrics, registry } = open(context);
  metrics.onStreamClosed?.(FIRST);
  metrics.onConnection?.(FIRST, { status: "ready", connectionId: 1 });
  metrics.onBatch?.(FIRST, 0, { BlockStored: 1 }, 0.001);
  metrics.onReplayEnded?.(FIRST, false, 1);
  metrics.onError?.(FIRST, "framing", new Error("late"));
  metrics.onPurge?.(FIRST, "gap");
  metrics.onStreamClosed?.(FIRST);
  assert.deepEqual(await podSeries(registry), []);
});

test("the size of the index is what it is at the scrape", async (context) => {
  let stats = STATS;
  const indexer = { stats: () => stats, sourceStats: () => [], bytes: 7_000 };
  const { registry } = open(context, [], { indexer });
  const names = ["blocks", "holders", "orphans", "contexts", "sources", "evicted_blocks_total"];
  const values = async () => {
    const series = await scrape(registry);
    return names.map((name) => series.get(`kvcache_index_${name}`));
  };
  assert.deepEqual(await values(), [20, 30, 4, 1, 5, 6]);
  stats = { ...STATS, blocks: 3, evictedBlocks: 8 };
  assert.deepEqual(await values(), [3, 30, 4, 1, 5, 8]);
  assert.equal((await scrape(registry)).get("kvcache_index_bytes"), 7_000);
});

test("what a pod has in the index is the sum of its ranks, by model, and gone with the pod", async (context) => {
  const source = { model: "m", pod: "default/a", rank: 0, blocks: 10, orphans: 1, bytes: 4_000 };
  let sources = [source, { ...source, rank: 1, blocks: 5 }, { ...source, model: "n", blocks: 100 }];
  const indexer = { stats: () => STATS, sourceStats: () => sources, bytes: 0 };
  const { registry } = open(context, [], { indexer });
  const values = async (model: string) => {
    const series = await scrape(registry);
    return ["blocks", "orphans", "bytes"].map((unit) =>
      series.get(`kvcache_index_pod_${unit}{model="${model}",pod_key="default/a"}`),
    );
  };
  assert.deepEqual(
    [await values("m"), await values("n")],
    [
      [15, 2, 8_000],
      [100, 1, 4_000],
    ],
  );
  sources = [];
  assert.deepEqual(await values("m"), [undefined, undefined, undefined]);
});

test("a blocked event loop shows as a delay", { timeout: 10_000 }, async (context) => {
  const { registry, metrics } = open(context);
  metrics.start();
  const delay = async () => (await scrape(registry)).get('kvcache_event_loop_delay_seconds{stat="max"}')!;
  while ((await delay()) < 0.03) {
    // After a scrape the first tick of the monitor's timer only starts its measuring.
    for (let tick = 0; tick < 3; tick++) {
      const endMs = performance.now() + 50;
      while (performance.now() < endMs);
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
});

test("process metrics are there from the start on where they are asked for, and go with the others", async (context) => {
  const { metrics, registry } = open(context, [], { processMetrics: true });
  const areThere = async () => (await scrape(registry)).has("process_resident_memory_bytes");
  assert.equal(await areThere(), false);
  metrics.start();
  metrics.start();
  assert.equal(await areThere(), true);
  metrics[Symbol.dispose]();
  assert.deepEqual(registry.getMetricsAsArray(), []);
});

test("the event loop is measured between start and stop, and at no other time", async (context) => {
  const { metrics, registry } = open(context);
  const isMeasured = async () => (await scrape(registry)).has('kvcache_event_loop_delay_seconds{stat="p99"}');
  const seen = [await isMeasured()];
  for (const change of [() => metrics.start(), () => metrics.stop()]) {
    change();
    seen.push(await isMeasured());
  }
  assert.deepEqual(seen, [false, true, false]);
});

test("requests are timed by path and outcome, and what is asked for makes up no series", async (context) => {
  const { metrics, registry } = open(context);
  metrics.requests.answered("/query", "success", 0.001);
  metrics.requests.answered("/query", "success", 0.002);
  metrics.requests.answered("/query", "client_error", 0.004);
  for (let made = 0; made < 100; made++) metrics.requests.answered(`/made-up-${made}`, "client_error", 1);
  const series = await scrape(registry);
  const name = "kvcache_http_request_duration_seconds";
  assert.equal(series.get(`${name}_count{path="/query",outcome="success"}`), 2);
  assert.equal(series.get(`${name}_sum{path="/query",outcome="success"}`), 0.003);
  assert.equal(series.get(`${name}_count{path="/query",outcome="client_error"}`), 1);
  assert.equal(series.get(`${name}_count{path="other",outcome="client_error"}`), 77);
});

test("two instances count apart, and nothing goes to the global registry", async (context) => {
  const one = open(context);
  const two = open(context);
  one.metrics.onDuplicate?.(FIRST);
  const name = 'kvcache_zmq_duplicate_batches_total{pod_key="default/a"}';
  assert.equal((await scrape(one.registry)).get(name), 1);
  assert.equal((await scrape(two.registry)).get(name), 0);
  assert.deepEqual(globalRegistry.getMetricsAsArray(), []);
});

test("a registry takes one instance at a time", async (context) => {
  const { metrics, registry } = open(context);
  assert.throws(() => createMetrics(registry), /already been registered/);
  metrics[Symbol.dispose]();
  metrics[Symbol.dispose]();
  assert.deepEqual(registry.getMetricsAsArray(), []);
  createMetrics(registry)[Symbol.dispose]();
});
