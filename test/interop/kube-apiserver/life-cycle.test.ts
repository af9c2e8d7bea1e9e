import assert from "node:assert/strict";
import { type KubernetesOptions, kubernetesPods } from "../../../src/discovery/kubernetes.ts";
import { SimulatedPod } from "../../../src/simulator/index.ts";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { only, type Release, render } from "../../deploy/support/chart.ts";
import { heard, lifeCycle } from "../../discovery/kubernetes/life-cycle.ts";
import { ELIGIBLE, PodLog } from "../../discovery/kubernetes/pods.ts";
import { Daemon } from "../support/daemon.ts";
import { until } from "../support/until.ts";
import { Pods } from "./pods.ts";
import { type Cluster, clusterTest, install } from "./support.ts";

const TIMES = { retryMinMs: 20, retryMaxMs: 200 };

/** Access as the chart's account, which this makes: whatever works, works with its role. */
async function asChart({ server, helm, namespace }: Cluster, values?: string): Promise<KubernetesOptions> {
  const release: Release = { namespace, ...(values !== undefined && { values }) };
  const manifests = render(helm, release).filter(({ kind }) => /^ServiceAccount$|Role/.test(kind));
  await install(server, manifests);
  const token = await server.tokenOf(namespace, only(manifests, "ServiceAccount").metadata.name);
  return { kubeconfig: server.kubeconfig(token), namespace, ...TIMES };
}

clusterTest(
  "life cycle: a pod is followed from Running on, through all that happens to it, and until it is gone",
  async (cluster) => {
    const { server, namespace } = cluster;
    const pods = new Pods(server.admin, namespace);
    const log = new PodLog();
    await using discovery = kubernetesPods(await asChart(cluster));
    await discovery.start(log);
    await lifeCycle(pods, log, namespace);
  },
);

clusterTest("life cycle: pods of all namespaces are followed with the cluster role", async (cluster) => {
  const { server, namespace } = cluster;
  const log = new PodLog();
  const options = await asChart(cluster, "all-namespaces");
  await using discovery = kubernetesPods({ ...options, namespace: "*" });
  await discovery.start(log);
  for (const [where, ip] of [
    [namespace, "10.0.1.1"],
    ["default", "10.0.1.2"],
  ] as const) {
    const pods = new Pods(server.admin, where);
    await pods.create("everywhere", { labels: ELIGIBLE });
    await pods.run("everywhere", ip);
  }
  const wanted = [`${namespace}/everywhere`, "default/everywhere"];
  await until(
    "both pods",
    () => [...log.pods.keys()],
    (keys) => wanted.every((key) => keys.includes(key)),
  );
});

clusterTest("life cycle: an account without a role is told so, and followed up when it gets one", async (cluster) => {
  const { server, helm, namespace } = cluster;
  const manifests = render(helm, { namespace });
  await install(server, [only(manifests, "ServiceAccount")]);
  const token = await server.tokenOf(namespace, only(manifests, "ServiceAccount").metadata.name);
  const troubles: string[] = [];
  const observer = { onTrouble: (trouble: string, error: Error) => troubles.push(`${trouble}: ${error.message}`) };
  const log = new PodLog();
  await using discovery = kubernetesPods({ kubeconfig: server.kubeconfig(token), namespace, ...TIMES, observer });
  const started = discovery.start(log);
  await until(
    "two refusals",
    () => troubles,
    ({ length }) => length >= 2,
  );
  assert.match(troubles[0]!, /^list: .*403.*cannot list resource "pods"/);
  await install(server, [only(manifests, "Role"), only(manifests, "RoleBinding")]);
  await started;
  const pods = new Pods(server.admin, namespace);
  await pods.create("a", { labels: ELIGIBLE });
  await pods.run("a", "10.0.2.1");
  assert.deepEqual(await heard(log, 1), [`+${namespace}/a`]);
});

clusterTest(
  "life cycle: a server that is killed and started again is followed on, whatever it has forgotten",
  async (cluster) => {
    const { server, namespace } = cluster;
    const pods = new Pods(server.admin, namespace);
    const names = ["a", "b", "c"];
    for (const [at, name] of names.entries()) {
      await pods.create(name, { labels: ELIGIBLE });
      await pods.run(name, `10.0.3.${at}`);
    }
    const log = new PodLog();
    const troubles: string[] = [];
    const observer = { onTrouble: (trouble: string) => troubles.push(trouble) };
    await using discovery = kubernetesPods({ ...(await asChart(cluster)), observer });
    await discovery.start(log);
    assert.equal(log.pods.size, 3);
    // Of no concern here, and yet a version that the watch does not hear of.
    await new Pods(server.admin, "default").create(`beside-${namespace}`);
    await server.restart();
    await pods.remove("a");
    await pods.run("b", "10.0.3.9", { restarts: 1 });
    await pods.create("d", { labels: ELIGIBLE });
    await pods.run("d", "10.0.3.4");
    const ends = () => [...log.pods.values()].map(({ key, ranks }) => `${key} ${ranks[0]!.endpoint}`).sort();
    const wanted = [
      `${namespace}/b tcp://10.0.3.9:5557`,
      `${namespace}/c tcp://10.0.3.2:5557`,
      `${namespace}/d tcp://10.0.3.4:5557`,
    ];
    await until("what is there now", ends, (found) => found.join() === wanted.join());
    assert.ok(troubles.includes("expired"), troubles.join());
  },
);

clusterTest(
  "life cycle: a watch on which a quiet server says nothing is begun anew, without a list",
  async (cluster) => {
    const { server, namespace } = cluster;
    const pods = new Pods(server.admin, namespace);
    const log = new PodLog();
    const heardOf: string[] = [];
    const observer = { onTrouble: (trouble: string) => heardOf.push(trouble), onList: () => heardOf.push("listed") };
    const options = await asChart(cluster);
    await using discovery = kubernetesPods({ ...options, idleTimeoutMs: 200, observer });
    await discovery.start(log);
    await until(
      "three idle watches",
      () => heardOf,
      ({ length }) => length >= 4,
    );
    await pods.create("a", { labels: ELIGIBLE });
    await pods.run("a", "10.0.4.1");
    await heard(log, 1);
    assert.deepEqual([...new Set(heardOf)], ["listed", "idle"]);
    assert.equal(heardOf.filter((each) => each === "listed").length, 1);
  },
);

clusterTest(
  "life cycle: the daemon, as the chart starts it, answers for an engine's blocks until its pod is gone",
  async (cluster) => {
    const { server, helm, namespace } = cluster;
    const { kubeconfig } = await asChart(cluster);
    const [, ...flags] = only(render(helm, { namespace, set: ["warmStart.fromReplicas=false"] }), "Deployment")["spec"]
      .template.spec.containers[0].args as readonly string[];
    const own = flags.filter((flag) => !/^--(host|port)=/.test(flag));
    await using daemon = await Daemon.start([...own, `--kubeconfig=${kubeconfig}`]);

    const any = "tcp://127.0.0.1:0";
    const endpoints = [{ endpoint: any, replayEndpoint: any }];
    await using engine = new SimulatedPod({ key: "engine", modelName: "interop", endpoints, transport: zmtp() });
    await engine.start();
    const [port, replayPort] = [engine.ranks[0]!.endpoint, engine.ranks[0]!.replayEndpoint!].map(
      (end) => end.split(":").at(-1)!,
    );
    const pods = new Pods(server.admin, namespace);
    await pods.create("engine", {
      labels: { ...ELIGIBLE, "model.aibrix.ai/name": "interop" },
      annotations: { "kv-event-sync.io/port": port!, "kv-event-sync.io/replay-port": replayPort! },
    });
    await pods.run("engine", "127.0.0.1");

    const key = `${namespace}/engine`;
    const tokens = Array.from({ length: 64 }, (_, at) => at);
    const streams = () => daemon.streams(key);
    await until("its stream", streams, (all) => all.length === 1 && all[0]!.status === "live");
    engine.request({ tokens });
    const held = async () => (await daemon.query({ tokens, adapter: null, salt: null })).get(key)?.get(0) ?? 0;
    await until("its blocks are known", held, (count) => count === 64);
    await pods.remove("engine");
    await until("it is gone", streams, (all) => all.length === 0);
    await assert.rejects(held, /404 .*no instance of routing_group/);
  },
);
