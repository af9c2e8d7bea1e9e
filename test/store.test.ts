import assert from "node:assert/strict";
import { test } from "node:test";
import { createStore, createTransport, generateCurveKeys } from "../src/container.ts";
import type { Discovery } from "../src/discovery/discovery.ts";
import { ConfigurationError } from "../src/errors.ts";
import type { SyncPrefixHashTable } from "../src/indexer/sync-prefix-hash-table.ts";
import type { TransportName } from "../src/options.ts";
import type { Store } from "../src/store.ts";
import { memory } from "../transports/memory/index.ts";
import { zmtp } from "../transports/zmtp/index.ts";
import { deferred } from "./support/deferred.ts";
import { assertExact, chat, engine, PipelineWatch } from "./support/pipeline.ts";
import { runModule } from "./support/run-module.ts";

const limit = { timeout: 30_000 };

test("a store follows its endpoints over the transport that it was given, and answers", limit, async (context) => {
  const transport = memory();
  const pod = await engine(transport, "ns/a");
  context.after(() => pod.stop());
  chat(pod, 4);
  const watch = new PipelineWatch();
  const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: "" }] = pod.ranks;
  await using store = await createStore({
    transport,
    endpoints: [{ endpoint, replayEndpoint: replayEndpoint!, model: "m", name: "ns/a" }],
    observers: [watch],
  });
  assert.equal(store.getSyncPrefixIndexer(), undefined, "before the start there is nothing to ask");
  await store.initKVEventSync();
  await watch.until(() => store.pods()[0]?.streams[0]?.lastSequence === pod.nextSequence() - 1);
  const [block] = pod.pool();
  assert.equal(store.getSyncPrefixIndexer()?.matchPrefix("m", -1, block!.prefixTokens())[0]?.pod, "ns/a");
  assert.match(await store.registry.metrics(), /aibrix_kvcache_zmq_connection_status\{pod_key="ns\/a"\} 1/);
  await store.close();
  assert.equal(store.getSyncPrefixIndexer(), undefined);
  assert.deepEqual(store.pods(), []);
  await store.close();
});

test("two stores in one process have nothing in common", limit, async (context) => {
  const stores: Store[] = [];
  context.after(() => Promise.all(stores.map((store) => store.close())));
  for (const name of ["a", "b"]) {
    const endpoints = [{ endpoint: `tcp://127.0.0.1:1`, model: name }];
    const store = await createStore({ transport: memory(), endpoints });
    await store.initKVEventSync();
    stores.push(store);
  }
  const [a, b] = stores as [Store, Store];
  assert.notEqual(a.registry, b.registry);
  assert.notEqual(a.getSyncPrefixIndexer(), b.getSyncPrefixIndexer());
  assert.deepEqual(
    stores.map((store) => store.pods().map(({ pod: { modelName } }) => modelName)),
    [["a"], ["b"]],
  );
  await a.close();
  await b.whenReady();
  assert.equal(b.pods().length, 1);
});

test("pods that register are followed like those of the options", limit, async (context) => {
  const transport = zmtp();
  const pod = await engine(transport, "ns/a");
  context.after(() => pod.stop());
  chat(pod, 2);
  const watch = new PipelineWatch();
  await using store = await createStore({ transport, observers: [watch] });
  await store.initKVEventSync();
  const { endpoint, replayEndpoint } = pod.ranks[0]!;
  store.registered.register({ instanceId: "i", modelName: "m", endpoint, replayEndpoint: replayEndpoint! });
  await watch.until(() => store.pods()[0]?.streams[0]?.lastSequence === pod.nextSequence() - 1);
  store.registered.unregister({ instanceId: "i", modelName: "m" });
  assert.equal(store.indexer.stats().holders, 0);
});

test(
  "a store is ready when it holds what its engines hold, and the others cannot be reached",
  limit,
  async (context) => {
    const transport = memory();
    const pod = await engine(transport, "ns/a");
    context.after(() => pod.stop());
    chat(pod, 6);
    const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: "" }] = pod.ranks;
    const endpoints = [
      { endpoint, replayEndpoint: replayEndpoint!, model: "m", name: "ns/a" },
      { endpoint: "tcp://127.0.0.1:1", model: "m" },
    ];
    await using store = await createStore({ transport, endpoints });
    await store.initKVEventSync();
    assert.ok(!store.isReady);
    await store.whenReady();
    assertExact({ indexer: store.indexer as SyncPrefixHashTable }, pod);
    assert.ok(store.isReady);
  },
);

test(
  "a pod that goes takes all of its series along, those of the index and of what waits as well",
  limit,
  async (context) => {
    const transport = memory();
    const pod = await engine(transport, "ns/a");
    context.after(() => pod.stop());
    chat(pod, 4);
    const watch = new PipelineWatch();
    await using store = await createStore({ transport, observers: [watch] });
    await store.initKVEventSync();
    const { endpoint, replayEndpoint } = pod.ranks[0]!;
    store.registered.register({ instanceId: "i", modelName: "m", endpoint, replayEndpoint: replayEndpoint! });
    await watch.until(() => store.pods()[0]?.streams[0]?.lastSequence === pod.nextSequence() - 1);
    const ofPod = async () =>
      (await store.registry.metrics()).split("\n").filter((line) => line.includes('pod_key="i"'));
    const names = new Set((await ofPod()).map((line) => line.slice(0, line.indexOf("{"))));
    for (const name of ["zmq_stream_status", "zmq_held_batches", "index_pod_blocks", "zmq_lag_seconds_count"]) {
      assert.ok(names.has(`aibrix_kvcache_${name}`), name);
    }
    store.registered.unregister({ instanceId: "i", modelName: "m" });
    assert.deepEqual(await ofPod(), []);
  },
);

test("an endpoint that the transport can never reach is refused with the remedy", async () => {
  const made = createStore({ transport: "zmtp", endpoints: [{ endpoint: "ws://127.0.0.1:1", model: "m" }] });
  await assert.rejects(made, {
    code: "invalid-option",
    message: /^endpoint ws:.*: transport zmtp knows .*; use transport websocket$/,
  });
});

test("a pod of the options cannot be registered again", limit, async () => {
  const endpoint = "tcp://127.0.0.1:1";
  await using store = await createStore({ transport: memory(), endpoints: [{ endpoint, model: "m", name: "a" }] });
  await store.initKVEventSync();
  const registration = { instanceId: "a", modelName: "m", endpoint };
  assert.throws(() => store.registered.register(registration), { code: "conflict", message: /known from elsewhere/ });
  store.registered.register({ ...registration, modelName: "n" });
  assert.equal(store.pods().length, 2);
});

test("a store that is not started leaves nothing, and one that is closed does not start", async () => {
  const store = await createStore({ endpoints: [{ endpoint: "tcp://127.0.0.1:1", model: "m" }] });
  await store.close();
  await assert.rejects(store.initKVEventSync(), { code: "closed" });
  assert.ok(!store.isReady);
});

test("a start that fails takes no host down: it is told, counted and cleaned up", async () => {
  const cause = new Error("no such cluster");
  const failures: Error[] = [];
  const failing: Discovery = {
    start: () => Promise.reject(cause),
    async [Symbol.asyncDispose]() {},
  };
  await using store = await createStore({
    endpoints: [{ endpoint: "tcp://127.0.0.1:1", model: "m" }],
    discoveries: [failing],
    onStartFailed: (error) => failures.push(error),
  });
  await Promise.all([store.initKVEventSync(), store.initKVEventSync()]);
  await store.initKVEventSync();
  assert.deepEqual(failures, [cause]);
  assert.equal(store.startError, cause);
  assert.equal(store.getSyncPrefixIndexer(), undefined);
  assert.deepEqual([store.isReady, store.pods()], [false, []]);
  await assert.rejects(store.whenReady(), { code: "closed" });
  const counter = await store.registry.getSingleMetric("aibrix_kvcache_sync_start_failures_total")?.get();
  assert.equal(counter?.values[0]?.value, 1);
});

test("a start that is given up is the caller's own", async () => {
  const asked = deferred();
  const hanging: Discovery = {
    start: (_listener, { signal } = {}) =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
        asked.resolve();
      }),
    async [Symbol.asyncDispose]() {},
  };
  await using store = await createStore({ discoveries: [hanging] });
  const controller = new AbortController();
  const started = store.initKVEventSync({ signal: controller.signal });
  await asked.promise;
  controller.abort(new Error("enough"));
  await assert.rejects(started, /enough/);
  assert.equal(store.startError, null);
});

test("a store that is off keeps nobody waiting", limit, async () => {
  await using store = await createStore({ transport: "memory", enabled: false });
  await store.initKVEventSync();
  await store.whenReady();
  assert.equal(store.isReady, true);
});

test("a store that is off has no index to ask, and costs no timer, socket or watch", limit, async () => {
  const { stdout, stderr } = await runModule(`
    import { syncBuiltinESMExports } from "node:module";
    import hooks from "node:perf_hooks";
    // They keep no process alive, so that they are no active resources.
    let measuring = 0;
    const { monitorEventLoopDelay, PerformanceObserver } = hooks;
    hooks.monitorEventLoopDelay = (options) => {
      measuring++;
      return monitorEventLoopDelay(options);
    };
    hooks.PerformanceObserver = class extends PerformanceObserver {
      observe(options) {
        measuring++;
        super.observe(options);
      }
    };
    syncBuiltinESMExports();
    const { createStore } = await import("./src/container.ts");
    const endpoints = [{ endpoint: "tcp://127.0.0.1:1", model: "m" }];
    const kubernetes = { kubeconfig: "/does/not/exist" };
    process.stdout.write("");
    const before = process.getActiveResourcesInfo();
    const store = await createStore({ transport: "zmtp", endpoints, kubernetes, processMetrics: true, enabled: false });
    await store.initKVEventSync();
    if (store.getSyncPrefixIndexer() !== undefined || store.pods().length > 0) throw new Error("it is on");
    const off = process.getActiveResourcesInfo();
    const measuringOff = measuring;
    await store.close();
    const other = await createStore({ transport: "zmtp", endpoints, processMetrics: true });
    await other.initKVEventSync();
    const on = process.getActiveResourcesInfo();
    await other.close();
    process.stdout.write(JSON.stringify({ before, off, on, measuringOff, measuring }));
  `);
  assert.equal(stderr, "");
  const { before, off, on, measuringOff, measuring } = JSON.parse(stdout);
  assert.deepEqual(off, before);
  assert.equal(measuringOff, 0);
  assert.notDeepEqual(on, before, "the count can tell");
  assert.ok(measuring > 0);
});

for (const [name, made] of [
  ["auto", "zmtp"],
  ["zmtp", "zmtp"],
  ["memory", "memory"],
  ["libzmq", "libzmq"],
] as const) {
  test(`the transport "${name}" is ${made}`, async () => {
    assert.equal((await createTransport(name)).name, made);
  });
}

test("a store shows an engine the keys that it asks for, and gets its events encrypted", limit, async (context) => {
  const [server, client] = [generateCurveKeys(), generateCurveKeys()];
  const seen: string[] = [];
  const authenticate = ({ publicKey }: { readonly publicKey: string }): boolean => {
    seen.push(publicKey);
    return true;
  };
  const engines = zmtp({ security: { mechanism: "CURVE", role: "server", secretKey: server.secretKey, authenticate } });
  const pod = await engine(engines, "ns/a");
  context.after(() => pod.stop());
  chat(pod, 3);
  const watch = new PipelineWatch();
  const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: "" }] = pod.ranks;
  await using store = await createStore({
    transport: "zmtp",
    security: { mechanism: "CURVE", serverKey: server.publicKey, secretKey: client.secretKey },
    endpoints: [{ endpoint, replayEndpoint: replayEndpoint!, model: "m" }],
    observers: [watch],
  });
  await store.initKVEventSync();
  await watch.until(() => store.pods()[0]?.streams[0]?.lastSequence === pod.nextSequence() - 1);
  assert.deepEqual(new Set(seen), new Set([client.publicKey]));
});

test("security that the transport does not have is refused", async () => {
  const security = { mechanism: "PLAIN", username: "u", password: "p" } as const;
  await assert.rejects(createTransport("memory", { security }), /transport memory knows no PLAIN/);
});

test("what holds for every connection reaches each transport", async () => {
  for (const name of ["zmtp", "memory", "libzmq", "websocket"] as const) {
    const connections = { maxMessageBytes: 1_000, reconnectMinMs: 3, reconnectMaxMs: 2 };
    await assert.rejects(createTransport(name, { connections }), { code: "invalid-option", message: /reconnectMaxMs/ });
  }
  const connections = { maxMessageBytes: 0.5 };
  await assert.rejects(createTransport("zmtp", { connections }), /maxMessageBytes is 0.5/);
  assert.equal((await createTransport("memory", { connections })).name, "memory");
});

test("an unknown transport is refused with those that there are", async () => {
  await assert.rejects(
    createTransport("nanomsg" as TransportName),
    (error) => error instanceof ConfigurationError && /"nanomsg": use zmtp, libzmq/.test(error.message),
  );
});
