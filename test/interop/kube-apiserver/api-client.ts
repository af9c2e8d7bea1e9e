import { request } from "node:https";

/** What an API server said; `body` is parsed. */
export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: objects of Kubernetes are as deep as they are many
  readonly body: any;
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

  #send(method: string, path: string, body?: object, type = "application/json"): Promise<Answer> {
    const { url, token, authority } = this.#access;
    const headers = { authorization: `Bearer ${token}`, "content-type": type };
    return new Promise((resolve, reject) => {
      const options = { method, headers, ca: authority, timeout: TIMEOUT_MS, agent: false as const };
      const outgoing = request(new URL(path, url), options, (incoming) => {
        let text = "";
        incoming.setEncoding("utf8");
        incoming.on("data", (part: string) => {
          text += part;
        });
        incoming.on("error", reject);
        incoming.on("end", () => {
          const isJson = incoming.headers["content-type"]?.startsWith("application/json");
          resolve({ status: incoming.statusCode!, body: isJson ? JSON.parse(text) : text });
        });
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${method} ${path}: no answer`)));
      outgoing.on("error", reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** Where objects of that kind are created. */
export function pathOf({ apiVersion, kind, metadata }: Addressed): string {
  const prefix = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const space = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  return `${prefix}${space}/${PLURALS[kind] ?? `${kind.toLowerCase()}s`}`;
}
