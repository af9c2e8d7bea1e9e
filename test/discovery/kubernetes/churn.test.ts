import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isEligible, podOf } from "../../../src/discovery/kubernetes/pod.ts";
import { kubernetesPods } from "../../../src/discovery/kubernetes.ts";
import { SyncPrefixHashTable } from "../../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventManager } from "../../../src/sync/manager.ts";
import type { StreamId, SyncObserver } from "../../../src/sync/status.ts";
import { memory } from "../../../transports/memory/index.ts";
import { until } from "../../interop/support/until.ts";
import { KubeApi } from "../../support/kube-api/server.ts";
import { seededRandom } from "../../support/random.ts";
import { ELIGIBLE } from "./pods.ts";

const PODS = 1_000;
const CHANGES = 6_000;
const FAULTS = ["normal", "normal", "expired", "reset", "empty", "error"] as const;

/** Fails where a stream is opened twice, or closed without being open. */
class OpenStreams implements SyncObserver {
  readonly open = new Set<string>();
  readonly mistakes: string[] = [];

  onStreamOpened(stream: StreamId): void {
    if (this.open.has(idOf(stream))) this.mistakes.push(`${idOf(stream)} is opened twice`);
    this.open.add(idOf(stream));
  }

  onStreamClosed(stream: StreamId): void {
    if (!this.open.delete(idOf(stream))) this.mistakes.push(`${idOf(stream)} is closed twice`);
  }
}

function idOf({ model, pod, rank }: StreamId): string {
  return `${model} ${pod} ${rank}`;
}

test("1,000 pods that churn under a server that fails come to the right streams, none doubled, none left", async () => {
  const folder = await mkdtemp(join(tmpdir(), "churn-"));
  try {
    await using api = new KubeApi();
    await api.listen();
    const kubeconfig = join(folder, "config");
    await writeFile(kubeconfig, api.kubeconfig());
    const random = seededRandom(7);
    const below = (bound: number): number => Math.floor(random() * bound);
    const streams = new OpenStreams();
    const discovery = kubernetesPods({ kubeconfig, retryMinMs: 2, retryMaxMs: 10, random });
    await using manager = new KVEventManager({
      transport: memory(),
      indexer: new SyncPrefixHashTable(),
      discoveries: [discovery],
      observers: [streams],
    });
    await manager.start();
    for (let change = 0; change < CHANGES; change++) {
      churn(api, below);
      if (change % 50 === 0) {
        api.faults.watchMode = FAULTS[below(FAULTS.length)]!;
        if (below(3) === 0) api.pods.compact();
        if (below(2) === 0) api.watches.reset();
        // What is going on has its turn.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    api.faults = {};
    const wanted = (): string => streamsOf(api).join();
    await until(
      "the right streams",
      () => [...streams.open].sort().join() === wanted(),
      (isRight) => isRight,
      60_000,
    );
    assert.deepEqual(streams.mistakes, []);
    assert.ok(streams.open.size > 500, `${streams.open.size} streams`);
    const shown = manager
      .pods()
      .flatMap(({ pod, streams: own }) => own.map(({ rank }) => `${pod.modelName} ${pod.key} ${rank}`));
    assert.deepEqual(shown.sort(), streamsOf(api));
    for (const { metadata } of api.pods.list(null)) api.pods.delete(metadata.namespace, metadata.name);
    await until(
      "no stream",
      () => streams.open.size,
      (open) => open === 0,
      60_000,
    );
    assert.deepEqual(manager.pods(), []);
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** One pod is added, changed or deleted. */
function churn(api: KubeApi, below: (bound: number) => number): void {
  const name = `pod-${below(PODS)}`;
  const status = { phase: below(5) === 0 ? "Pending" : "Running", podIP: `10.0.${below(4)}.${below(250)}` };
  if (api.pods.get("default", name) === undefined) {
    const annotations = { "kv-event-sync.io/data-parallel-size": String(1 + below(2)) };
    api.pods.create("default", { metadata: { name, labels: ELIGIBLE, annotations }, status });
    return;
  }
  switch (below(6)) {
    case 0:
      api.pods.delete("default", name);
      return;
    case 1:
      api.pods.delete("default", name);
      api.pods.create("default", { metadata: { name, labels: ELIGIBLE }, status });
      return;
    case 2:
      api.pods.patch("default", name, {
        metadata: { labels: { "model.aibrix.ai/kv-events-enabled": ["true", "false"][below(2)] } },
      });
      return;
    case 3:
      api.pods.patch("default", name, {
        metadata: { labels: { "model.aibrix.ai/name": ["llama", "qwen"][below(2)] } },
      });
      return;
    case 4:
      api.pods.patch("default", name, { status: { containerStatuses: [{ name: "engine", restartCount: below(3) }] } });
      return;
    default:
      api.pods.patch("default", name, { status });
  }
}

/** Those that the server's pods should have, sorted. */
function streamsOf(api: KubeApi): string[] {
  const pods = api.pods.list(null).map((pod) => podOf(pod, { port: 5557, replayPort: 5558, topic: "" }));
  return pods
    .filter(isEligible)
    .flatMap((pod) => pod.ranks.map(({ rank }) => `${pod.modelName} ${pod.key} ${rank}`))
    .sort();
}
