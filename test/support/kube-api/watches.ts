import type { ServerResponse } from "node:http";
import { type Change, type PodStore, selectorOf } from "./pod-store.ts";

/** How a watch goes: as it should, or one of the ways in which it fails. */
export type WatchMode = "normal" | "expired" | "error" | "reset" | "empty" | "silent" | "garbage";

interface OpenWatch {
  readonly response: ServerResponse;
  readonly send: (event: object) => void;
}

/** The watches that are open. */
export class Watches {
  readonly #pods: PodStore;
  readonly #open = new Set<OpenWatch>();

  constructor(pods: PodStore) {
    this.#pods = pods;
  }

  get size(): number {
    return this.#open.size;
  }

  open(url: URL, namespace: string | null, mode: WatchMode, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "application/json", "transfer-encoding": "chunked" });
    response.flushHeaders();
    if (mode === "empty") return void response.end();
    if (mode === "reset") return void setImmediate(() => response.socket?.destroy());
    if (mode === "silent") return;
    if (mode === "garbage") return void response.end("this is no JSON\n");
    const from = Number(url.searchParams.get("resourceVersion") ?? this.#pods.version);
    const send = (event: object): void => void response.write(`${JSON.stringify(event)}\n`);
    if (mode === "expired" || mode === "error" || !this.#pods.reaches(from)) {
      const code = mode === "error" ? 500 : 410;
      send({ type: "ERROR", object: { kind: "Status", code, message: `too old resource version: ${from}` } });
      return void response.end();
    }
    this.#follow(url, namespace, from, { response, send });
  }

  /** Tells each how far it has come. */
  bookmark(): void {
    const object = { kind: "Pod", apiVersion: "v1", metadata: { resourceVersion: String(this.#pods.version) } };
    for (const { send } of this.#open) send({ type: "BOOKMARK", object });
  }

  /** Ends all as the server does when their time is over. */
  end(): void {
    for (const { response } of this.#open) response.end();
  }

  /** Breaks all connections, in the middle of a line. */
  reset(): void {
    for (const { response } of this.#open) {
      response.write('{"type":"MODIF');
      response.socket?.resetAndDestroy();
    }
  }

  #follow(url: URL, namespace: string | null, from: number, watch: OpenWatch): void {
    const matches = selectorOf(url.searchParams.get("labelSelector"));
    const name = /metadata\.name=([^,]+)/.exec(url.searchParams.get("fieldSelector") ?? "")?.[1];
    const tell = (change: Change): void => {
      const { metadata } = change.object;
      if (namespace !== null && metadata.namespace !== namespace) return;
      if (name !== undefined && metadata.name !== name) return;
      const type = typeFor(change, matches);
      if (type !== null) watch.send({ type, object: change.object });
    };
    for (const change of this.#pods.changesAfter(from)) tell(change);
    const unlisten = this.#pods.listen(tell);
    this.#open.add(watch);
    const seconds = Number(url.searchParams.get("timeoutSeconds") ?? 0);
    const timer = seconds > 0 ? setTimeout(() => watch.response.end(), seconds * 1_000) : undefined;
    watch.response.once("close", () => {
      clearTimeout(timer);
      unlisten();
      this.#open.delete(watch);
    });
  }
}

/** A pod that comes under the selector, or leaves it, is added or deleted for who watches. */
function typeFor(
  { type, object, before }: Change,
  matches: (labels: Readonly<Record<string, string>> | undefined) => boolean,
): Change["type"] | null {
  const isIn = type !== "DELETED" && matches(object.metadata.labels);
  const wasIn = before !== undefined && matches(before.metadata.labels);
  if (isIn) return wasIn ? "MODIFIED" : "ADDED";
  return wasIn ? "DELETED" : null;
}
