import type { Pod } from "../discovery/discovery.ts";
import { bodyOf, type Cluster, connectCluster } from "../discovery/kubernetes/cluster.ts";
import { ApiError } from "../discovery/kubernetes/pod-api.ts";
import { findPods, type KubernetesOptions } from "../discovery/kubernetes.ts";
import { ConfigurationError } from "../errors.ts";
import type { Check } from "./check.ts";

/** Pods that are explained one by one; of the rest, their number. */
const EXPLAINED_PODS = 20;

/** Checks the way to the API server, what may be done there, and which pods there are; the eligible ones go to `pods`. */
export async function* checkCluster(options: KubernetesOptions, timeoutMs: number, pods: Pod[]): AsyncGenerator<Check> {
  let cluster: Cluster;
  try {
    cluster = await connectCluster(options);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    yield { check: "cluster", subject: "kubernetes", status: "fail", message: error.message };
    return;
  }
  const namespace = options.namespace ?? cluster.namespace;
  const subject = namespace === "*" ? "all namespaces" : `namespace ${namespace}`;
  try {
    const found = await findPods(options, AbortSignal.timeout(timeoutMs));
    yield { check: "cluster", subject: cluster.server, status: "ok", message: "the API server answers" };
    yield await checkWatch(cluster, namespace, subject, timeoutMs);
    pods.push(...found.eligible);
    const others = found.ineligible.length;
    yield {
      check: "pods",
      subject,
      status: found.eligible.length > 0 ? "ok" : "fail",
      message: `${found.eligible.length} pods are followed${others > 0 ? `, ${others} are not` : ""}`,
    };
    for (const { key, reason } of found.ineligible.slice(0, EXPLAINED_PODS)) {
      yield { check: "pods", subject: key, status: "warn", message: reason };
    }
    if (others > EXPLAINED_PODS) {
      const message = `${others - EXPLAINED_PODS} more are not followed: narrow them down with --label-selector`;
      yield { check: "pods", subject, status: "warn", message };
    }
  } catch (error) {
    yield listProblem(error as Error, cluster, subject, timeoutMs);
  }
}

function listProblem(error: Error, { server }: Cluster, subject: string, timeoutMs: number): Check {
  if (error instanceof ApiError && error.status === 401) {
    return {
      check: "cluster",
      subject: server,
      status: "fail",
      message:
        "the API server does not know who we are (401): renew the kubeconfig's credentials, or the service account's token",
    };
  }
  if (error instanceof ApiError && error.status === 403) {
    const message = `pods may not be listed: bind a role with get, list and watch on pods (${error.message})`;
    return { check: "permissions", subject, status: "fail", message };
  }
  const isLate = error.name === "TimeoutError" || error.name === "AbortError";
  const message = isLate ? `the API server does not answer within ${timeoutMs} ms` : `the API server: ${error.message}`;
  return {
    check: "cluster",
    subject: server,
    status: "fail",
    message: `${message}; check its address in the kubeconfig`,
  };
}

/** Whether pods may be watched, as the server itself says (SelfSubjectAccessReview). */
async function checkWatch(cluster: Cluster, namespace: string, subject: string, timeoutMs: number): Promise<Check> {
  const attributes = { verb: "watch", resource: "pods", ...(namespace !== "*" && { namespace }) };
  const review = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    spec: { resourceAttributes: attributes },
  };
  const response = await cluster.request("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
    signal: AbortSignal.timeout(timeoutMs),
    method: "POST",
    body: JSON.stringify(review),
  });
  const body = await bodyOf(response);
  if (response.statusCode !== 201 && response.statusCode !== 200) {
    return {
      check: "permissions",
      subject,
      status: "skipped",
      message: `the server reviews no permissions (${response.statusCode}); pods may be listed`,
    };
  }
  const { status } = JSON.parse(body) as { readonly status?: { readonly allowed?: boolean } };
  return status?.allowed === true
    ? { check: "permissions", subject, status: "ok", message: "pods may be listed and watched" }
    : {
        check: "permissions",
        subject,
        status: "fail",
        message: "pods may be listed and not watched: bind a role with get, list and watch on pods",
      };
}
