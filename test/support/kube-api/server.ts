import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { discoveryDocument } from "./discovery-documents.ts";
import { PodStore, type StoredPod, selectorOf } from "./pod-store.ts";
import { Watches, type WatchMode } from "./watches.ts";

/** What the server does instead of what it should, until it is told otherwise. */
export interface Faults {
  /** The next lists are answered with this status. */
  listStatus?: number;
  /** Watches are answered with this status. */
  watchStatus?: number;
  /** Watches: `expired` tells 410 in the stream, `reset` breaks the connection, `empty` ends at once, `silent` says nothing. */
  watchMode?: WatchMode;
  /** Connections are reset before any answer. */
  reset?: boolean;
  /** Requests are taken and never answered. */
  hang?: boolean;
  /** The continue token of a page is expired: 410 on a list. */
  continueExpired?: boolean;
}

/**
 * As much of a Kubernetes API server as pods need: lists in pages, watches from a version with bookmarks, changes by
 * HTTP, so that the real `kubectl` works against it, and faults on demand.
 */
export class KubeApi implements AsyncDisposable {
  readonly pods: PodStore = new PodStore();
  readonly watches: Watches = new Watches(this.pods);
  faults: Faults = {};
  /** Only who brings it is let in; `null`: everybody. */
  token: string | null = null;
  /** Of a page of a list, whatever is asked for. */
  maxPage: number = Number.POSITIVE_INFINITY;
  readonly requests: { readonly method: string; readonly url: URL }[] = [];
  /** Of lists whose last page was not asked for yet, by version. */
  readonly #snapshots = new Map<number, StoredPod[]>();
  readonly #server: Server = createServer((request, response) => {
    this.#handle(request, response).catch((error: Error) => {
      if (!response.headersSent) answerStatus(response, 500, error.message);
    });
  });

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How often pods were listed: first pages. */
  get lists(): number {
    return this.requests.filter(
      ({ method, url }) => method === "GET" && isList(url) && !url.searchParams.has("continue"),
    ).length;
  }

  /** How often a watch was asked for. */
  get watchRequests(): number {
    return this.requests.filter(({ url }) => url.searchParams.has("watch")).length;
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  /** A kubeconfig for this server. */
  kubeconfig(): string {
    const token = this.token === null ? {} : { token: this.token };
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster: { server: this.url } }],
      users: [{ name: "tester", user: token }],
      contexts: [{ name: "test", context: { cluster: "test", user: "tester", namespace: "default" } }],
      "current-context": "test",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://server");
    const method = request.method ?? "GET";
    this.requests.push({ method, url });
    if (this.faults.reset === true) {
      request.socket.destroy();
      return;
    }
    if (this.faults.hang === true) return;
    if (this.token !== null && request.headers.authorization !== `Bearer ${this.token}`) {
      return answerStatus(response, 401, "Unauthorized");
    }
    const document = method === "GET" ? discoveryDocument(url.pathname) : undefined;
    if (document !== undefined) return answer(response, 200, document);
    const [, namespace = null, name, subresource] =
      /^\/api\/v1(?:\/namespaces\/([^/]+))?\/pods(?:\/([^/]+))?(\/status)?$/.exec(url.pathname) ?? [];
    if (!/^\/api\/v1(\/namespaces\/[^/]+)?\/pods(\/|$)/.test(url.pathname)) {
      return answerStatus(response, 404, `the server could not find ${url.pathname}`);
    }
    if (name === undefined) await this.#collection(method, namespace, url, request, response);
    else await this.#item(method, namespace ?? "default", name, subresource !== undefined, request, response);
  }

  async #collection(
    method: string,
    namespace: string | null,
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (method === "POST") {
      const pod = this.pods.create(namespace ?? "default", (await json(request)) as Record<string, unknown>);
      return answer(response, 201, pod);
    }
    if (url.searchParams.has("watch")) {
      const status = this.faults.watchStatus;
      if (status !== undefined) return answerStatus(response, status, `watching pods: ${status}`);
      return this.watches.open(url, namespace, this.faults.watchMode ?? "normal", response);
    }
    this.#list(namespace, url, response);
  }

  #listFault(token: string | null): [status: number, message: string] | null {
    const { listStatus: status, continueExpired } = this.faults;
    if (status === 403) return [status, 'pods is forbidden: User "tester" cannot list resource "pods"'];
    if (status !== undefined) return [status, "the server is ill"];
    if (token === null || continueExpired !== true) return null;
    this.faults.continueExpired = false;
    return [410, "The provided continue parameter is too old"];
  }

  #list(namespace: string | null, url: URL, response: ServerResponse): void {
    const token = url.searchParams.get("continue");
    const fault = this.#listFault(token);
    if (fault !== null) {
      answerStatus(response, ...fault);
      return;
    }
    const matches = selectorOf(url.searchParams.get("labelSelector"));
    const name = /metadata\.name=([^,]+)/.exec(url.searchParams.get("fieldSelector") ?? "")?.[1];
    // All pages of a list are of the version of the first one.
    const [version, start] =
      token === null ? [this.pods.version, 0] : (token.split(":").map(Number) as [number, number]);
    const all = this.#snapshots.get(version) ?? this.pods.list(namespace);
    const pods = all.filter(
      ({ metadata }) => matches(metadata.labels) && (name === undefined || metadata.name === name),
    );
    const end = start + Math.min(this.maxPage, Number(url.searchParams.get("limit") ?? Number.POSITIVE_INFINITY));
    if (end < pods.length) this.#snapshots.set(version, all);
    else this.#snapshots.delete(version);
    const metadata = { resourceVersion: String(version), ...(end < pods.length && { continue: `${version}:${end}` }) };
    answer(response, 200, { kind: "PodList", apiVersion: "v1", metadata, items: pods.slice(start, end) });
  }

  async #item(
    method: string,
    namespace: string,
    name: string,
    isStatus: boolean,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (this.pods.get(namespace, name) === undefined) {
      return answerStatus(response, 404, `pods "${name}" not found`, "NotFound");
    }
    if (method === "GET") return answer(response, 200, this.pods.get(namespace, name)!);
    if (method === "DELETE") return answer(response, 200, this.pods.delete(namespace, name));
    const body = (await json(request)) as Record<string, unknown>;
    if (method === "PATCH") {
      // A strategic patch of what is patched here, maps of text, is a merge patch.
      const patch = isStatus ? { status: body["status"] } : body;
      return answer(response, 200, this.pods.patch(namespace, name, patch));
    }
    if (method === "PUT") return answer(response, 200, this.pods.replace(namespace, name, body));
    answerStatus(response, 405, `${method} is not allowed`);
  }
}

function isList(url: URL): boolean {
  return /\/pods$/.test(url.pathname) && !url.searchParams.has("watch");
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function answerStatus(response: ServerResponse, code: number, message: string, reason = "Failure"): void {
  answer(response, code, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code });
}
