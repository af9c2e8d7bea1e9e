import assert from "node:assert/strict";
import { after, type TestContext } from "node:test";
import type { Manifest } from "../../deploy/support/chart.ts";
import { ETCD, HELM, KUBE_APISERVER, toolTest } from "../../support/tools.ts";
import { KubeApiServer } from "./kube-apiserver.ts";

let server: Promise<KubeApiServer> | undefined;
after(async () => {
  await (await server)?.[Symbol.asyncDispose]();
});

/** What a test is given. */
export interface Cluster {
  /** One for all tests of a file. */
  readonly server: KubeApiServer;
  readonly helm: string;
  /** A namespace of the test's own. */
  readonly namespace: string;
}

let namespaces = 0;

/** Skipped, or failed, as `toolTest` has it. */
export function clusterTest(name: string, run: (cluster: Cluster, t: TestContext) => Promise<void>): void {
  toolTest([KUBE_APISERVER, ETCD, HELM], name, async ([apiserver, etcd, helm], t) => {
    server ??= KubeApiServer.start(apiserver!, etcd!);
    namespaces += 1;
    const namespace = `test-${namespaces}`;
    await createNamespace(await server, namespace);
    await run({ server: await server, helm: helm!, namespace }, t);
  });
}

/** A namespace with these labels, where it is not there yet. */
export async function createNamespace(
  { admin }: KubeApiServer,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { status, body } = await admin.create({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels },
  } as never);
  if (status !== 201 && status !== 409) throw new Error(`namespace ${name}: ${body.message}`);
}

/** Creates each of them, strictly. A PodMonitor is of the Prometheus operator: no server knows it by itself. */
export async function install(
  { admin }: KubeApiServer,
  manifests: readonly Manifest[],
  isDryRun = false,
): Promise<void> {
  for (const manifest of manifests.filter(({ kind }) => kind !== "PodMonitor")) {
    const { status, body } = await admin.create(manifest, isDryRun);
    assert.equal(status, 201, `${manifest.kind} ${manifest.metadata.name}: ${body.message}`);
  }
}
