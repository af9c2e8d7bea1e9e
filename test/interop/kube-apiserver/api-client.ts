import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { createInterface } from "node:readline";

/** What an API server said; `body` is parsed. */
export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: objects of Kubernetes are as deep as they are many
  readonly body: any;
}

/** One line of a watch. */
export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly object: any;
}

/** Whom and how to ask. */
export interface Access {
  readonly url: string;
  readonly token: string;
  /** PEM of the authority that the server's certificate is of. */
  readonly authority: string;
}

/** A Kubernetes object, as far as its address needs it. */
export interface Addressed {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name?: string; readonly namespace?: string };
}

const PLURALS: Readonly<Record<string, string>> = { NetworkPolicy: "networkpolicies" };
const TIMEOUT_MS = 60_000;

/** Requests to an API server over TLS, verified. Nothing is thrown for a status. */
export class ApiClient {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  get(path: string): Promise<Answer> {
    return this.#send("GET", path);
  }

  post(path: string, body: object): Promise<Answer> {
    return this.#send("POST", path, body);
  }

  delete(path: string, options: object = {}): Promise<Answer> {
    return this.#send("DELETE", path, options);
  }

  /** A merge patch; of a pod's `/status` too, as a kubelet sends it. */
  patch(path: string, change: object): Promise<Answer> {
    return this.#send("PATCH", path, change, "application/merge-patch+json");
  }

  /** Strictly: an unknown field is an error. */
  create(object: Addressed, isDryRun = false): Promise<Answer> {
    const query = `fieldValidation=Strict${isDryRun ? "&dryRun=All" : ""}`;
    return this.post(`${pathOf(object)}?${query}`, object);
  }

  /** Events of a watch until its server ends it; leaving the loop closes the connection. Throws for a status. */
  async *watch(path: string): AsyncGenerator<WatchEvent, void> {
    const incoming = await this.#open("GET", `${path}${path.includes("?") ? "&" : "?"}watch=true`);
    if (incoming.statusCode !== 200) throw new Error(`GET ${path}: ${incoming.statusCode} ${await textOf(incoming)}`);
    try {
      for await (const line of createInterface({ input: incoming })) yield JSON.parse(line) as WatchEvent;
    } finally {
      incoming.destroy();
    }
  }

  async #send(method: string, path: string, body?: object, type?: string): Promise<Answer> {
    const incoming = await this.#open(method, path, body, type);
    const isJson = incoming.headers["content-type"]?.startsWith("application/json");
    const text = await textOf(incoming);
    return { status: incoming.statusCode!, body: isJson ? JSON.parse(text) : text };
  }

  #open(method: string, path: string, body?: object, type = "application/json"): Promise<IncomingMessage> {
    const { url, token, authority } = this.#access;
    const text = body === undefined ? "" : JSON.stringify(body);
    // Node leaves the length of a DELETE's body out, and so the body is not read.
    const length = { "content-length": Buffer.byteLength(text) };
    const headers = { authorization: `Bearer ${token}`, "content-type": type, ...length };
    return new Promise((resolve, reject) => {
      const options = { method, headers, ca: authority, timeout: TIMEOUT_MS, agent: false as const };
      const outgoing = request(new URL(path, url), options, resolve);
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${method} ${path}: no answer`)));
      outgoing.on("error", reject);
      outgoing.end(text);
    });
  }
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of incoming.setEncoding("utf8")) text += part;
  return text;
}

/** Where objects of that kind are created. */
export function pathOf({ apiVersion, kind, metadata }: Addressed): string {
  const prefix = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const space = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  return `${prefix}${space}/${PLURALS[kind] ?? `${kind.toLowerCase()}s`}`;
}
