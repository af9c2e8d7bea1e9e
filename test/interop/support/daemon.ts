import { join } from "node:path";
import type { Query, Scores } from "./divergence.ts";
import type { EngineEndpoint } from "./engine.ts";
import { PeerProcess } from "./peer-process.ts";
import { root } from "./python.ts";

const MODEL = "interop";

/** One rank of a pod, as `GET /workers` tells. */
export interface StreamState {
  readonly rank: number;
  readonly status: string;
  readonly lastSequence: number | null;
}

interface Listener {
  readonly stream: string;
  readonly last_sequence: number | null;
}

interface Worker {
  readonly instance_id: string;
  readonly listeners: Readonly<Record<string, Listener>>;
}

/** `kv-event-sync serve` in a process of its own. Disposing kills it. */
export class Daemon implements AsyncDisposable {
  readonly #process: PeerProcess;
  readonly #url: string;

  private constructor(child: PeerProcess, url: string) {
    this.#process = child;
    this.#url = url;
  }

  /** On a free port; `flags` are those of `serve`. */
  static async start(flags: readonly string[] = []): Promise<Daemon> {
    const command = ["--import", "tsx", join(root, "src/cli.ts"), "serve", "--port", "0", "--model", MODEL];
    const child = new PeerProcess("daemon", process.execPath, [...command, ...flags]);
    try {
      const [, url] = await child.logged(/"msg":"listening on (http:[^"]+)"/);
      return new Daemon(child, url!);
    } catch (error) {
      await child.end("SIGKILL");
      throw error;
    }
  }

  /** Where its API is. */
  get url(): string {
    return this.#url;
  }

  /** Makes each endpoint a rank of the pod, in their order. */
  async register(pod: string, endpoints: readonly Partial<EngineEndpoint>[]): Promise<void> {
    for (const [rank, { endpoint, replayEndpoint }] of endpoints.entries()) {
      const replay = replayEndpoint === undefined ? {} : { replay_endpoint: replayEndpoint };
      const registration = { instance_id: pod, model_name: MODEL, block_size: 16, dp_rank: rank, endpoint, ...replay };
      const response = await this.#post("register", registration);
      if (response.status !== 201) throw new Error(`register ${pod}: ${response.status} ${await response.text()}`);
    }
  }

  /** Takes the pod away with all of its ranks. */
  async unregister(pod: string): Promise<void> {
    const response = await this.#post("unregister", { instance_id: pod, model_name: MODEL });
    if (response.status !== 200) throw new Error(`unregister ${pod}: ${response.status} ${await response.text()}`);
  }

  /** Of a pod that is not known: none. */
  async streams(pod: string): Promise<readonly StreamState[]> {
    const workers = (await (await fetch(`${this.#url}/workers`)).json()) as readonly Worker[];
    const listeners = workers.find(({ instance_id }) => instance_id === pod)?.listeners ?? {};
    return Object.entries(listeners).map(([rank, { stream, last_sequence }]) => ({
      rank: Number(rank),
      status: stream,
      lastSequence: last_sequence,
    }));
  }

  readonly query: Query = async ({ tokens, adapter, salt }) => {
    const response = await this.#post("query", {
      model_name: MODEL,
      token_ids: tokens,
      ...(adapter !== null && { lora_name: adapter }),
      ...(salt !== null && { cache_salt: salt }),
    });
    if (response.status !== 200) throw new Error(`query: ${response.status} ${await response.text()}`);
    const { scores } = (await response.json()) as { readonly scores: Record<string, Record<string, number>> };
    return new Map(Object.entries(scores).map(([pod, ranks]) => [pod, byRank(ranks)])) satisfies Scores;
  };

  /** Every series of `GET /metrics`, with its labels. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const lines = (await (await fetch(`${this.#url}/metrics`)).text()).split("\n");
    const series = lines.filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(series.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
  }

  /** Sum of a series. */
  async metric(name: string): Promise<number> {
    let sum = 0;
    for (const [series, value] of await this.metrics())
      if (series === name || series.startsWith(`${name}{`)) sum += value;
    return sum;
  }

  /** Ends it as its user does. Resolves to its exit code. */
  stop(): Promise<number | null> {
    return this.#process.end("SIGTERM");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.end("SIGKILL");
  }

  #post(path: string, body: unknown): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return fetch(`${this.#url}/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  }
}

function byRank(ranks: Readonly<Record<string, number>>): ReadonlyMap<number, number> {
  return new Map(Object.entries(ranks).map(([rank, tokens]) => [Number(rank), tokens]));
}
