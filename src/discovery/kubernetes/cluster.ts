import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { text } from "node:stream/consumers";
import type { KubeConfig } from "@kubernetes/client-node";
import { ConfigurationError } from "../../errors.ts";

/** Which API server is asked, and as whom. */
export interface ClusterOptions {
  /** Path of a kubeconfig. Default: `KUBECONFIG`, `~/.kube/config`, else the service account of the pod that this runs in. */
  readonly kubeconfig?: string;
  /** One of the kubeconfig's. Default its current one. */
  readonly context?: string;
}

/** Requests to the API server, as the kubeconfig says: address, certificates, tokens, plugins and proxies. */
export interface Cluster {
  /** The server's URL. */
  readonly server: string;
  /** The context's, or the pod's own. `default` where neither names one. */
  readonly namespace: string;
  /** An answer whose body has not been read. Rejects with the system's error, and with the signal's reason. */
  request(
    path: string,
    options: { readonly signal: AbortSignal; readonly method?: string; readonly body?: string },
  ): Promise<IncomingMessage>;
}

const SERVICE_ACCOUNT_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/**
 * Reads the configuration of a cluster.
 *
 * @throws ConfigurationError `invalid-option` where there is none, or no such context; `missing-package`.
 */
export async function connectCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const config = await loadConfig(options);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    const contexts = config.getContexts().map(({ name }) => name);
    const known = contexts.length === 0 ? "it has none" : `use one of ${contexts.join(", ")}`;
    throw new ConfigurationError(
      "invalid-option",
      `kubernetes: context ${JSON.stringify(config.getCurrentContext() ?? "")} of the kubeconfig names no cluster: ${known}`,
    );
  }
  // The client refuses plain HTTP without this; there is no certificate to verify.
  if (cluster.server.startsWith("http:")) {
    config.clusters = config.clusters.map((each) =>
      each.name === cluster.name ? { ...each, skipTLSVerify: true } : each,
    );
  }
  const base = cluster.server.replace(/\/+$/, "");
  return {
    server: base,
    namespace: await namespaceOf(config),
    request: (path, more) => send(config, new URL(base + path), more),
  };
}

async function loadConfig({ kubeconfig, context }: ClusterOptions): Promise<KubeConfig> {
  const { KubeConfig } = await importClient();
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const name = kubeconfig ?? "of the environment";
    throw new ConfigurationError("invalid-option", `kubernetes: kubeconfig ${name} cannot be read: ${reason}`, {
      cause,
    });
  }
  if (context !== undefined) config.setCurrentContext(context);
  return config;
}

/** Loaded when it is asked for: who has no Kubernetes does not wait for it. */
async function importClient(): Promise<typeof import("@kubernetes/client-node")> {
  try {
    return await import("@kubernetes/client-node");
  } catch (cause) {
    throw new ConfigurationError(
      "missing-package",
      "kubernetes: package @kubernetes/client-node cannot be loaded; npm install @kubernetes/client-node@1.4",
      { cause },
    );
  }
}

async function namespaceOf(config: KubeConfig): Promise<string> {
  const named = config.getContextObject(config.getCurrentContext())?.namespace;
  if (named !== undefined && named !== "") return named;
  const { readFile } = await import("node:fs/promises");
  const own = await readFile(SERVICE_ACCOUNT_NAMESPACE, "utf8").catch(() => "");
  return own.trim() || "default";
}

async function send(
  config: KubeConfig,
  url: URL,
  { signal, method = "GET", body }: { readonly signal: AbortSignal; readonly method?: string; readonly body?: string },
): Promise<IncomingMessage> {
  const settings: Parameters<KubeConfig["applyToHTTPSOptions"]>[0] = {};
  // Each time: tokens expire. A plugin that hangs must not hang us.
  await raced(config.applyToHTTPSOptions(settings), signal);
  const request = url.protocol === "http:" ? requestHttp : requestHttps;
  return new Promise((resolve, reject) => {
    const headers = { ...settings.headers, accept: "application/json", "user-agent": "kv-event-sync" };
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const outgoing = request(url, { ...settings, method, signal, headers: { ...headers, ...json } }, resolve);
    outgoing.once("error", reject);
    outgoing.once("socket", (socket) => socket.setKeepAlive(true, 30_000));
    outgoing.end(body);
  });
}

function raced<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Longer answers are none that is expected: a page of 500 pods has some megabytes. */
const MAX_BODY_BYTES = 256 * 1_048_576;

/** The body of an answer as text. Rejects where it is too large or cut off. */
export function bodyOf(response: IncomingMessage): Promise<string> {
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) response.destroy(new Error(`the answer has more than ${MAX_BODY_BYTES} bytes`));
  });
  return text(response);
}
