import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { matchPercentBucket, registerRoutingSeries } from "../../src/metrics/routing.ts";
import { scrape } from "./scrape.ts";

const SUBJECT = { model: "m", usingKvSync: true };

test("a share falls into the bucket that names it, a part of a percent into the first above 0", () => {
  const shares = [0, 0.4, 1, 25, 25.5, 26, 50, 51, 75, 76, 100, Number.NaN, -1];
  assert.deepEqual(shares.map(matchPercentBucket), [
    "0",
    "1-25",
    "1-25",
    "1-25",
    "26-50",
    "26-50",
    "26-50",
    "51-75",
    "51-75",
    "76-100",
    "76-100",
    "0",
    "0",
  ]);
});

test("a decision is counted by share and by selection, and timed", async () => {
  const registry = new Registry();
  registerRoutingSeries(registry, "aibrix_").decided(SUBJECT, "prefix_match", 60, 0.002);
  const series = await scrape(registry);
  const decisions = 'prefix_cache_routing_decisions_total{model="m",using_kv_sync="true",match_percent_bucket="51-75"}';
  const selection = 'prefix_cache_routing_selection_total{model="m",using_kv_sync="true",selection="prefix_match"}';
  assert.equal(series.get(decisions), 1);
  assert.equal(series.get(selection), 1);
  assert.equal(series.get('prefix_cache_routing_latency_seconds_sum{model="m",using_kv_sync="true"}'), 0.002);
});

test("a time that is none is not recorded, the decision is", async () => {
  const registry = new Registry();
  const routing = registerRoutingSeries(registry, "aibrix_");
  for (const seconds of [Number.NaN, -1]) routing.decided(SUBJECT, "least_request_fallback", 0, seconds);
  const series = await scrape(registry);
  const selection =
    'prefix_cache_routing_selection_total{model="m",using_kv_sync="true",selection="least_request_fallback"}';
  assert.equal(series.get(selection), 2);
  assert.ok(![...series.keys()].some((name) => name.startsWith("prefix_cache_routing_latency_seconds_count")));
});

test("failures, imbalances and the index in use are recorded", async () => {
  const registry = new Registry();
  const routing = registerRoutingSeries(registry, "aibrix_");
  routing.failed({ model: "m", usingKvSync: false }, "tokenizer");
  routing.imbalanced(SUBJECT);
  routing.indexerStatus("m", "sync", true);
  routing.indexerStatus("m", "local", false);
  const series = await scrape(registry);
  const errors = 'prefix_cache_routing_errors_total{model="m",using_kv_sync="false",reason="tokenizer"}';
  assert.equal(series.get(errors), 1);
  assert.equal(series.get('prefix_cache_load_imbalance_total{model="m",using_kv_sync="true"}'), 1);
  assert.equal(series.get('prefix_cache_indexer_status{model="m",indexer_type="sync"}'), 1);
  assert.equal(series.get('prefix_cache_indexer_status{model="m",indexer_type="local"}'), 0);
});

test("names of models cannot fill the memory", async () => {
  const registry = new Registry();
  const routing = registerRoutingSeries(registry, "aibrix_");
  for (let model = 0; model < 1_002; model++) routing.imbalanced({ model: `m${model}`, usingKvSync: true });
  const series = await scrape(registry);
  const count = (model: string) =>
    series.get(`prefix_cache_load_imbalance_total{model="${model}",using_kv_sync="true"}`);
  assert.deepEqual([count("m999"), count("m1000"), count("other")], [1, undefined, 2]);
});
