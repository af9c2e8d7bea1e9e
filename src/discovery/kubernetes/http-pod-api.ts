import type { IncomingMessage } from "node:http";
import { bodyOf, type Cluster } from "./cluster.ts";
import type { KubernetesPod } from "./pod.ts";
import { ApiError, type PodApi, type WatchEvent } from "./pod-api.ts";

/** Pods of a page: what client-go asks for. */
const PAGE_PODS = 500;

/** One object's line; the API server stores none above 1.5 MiB or so. */
const MAX_LINE_CHARACTERS = 64 * 1_048_576;

/** Which pods. */
export interface PodScope {
  /** `null`: those of all namespaces. */
  readonly namespace: string | null;
  readonly labelSelector: string;
}

/** The pods of a cluster over HTTP. */
export function httpPodApi(cluster: Cluster, { namespace, labelSelector }: PodScope): PodApi {
  const path = podsPath(namespace);
  const get = async (query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> => {
    const response = await cluster.request(`${path}?${new URLSearchParams({ labelSelector, ...query })}`, { signal });
    if (response.statusCode === 200) return response;
    throw new ApiError(response.statusCode ?? 0, `${path}: ${await problemOf(response)}`);
  };
  return {
    list: async (next, signal) => {
      const page = { limit: String(PAGE_PODS), ...(next !== undefined && { continue: next }) };
      const list = asList(await bodyOf(await get(page, signal)));
      const { resourceVersion = "", continue: following } = list.metadata ?? {};
      return { items: list.items, resourceVersion, ...(following !== undefined && { next: following }) };
    },
    watch: async function* (resourceVersion, timeoutSeconds, signal) {
      const query = { watch: "1", allowWatchBookmarks: "true", timeoutSeconds: String(timeoutSeconds) };
      const response = await get({ ...query, resourceVersion }, signal);
      try {
        for await (const line of linesOf(response)) yield asEvent(line);
      } finally {
        response.destroy();
      }
    },
  };
}

/** Where pods are listed. */
export function podsPath(namespace: string | null): string {
  return namespace === null ? "/api/v1/pods" : `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  response.setEncoding("utf8");
  let rest = "";
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line !== "");
    if (rest.length > MAX_LINE_CHARACTERS) throw new Error(`a change has more than ${MAX_LINE_CHARACTERS} characters`);
  }
  if (rest.trim() !== "") throw new Error("the watch ended within a change");
}

function asEvent(line: string): WatchEvent {
  const event = parsed(line) as Partial<WatchEvent> | null;
  if (typeof event?.type === "string" && typeof event.object === "object" && event.object !== null) {
    return event as WatchEvent;
  }
  throw new Error(`the watch brought ${JSON.stringify(line.slice(0, 100))}, which is no change of a pod`);
}

function asList(body: string): {
  readonly items: readonly KubernetesPod[];
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
} {
  const list = parsed(body) as { readonly items?: unknown } | null;
  // An empty list of Go is null.
  if (typeof list === "object" && list !== null && (Array.isArray(list.items) || list.items === null)) {
    return { ...list, items: (list.items as KubernetesPod[] | null) ?? [] };
  }
  throw new Error(`the list is ${JSON.stringify(body.slice(0, 100))}; is this an API server of Kubernetes?`);
}

/** The message of a `Status`, or what came instead. */
async function problemOf(response: IncomingMessage): Promise<string> {
  const body = await bodyOf(response).catch(() => "");
  const status = parsed(body) as { readonly message?: unknown } | null;
  const message = typeof status?.message === "string" ? status.message : body.slice(0, 200);
  return `${response.statusCode} ${message || response.statusMessage}`;
}

/** `null` for what is no JSON. */
function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
