import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kubernetesPods } from "../../src/discovery/kubernetes.ts";
import { ELIGIBLE, PodLog } from "../discovery/kubernetes/pods.ts";
import { KubeApi } from "../support/kube-api/server.ts";
import { KUBECTL, toolTest } from "../support/tools.ts";
import { until } from "./support/until.ts";

const ENABLED = "model.aibrix.ai/kv-events-enabled";

/** Runs it until it ends by itself; rejects with what it says where it fails. */
function runner(program: string, kubeconfig: string): (args: readonly string[], input?: object) => Promise<string> {
  return (args, input) =>
    new Promise((resolve, reject) => {
      const child = execFile(program, ["--kubeconfig", kubeconfig, ...args], (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`kubectl ${args.join(" ")}: ${stderr}`, { cause: error }));
      });
      child.stdin?.end(input === undefined ? "" : JSON.stringify(input));
    });
}

toolTest([KUBECTL], "kubectl: what it changes is what the daemon follows, step by step", async ([program]) => {
  const folder = await mkdtemp(join(tmpdir(), "kubectl-"));
  try {
    await using api = new KubeApi();
    await api.listen();
    const kubeconfig = join(folder, "config");
    await writeFile(kubeconfig, api.kubeconfig());
    const kubectl = runner(program!, kubeconfig);
    const log = new PodLog();
    await using discovery = kubernetesPods({ kubeconfig });
    await discovery.start(log);
    const heard = (lines: number): Promise<unknown> =>
      until(
        `${lines} lines`,
        () => log.lines,
        ({ length }) => length >= lines,
      );
    const apply = async (metadata: object): Promise<unknown> => {
      const spec = { containers: [{ name: "engine", image: "vllm" }] };
      const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "a", ...metadata }, spec };
      return kubectl(["apply", "--validate=false", "-f", "-"], pod);
    };
    await apply({ labels: ELIGIBLE });
    assert.match(await kubectl(["get", "pods"]), /^NAME[^\n]*\na /);
    // As the kubelet does.
    api.pods.patch("default", "a", { status: { phase: "Running", podIP: "10.0.0.1" } });
    await heard(1);
    assert.equal(log.pods.get("default/a")?.ranks[0]?.endpoint, "tcp://10.0.0.1:5557");

    await kubectl(["annotate", "pod", "a", "kv-event-sync.io/port=7000"]);
    await heard(2);
    assert.equal(log.pods.get("default/a")?.ranks[0]?.endpoint, "tcp://10.0.0.1:7000");

    await kubectl(["label", "pod", "a", `${ENABLED}=false`, "--overwrite"]);
    await heard(3);
    await kubectl(["label", "pod", "a", `${ENABLED}=true`, "--overwrite"]);
    await heard(4);

    await kubectl(["delete", "pod", "a"]);
    await heard(5);
    assert.deepEqual(log.lines, ["+default/a", "~default/a", "-default/a", "+default/a", "-default/a"]);
    assert.match(await kubectl(["get", "pods", "-A", "-o", "name"]), /^$/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
