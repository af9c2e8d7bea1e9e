import assert from "node:assert/strict";
import { until } from "../../interop/support/until.ts";
import { ELIGIBLE, type PodLog } from "./pods.ts";

const LABEL = "model.aibrix.ai/kv-events-enabled";

/** Pods of one namespace of a cluster; their status is told as a kubelet would. */
export interface ClusterPods {
  create(name: string, options: { readonly labels: Readonly<Record<string, string>> }): Promise<unknown>;
  /** Its container runs, was restarted so many times, and is ready or not. */
  run(name: string, ip: string, state?: { readonly restarts?: number; readonly isReady?: boolean }): Promise<unknown>;
  status(name: string, status: { readonly phase: string }): Promise<unknown>;
  change(name: string, metadata: { readonly labels?: object; readonly annotations?: object }): Promise<unknown>;
  /** Begins its end: it stays until it is removed. */
  terminate(name: string): Promise<unknown>;
  remove(name: string): Promise<unknown>;
}

/** Waits until so many lines were heard, and returns them. */
export async function heard(log: PodLog, lines: number): Promise<readonly string[]> {
  await until(
    `${lines} lines`,
    () => log.lines,
    (all) => all.length >= lines,
  );
  return log.lines.map((line) => line.replace(/\/\S+\//, "/"));
}

/** All that happens to a pod, and what who follows it hears: on any API server. `log` listens to the namespace. */
export async function lifeCycle(pods: ClusterPods, log: PodLog, namespace: string): Promise<void> {
  const key = `${namespace}/a`;
  const pod = () => log.pods.get(key)!;

  await pods.create("a", { labels: ELIGIBLE });
  await pods.run("a", "10.0.0.1", { isReady: false });
  assert.deepEqual(await heard(log, 1), [`+${key}`]);
  assert.deepEqual(
    [pod().modelName, pod().isRoutable, pod().ranks[0]!.endpoint],
    ["llama", false, "tcp://10.0.0.1:5557"],
  );
  const { uid } = pod();

  await pods.run("a", "10.0.0.1");
  await heard(log, 2);
  assert.equal(pod().isRoutable, true);

  await pods.run("a", "10.0.0.1", { restarts: 1 });
  await heard(log, 3);
  assert.deepEqual([pod().restartCount, pod().uid], [1, uid]);

  await pods.run("a", "10.0.0.2", { restarts: 1 });
  await heard(log, 4);
  assert.equal(pod().ranks[0]!.endpoint, "tcp://10.0.0.2:5557");

  await pods.change("a", { annotations: { "kv-event-sync.io/data-parallel-size": "2" } });
  await heard(log, 5);
  assert.deepEqual(
    pod().ranks.map(({ replayEndpoint }) => replayEndpoint),
    ["tcp://10.0.0.2:5559", "tcp://10.0.0.2:5560"],
  );

  await pods.change("a", { labels: { [LABEL]: "false" } });
  await pods.change("a", { labels: { [LABEL]: "true" } });
  await heard(log, 7);

  await pods.terminate("a");
  await heard(log, 8);
  assert.equal(pod().isRoutable, false);
  await pods.remove("a");
  await pods.create("a", { labels: ELIGIBLE });
  await pods.run("a", "10.0.0.3");
  await heard(log, 10);
  assert.notEqual(pod().uid, uid);

  await pods.status("a", { phase: "Succeeded" });
  const all = [
    `+${key}`,
    ...Array(4).fill(`~${key}`),
    `-${key}`,
    `+${key}`,
    `~${key}`,
    `-${key}`,
    `+${key}`,
    `-${key}`,
  ];
  assert.deepEqual(await heard(log, 11), all);
  assert.equal(log.pods.size, 0);
}
