import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { kubernetesPods } from "../../../src/discovery/kubernetes.ts";
import { KubeApi } from "../../support/kube-api/server.ts";
import { type ClusterPods, lifeCycle } from "./life-cycle.ts";
import { PodLog } from "./pods.ts";

/** The pods of the namespace `default`, as a kubelet and a user change them. */
function podsOf({ pods }: KubeApi): ClusterPods {
  const patch = (name: string, change: object) => Promise.resolve(pods.patch("default", name, change));
  return {
    create: async (name, { labels }) => pods.create("default", { metadata: { name, labels } }),
    run: (name, ip, { restarts = 0, isReady = true } = {}) =>
      patch(name, {
        status: {
          phase: "Running",
          podIP: ip,
          conditions: [{ type: "Ready", status: isReady ? "True" : "False" }],
          containerStatuses: [{ name: "engine", restartCount: restarts }],
        },
      }),
    status: (name, status) => patch(name, { status }),
    change: (name, metadata) => patch(name, { metadata }),
    terminate: (name) => patch(name, { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }),
    remove: async (name) => pods.delete("default", name),
  };
}

test("life cycle: a pod is followed from Running on, through all that happens to it, and until it is gone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "life-cycle-"));
  try {
    await using api = new KubeApi();
    await api.listen();
    const kubeconfig = join(folder, "config");
    await writeFile(kubeconfig, api.kubeconfig());
    const log = new PodLog();
    await using discovery = kubernetesPods({ kubeconfig });
    await discovery.start(log);
    await lifeCycle(podsOf(api), log, "default");
  } finally {
    await rm(folder, { recursive: true });
  }
});
