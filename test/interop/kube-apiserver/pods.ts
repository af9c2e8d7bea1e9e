import type { Answer, ApiClient } from "./api-client.ts";

/** What a pod is made with. */
export interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Pods of one namespace; their status is told as a kubelet would, for there is none. */
export class Pods {
  readonly #client: ApiClient;
  readonly #namespace: string;

  constructor(client: ApiClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  /** Of all of them. */
  get path(): string {
    return `/api/v1/namespaces/${this.#namespace}/pods`;
  }

  /** Pending, and bound to a node: one that is not would go at once when it is deleted. */
  async create(name: string, { labels = {}, annotations = {} }: PodOptions = {}): Promise<Answer["body"]> {
    const metadata = { name, namespace: this.#namespace, labels, annotations };
    const spec = { nodeName: "node", containers: [{ name: "engine", image: "engine" }] };
    return good(await this.#client.create({ apiVersion: "v1", kind: "Pod", metadata, spec } as never));
  }

  /** Its container runs, was restarted so many times, and is ready or not. */
  run(
    name: string,
    ip: string,
    { restarts = 0, isReady = true }: { readonly restarts?: number; readonly isReady?: boolean } = {},
  ): Promise<Answer["body"]> {
    const startedAt = new Date(0).toISOString();
    const image = { name: "engine", image: "engine", imageID: "engine" };
    return this.status(name, {
      phase: "Running",
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: "Ready", status: isReady ? "True" : "False" }],
      containerStatuses: [{ ...image, ready: isReady, restartCount: restarts, state: { running: { startedAt } } }],
    });
  }

  async status(name: string, status: object): Promise<Answer["body"]> {
    return good(await this.#client.patch(`${this.path}/${name}/status`, { status }));
  }

  /** `null` takes a label or an annotation away. */
  async change(
    name: string,
    metadata: { readonly labels?: object; readonly annotations?: object },
  ): Promise<Answer["body"]> {
    return good(await this.#client.patch(`${this.path}/${name}`, { metadata }));
  }

  /** Begins its end: it stays until it is removed. */
  async terminate(name: string): Promise<void> {
    good(await this.#client.delete(`${this.path}/${name}`, { gracePeriodSeconds: 30 }));
  }

  /** As the kubelet does when all containers have ended. */
  async remove(name: string): Promise<void> {
    good(await this.#client.delete(`${this.path}/${name}`, { gracePeriodSeconds: 0 }));
  }
}

function good({ status, body }: Answer): Answer["body"] {
  if (status >= 200 && status < 300) return body;
  throw new Error(`${status}: ${body.message}`);
}
