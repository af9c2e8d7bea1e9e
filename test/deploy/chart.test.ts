import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { serveCommand, serveOptions } from "../../src/cli/serve.ts";
import { VARIABLES } from "../../src/options/variables.ts";
import { environmentSource, fileSource, resolveOptions } from "../../src/options.ts";
import { createApp } from "../../src/server/app.ts";
import { HELM, root, toolTest } from "../support/tools.ts";
import { chart, lint, type Manifest, only, type Release, render, VALUES } from "./support/chart.ts";
import { withFile, withFolder } from "./support/files.ts";

const SETS: readonly Release[] = [{}, ...VALUES.map((values) => ({ values }))];
const pod = (manifests: readonly Manifest[]) => only(manifests, "Deployment")["spec"].template.spec;
const container = (manifests: readonly Manifest[]) => pod(manifests).containers[0];

toolTest([HELM], "chart: its version and its image's are the package's", ([helm]) => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const manifests = render(helm!);
  assert.equal(container(manifests).image, `kv-event-sync:${version}`);
  assert.equal(only(manifests, "Deployment").metadata.labels["helm.sh/chart"], `kv-event-sync-${version}`);
});

toolTest([HELM], "chart: by default, what reads pods of its own namespace and nothing else", ([helm]) => {
  const manifests = render(helm!);
  const kinds = manifests.map(({ kind }) => kind).sort();
  const expected = ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Role", "RoleBinding", "Service"];
  assert.deepEqual(kinds, [...expected, "ServiceAccount"]);
  assert.deepEqual(only(manifests, "Role")["rules"], [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] },
  ]);
  const { namespace } = only(manifests, "Role").metadata;
  assert.equal(namespace, "serving");
  assert.equal(namespace, only(manifests, "RoleBinding").metadata.namespace);
});

toolTest(
  [HELM],
  "chart: every values file gives objects with names of their own, selected by their labels",
  ([helm]) => {
    for (const release of SETS) {
      const manifests = render(helm!, release);
      const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ""}/${metadata.name}`);
      assert.deepEqual([...new Set(names)], names);
      const { template, selector } = only(manifests, "Deployment")["spec"];
      const selectors = [
        selector.matchLabels,
        only(manifests, "Service")["spec"].selector,
        only(manifests, "PodDisruptionBudget")["spec"].selector.matchLabels,
        only(manifests, "NetworkPolicy")["spec"].podSelector.matchLabels,
        ...manifests.filter(({ kind }) => kind === "PodMonitor").map((each) => each["spec"].selector.matchLabels),
      ];
      for (const labels of selectors)
        assert.deepEqual({ ...template.metadata.labels, ...labels }, template.metadata.labels);
      const { namespace } = only(manifests, "Deployment").metadata;
      assert.equal(namespace, "serving");
    }
  },
);

toolTest(
  [HELM],
  "chart: with all namespaces a cluster role, bound to the account of the release's namespace",
  ([helm]) => {
    const manifests = render(helm!, { values: "all-namespaces" });
    const [role, binding] = [only(manifests, "ClusterRole"), only(manifests, "ClusterRoleBinding")];
    assert.deepEqual(role["rules"], [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] }]);
    assert.deepEqual(binding["roleRef"], {
      apiGroup: "rbac.authorization.k8s.io",
      kind: "ClusterRole",
      name: role.metadata.name,
    });
    const account = only(manifests, "ServiceAccount").metadata;
    assert.deepEqual(binding["subjects"], [{ kind: "ServiceAccount", name: account.name, namespace: "serving" }]);
    // Another release of that name elsewhere has another one.
    const elsewhere = render(helm!, { values: "all-namespaces", namespace: "test" });
    assert.notEqual(only(elsewhere, "ClusterRole").metadata.name, role.metadata.name);
  },
);

toolTest([HELM], "chart: engines of another namespace are read there, and reached there alone", ([helm]) => {
  const manifests = render(helm!, { values: "other-namespace" });
  assert.equal(only(manifests, "Role").metadata.namespace, "engines");
  assert.equal(only(manifests, "RoleBinding")["subjects"][0].namespace, "serving");
  const [engines] = only(manifests, "NetworkPolicy")["spec"].egress;
  assert.deepEqual(engines.to[0].namespaceSelector.matchLabels, { "kubernetes.io/metadata.name": "engines" });
  assert.deepEqual(engines.to[0].podSelector.matchLabels, { "model.aibrix.ai/kv-events-enabled": "true" });
});

toolTest([HELM], "chart: the network policy opens the ports of every rank, and those that pods name", ([helm]) => {
  const ports = (release: Release): unknown =>
    only(render(helm!, release), "NetworkPolicy")["spec"].egress[0].ports.map(
      ({ port, endPort }: { port: number; endPort?: number }) => [port, endPort ?? port],
    );
  const eight = [
    [5557, 5564],
    [5558, 5565],
    [8000, 8000],
  ];
  assert.deepEqual(ports({}), eight);
  assert.deepEqual(ports({ set: ["engines.maxRanks=1"] }), [
    [5557, 5557],
    [5558, 5558],
    [8000, 8000],
  ]);
  assert.deepEqual(ports({ values: "other-namespace" }), [
    [5557, 5620],
    [5657, 5720],
    [8000, 8000],
    [30000, 30000],
    [6000, 6000],
    [7000, 7063],
  ]);
});

toolTest([HELM], "chart: without discovery neither a role, nor a token, nor a way to the API server", ([helm]) => {
  const manifests = render(helm!, { values: "static" });
  assert.deepEqual(
    manifests.filter(({ kind }) => /Role/.test(kind)),
    [],
  );
  assert.equal(pod(manifests).automountServiceAccountToken, false);
  const egress = only(manifests, "NetworkPolicy")["spec"].egress as readonly { ports: readonly { port: number }[] }[];
  assert.ok(!egress.some(({ ports }) => ports.some(({ port }) => port === 443)));
  assert.ok(egress.some(({ ports }) => ports.some(({ port }) => port === 53)));
});

toolTest([HELM], "chart: the container is nobody, writes nowhere, and gains nothing", ([helm]) => {
  for (const release of SETS) {
    const manifests = render(helm!, release);
    const { securityContext, enableServiceLinks } = pod(manifests);
    assert.equal(securityContext.runAsNonRoot, true);
    assert.deepEqual(securityContext.seccompProfile, { type: "RuntimeDefault" });
    assert.deepEqual(container(manifests).securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    assert.equal(enableServiceLinks, false, "a Service named kv would set KV_PORT");
    assert.ok(container(manifests).resources.limits.memory);
  }
});

toolTest([HELM], "chart: probes ask what the daemon answers, on the port that it has", async ([helm]) => {
  const manifests = render(helm!);
  const { ports, livenessProbe, readinessProbe, args } = container(manifests);
  const [port] = ports;
  assert.ok(args.includes(`--port=${port.containerPort}`));
  assert.equal(only(manifests, "Service")["spec"].ports[0].targetPort, port.name);
  const app = createApp({ isReady: () => true } as Parameters<typeof createApp>[0]);
  for (const { httpGet } of [livenessProbe, readinessProbe]) {
    assert.equal(httpGet.port, port.name);
    assert.equal((await app.request(httpGet.path)).status, 200, httpGet.path);
  }
  const monitor = only(render(helm!, { values: "all-namespaces" }), "PodMonitor");
  assert.equal(monitor["apiVersion"], "monitoring.coreos.com/v1");
  assert.deepEqual(monitor["spec"].podMetricsEndpoints, [{ port: port.name, path: "/metrics", interval: "15s" }]);
  assert.equal(monitor.metadata.labels["release"], "prometheus");
});

/** Throws at a flag that serve has not, or a value that it does not take. */
function flagsOf([, ...flags]: readonly string[]): Parameters<typeof serveOptions>[0] {
  const command = serveCommand()
    .exitOverride()
    .action(() => {});
  return command.parse(flags, { from: "user" }).opts();
}

const optionsOf = (args: readonly string[]) => serveOptions(flagsOf(args), environmentSource({}));

toolTest([HELM], "chart: every flag and variable is one of serve", ([helm]) => {
  for (const release of SETS) {
    const { args, env } = container(render(helm!, release));
    const [node, ...variables] = env as readonly { readonly name: string; readonly value: string }[];
    assert.match(`${node!.name} ${node!.value}`, /^NODE_OPTIONS --max-old-space-size=\d+$/);
    assert.equal(args[0], "serve");
    flagsOf(args);
    for (const { name } of variables) assert.ok(name in VARIABLES, name);
  }
});

toolTest([HELM], "chart: the daemon watches where its role is, by the labels and ports of the values", ([helm]) => {
  for (const [values, namespace, replayPort] of [
    [undefined, "serving", 5558],
    ["other-namespace", "engines", 5657],
    ["all-namespaces", "*", 5558],
  ] as const) {
    const { args } = container(render(helm!, values === undefined ? {} : { values }));
    assert.deepEqual(optionsOf(args).kubernetes, {
      namespace,
      labelSelector: "model.aibrix.ai/kv-events-enabled=true",
      port: 5557,
      replayPort,
    });
  }
  const without = container(render(helm!, { set: ["engines.replayPort=0"] }));
  assert.equal(optionsOf(without.args).kubernetes?.replayPort, null);
  const { args } = container(render(helm!, { set: ["discovery.enabled=false"] }));
  assert.equal(optionsOf(args).kubernetes, undefined);
});

toolTest(
  [HELM],
  "chart: the configuration arrives as the file that serve reads, and a new one restarts the pods",
  ([helm]) => {
    const manifests = render(helm!, { values: "static" });
    const text = only(manifests, "ConfigMap")["data"]["config.json"];
    const options = withFile("config.json", text, (path) => resolveOptions([fileSource(path)]));
    assert.deepEqual(options.endpoints, [
      {
        endpoint: "tcp://192.0.2.10:5557",
        replayEndpoint: "tcp://192.0.2.10:5558",
        model: "llama",
        ranks: 2,
      },
    ]);
    assert.equal(options.index.maxPrefixesPerContext, 2_000_000);
    const mount = container(manifests).volumeMounts.find(({ name }: { name: string }) => name === "config");
    assert.ok(container(manifests).args.includes(`--config=${mount.mountPath}/config.json`));
    const checksum = (release: Release) =>
      only(render(helm!, release), "Deployment")["spec"].template.metadata.annotations["checksum/config"];
    assert.notEqual(checksum({ values: "static" }), checksum({ values: "static", set: ["config.model=qwen"] }));
  },
);

toolTest([HELM], "chart: secrets are files, and no value of one is in a manifest", ([helm]) => {
  for (const [values, volume, flag] of [
    ["static", "curve", "--curve-secret-key-file"],
    ["everything", "plain", "--plain-password-file"],
  ] as const) {
    const manifests = render(helm!, { values });
    const { secret } = pod(manifests).volumes.find(({ name }: { name: string }) => name === volume);
    const { mountPath } = container(manifests).volumeMounts.find(({ name }: { name: string }) => name === volume);
    assert.ok(container(manifests).args.includes(`${flag}=${mountPath}/${secret.items[0].path}`));
    assert.equal(secret.secretName, `kv-event-sync-${volume}`);
  }
});

toolTest([HELM], "chart: a replica that starts reaches those that run, by the Service and both policies", ([helm]) => {
  const manifests = render(helm!, { values: "all-namespaces" });
  const service = only(manifests, "Service");
  const [port] = service["spec"].ports;
  assert.ok(container(manifests).args.includes(`--peer=http://${service.metadata.name}.serving.svc:${port.port}`));
  const { ingress, egress, podSelector } = only(manifests, "NetworkPolicy")["spec"];
  assert.deepEqual(ingress[0].from.slice(1), [{ podSelector }]);
  assert.deepEqual(egress[1].to, [{ podSelector }]);
  for (const { ports } of [ingress[0], egress[1]]) {
    assert.deepEqual(ports, [{ protocol: "TCP", port: container(manifests).ports[0].containerPort }]);
  }
  const alone = container(render(helm!, { values: "static" })).args as readonly string[];
  assert.ok(alone.includes("--no-dump") && !alone.some((arg) => arg.startsWith("--peer")));
});

toolTest([HELM], "chart: a snapshot is kept in the volume that was named for it", ([helm]) => {
  const manifests = render(helm!, { values: "everything" });
  const { mountPath } = container(manifests).volumeMounts.find(({ name }: { name: string }) => name === "snapshot");
  assert.ok(container(manifests).args.includes(`--snapshot=${mountPath}/snapshot`));
  const volume = pod(manifests).volumes.find(({ name }: { name: string }) => name === "snapshot");
  assert.deepEqual(volume, { name: "snapshot", emptyDir: { sizeLimit: "2Gi" } });
});

toolTest([HELM], "chart: Helm finds nothing to complain of, and packs it without the values of tests", ([helm]) => {
  for (const values of VALUES) lint(helm!, values);
  withFolder((folder) => {
    execFileSync(helm!, ["package", chart, "--destination", folder]);
    const [archive] = readdirSync(folder);
    const files = execFileSync("tar", ["-tzf", join(folder, archive!)], { encoding: "utf8" }).split("\n");
    assert.ok(files.includes("kv-event-sync/values.schema.json"));
    assert.deepEqual(
      files.filter((file) => file.includes("/ci/")),
      [],
    );
  });
});

toolTest([HELM], "chart: values that mean nothing are refused by name", ([helm]) => {
  for (const [set, words] of [
    ["discovery.enable=true", /additional properties 'enable' not allowed/],
    ["engines.maxRanks=0", /engines\/maxRanks/],
    ["engines.eventsPort=tcp", /engines\/eventsPort/],
    ["logLevel=loud", /logLevel/],
    ["image.digest=sha256:1", /image\/digest/],
    ["discovery.allNamespaces=true,discovery.namespace=x", /discovery\.namespace is "x".*leave out one of them/],
  ] as const) {
    assert.throws(() => render(helm!, { set: [set] }), words);
  }
});

test("chart: every value is in the schema, and every property of the schema is a value", () => {
  const values = parse(readFileSync(join(root, "deploy/chart/values.yaml"), "utf8"));
  const schema = JSON.parse(readFileSync(join(root, "deploy/chart/values.schema.json"), "utf8"));
  const { global, ...properties } = schema.properties;
  assert.ok(global);
  assert.deepEqual(Object.keys(properties).sort(), Object.keys(values).sort());
  for (const [name, property] of Object.entries<{ properties?: object; additionalProperties?: unknown }>(properties)) {
    // Objects of Kubernetes are checked by Kubernetes.
    if (property.properties === undefined || name === "resources") continue;
    assert.equal(property.additionalProperties, false, name);
    assert.deepEqual(Object.keys(property.properties).sort(), Object.keys(values[name]).sort(), name);
  }
});
