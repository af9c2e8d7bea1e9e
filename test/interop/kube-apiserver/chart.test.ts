import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  chart,
  type Manifest,
  only,
  parseManifests,
  type Release,
  render,
  VALUES,
} from "../../deploy/support/chart.ts";
import { root } from "../../support/tools.ts";
import { ApiClient } from "./api-client.ts";
import type { KubeApiServer } from "./kube-apiserver.ts";
import { type Cluster, clusterTest, createNamespace, install } from "./support.ts";

const RESTRICTED = { "pod-security.kubernetes.io/enforce": "restricted" };

clusterTest(
  "kube-apiserver: takes every object of the chart, whatever the values",
  async ({ server, helm, namespace }) => {
    await createNamespace(server, "engines");
    for (const release of [{}, ...VALUES.map((values) => ({ values }))]) {
      await install(server, render(helm, { ...release, namespace }), true);
    }
  },
);

clusterTest("kube-apiserver: takes every example, with a namespace of its own", async ({ server, namespace }) => {
  const folder = join(root, "deploy/examples");
  const files = readdirSync(folder);
  assert.ok(files.length > 0);
  for (const file of files) {
    const manifests = parseManifests(readFileSync(join(folder, file), "utf8"));
    await install(
      server,
      manifests.map((each) => ({ ...each, metadata: { ...each.metadata, namespace } })),
    );
  }
});

clusterTest(
  "kube-apiserver: refuses a field that there is none of, so that the tests above can fail",
  async ({ server, helm, namespace }) => {
    const service = only(render(helm, { namespace }), "Service");
    const { status, body } = await server.admin.create(
      { ...service, spec: { ...service["spec"], prot: 1 } } as Manifest,
      true,
    );
    assert.equal(status, 400);
    assert.match(body.message, /unknown field "spec\.prot"/);
  },
);

clusterTest("kube-apiserver: the chart's pod is one of the restricted standard", async ({ server, helm }) => {
  const namespace = "restricted";
  await createNamespace(server, namespace, RESTRICTED);
  for (const release of [{}, { values: "static" }, { values: "other-namespace" }]) {
    const manifests = render(helm, { ...release, namespace });
    const { metadata, spec } = only(manifests, "Deployment")["spec"].template;
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name: "kv-event-sync", namespace }, spec };
    const { status, body } = await server.admin.create(pod, true);
    assert.equal(status, 201, body.message);
    const root = { ...spec, securityContext: { ...spec.securityContext, runAsNonRoot: false } };
    assert.equal((await server.admin.create({ ...pod, spec: root } as Manifest, true)).status, 403);
  }
});

/** Runs Helm as the admin; throws with what it says where it fails. */
function run(helm: string, { server, namespace }: Cluster, ...args: readonly string[]): string {
  const flags = ["--kubeconfig", server.kubeconfig(), "--namespace", namespace];
  return execFileSync(helm, [...args, ...flags], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

clusterTest("kube-apiserver: Helm installs the chart, changes its values and takes it away again", async (cluster) => {
  const { server, helm, namespace } = cluster;
  const { name } = only(render(helm, { namespace }), "Deployment").metadata;
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
  const notes = run(helm, cluster, "install", "kv", chart);
  assert.match(notes, new RegExp(`http://${name}\\.${namespace}:8090`));
  assert.match(notes, new RegExp(`--as system:serviceaccount:${namespace}:${name}`));
  assert.equal((await server.admin.get(path)).body.spec.replicas, 1);
  run(helm, cluster, "upgrade", "kv", chart, "--set", "replicas=3,config.model=llama");
  const { body } = await server.admin.get(path);
  assert.equal(body.spec.replicas, 3);
  assert.ok(body.spec.template.spec.containers[0].args.includes("--config=/etc/kv-event-sync/config/config.json"));
  run(helm, cluster, "uninstall", "kv");
  assert.equal((await server.admin.get(path)).status, 404);
});

/** What that account may do with objects of a kind, in each namespace. */
async function allowed(
  { access }: KubeApiServer,
  token: string,
  namespace: string,
  [group, resource]: readonly [string, string],
): Promise<readonly string[]> {
  const client = new ApiClient({ ...access, token });
  const verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
  const answers = verbs.map(async (verb) => {
    const { body } = await client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: { namespace, verb, group, resource } },
    });
    return body.status.allowed === true ? [verb] : [];
  });
  return (await Promise.all(answers)).flat();
}

const READS = ["get", "list", "watch"];
const OTHERS = [
  ["", "secrets"],
  ["", "configmaps"],
  ["", "pods/exec"],
  ["", "pods/log"],
  ["", "nodes"],
  ["apps", "deployments"],
] as const;

for (const [values, isReadable] of [
  [undefined, (here: string, there: string) => here === there],
  ["other-namespace", (_here: string, there: string) => there === "engines"],
  ["all-namespaces", () => true],
] as const) {
  clusterTest(
    `kube-apiserver: with ${values ?? "its own"} values the account reads pods where engines are, and does no more`,
    async ({ server, helm, namespace }) => {
      await createNamespace(server, "engines");
      const release: Release = { namespace, ...(values !== undefined && { values }) };
      const manifests = render(helm, release);
      await install(server, manifests);
      const token = await server.tokenOf(namespace, only(manifests, "ServiceAccount").metadata.name);
      for (const where of [namespace, "engines", "default"]) {
        const expected = isReadable(namespace, where) ? READS : [];
        assert.deepEqual(await allowed(server, token, where, ["", "pods"]), expected, where);
        for (const other of OTHERS)
          assert.deepEqual(await allowed(server, token, where, other), [], `${other} of ${where}`);
        const { status } = await new ApiClient({ ...server.access, token }).get(`/api/v1/namespaces/${where}/pods`);
        assert.equal(status, expected.length > 0 ? 200 : 403);
      }
    },
  );
}
