import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { zmtp } from "../../transports/zmtp/index.ts";
import { withoutVariables } from "../deploy/support/promql.ts";
import { chat, engine } from "../support/pipeline.ts";
import { PROMETHEUS, root, toolTest } from "../support/tools.ts";
import { Daemon } from "./support/daemon.ts";
import { PeerProcess } from "./support/peer-process.ts";
import { until } from "./support/until.ts";

const HOST = "127.0.0.1";

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}

interface Rule {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
}

/** A real Prometheus that scrapes one daemon each second and evaluates our rules. Disposing kills it. */
class Prometheus implements AsyncDisposable {
  readonly #process: PeerProcess;
  readonly #folder: string;
  readonly #url: string;

  private constructor(child: PeerProcess, folder: string, url: string) {
    this.#process = child;
    this.#folder = folder;
    this.#url = url;
  }

  static async start(program: string, target: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "prometheus-"));
    const config = {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: [join(root, "deploy/monitoring/rules.yaml")],
      scrape_configs: [{ job_name: "kv", static_configs: [{ targets: [new URL(target).host] }] }],
    };
    writeFileSync(join(folder, "prometheus.yml"), stringify(config));
    const url = `http://${HOST}:${await freePort()}`;
    const child = new PeerProcess("prometheus", program, [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${new URL(url).host}`,
    ]);
    const prometheus = new Prometheus(child, folder, url);
    try {
      await child.logged(/Server is ready to receive web requests/);
      return prometheus;
    } catch (error) {
      await prometheus[Symbol.asyncDispose]();
      throw error;
    }
  }

  async query(expr: string): Promise<readonly Sample[]> {
    const { result } = await this.#get(`query?query=${encodeURIComponent(expr)}`);
    return result as readonly Sample[];
  }

  async rules(): Promise<readonly Rule[]> {
    const { groups } = await this.#get("rules");
    return (groups as readonly { readonly rules: readonly Rule[] }[]).flatMap(({ rules }) => rules);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.end("SIGKILL");
    rmSync(this.#folder, { recursive: true });
  }

  async #get(path: string): Promise<Readonly<Record<string, unknown>>> {
    const answer = await (await fetch(`${this.#url}/api/v1/${path}`)).json();
    const { status, error, data } = answer as {
      readonly status: string;
      readonly error?: string;
      readonly data: never;
    };
    if (status !== "success") throw new Error(`${path}: ${error}`);
    return data;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const { panels } = JSON.parse(readFileSync(join(root, "deploy/monitoring/dashboard.json"), "utf8")) as {
  readonly panels: readonly Panel[];
};

/** Of a daemon that follows an engine and answers queries, and neither routes nor tokenizes. */
const WITHOUT_DATA = [
  "Share of the prompt that was there",
  "How pods were chosen",
  "Time to choose a pod",
  "Requests that could not be routed by their prefix",
  "Time to tokenize",
  "Attempts that failed",
];

toolTest(
  [PROMETHEUS],
  "a real Prometheus scrapes the daemon, and rules and dashboard find their data",
  async (programs) => {
    const pod = await engine(zmtp(), "ns/a");
    try {
      await using daemon = await Daemon.start();
      await daemon.register("ns/a", pod.ranks);
      await using prometheus = await Prometheus.start(programs[0]!, daemon.url);
      const value = async (expr: string) => Number((await prometheus.query(expr))[0]?.value[1]);
      await until(
        "the stream is live",
        () => value('aibrix_kvcache_zmq_stream_status{pod_key="ns/a",status="live"}'),
        (isLive) => isLive === 1,
      );
      const noData = async (): Promise<readonly string[]> => {
        // A rate needs something that happens from one scrape to the next.
        chat(pod, 1);
        await daemon.query({ tokens: [1, 2, 3], adapter: null, salt: null });
        const missing: string[] = [];
        for (const { title, targets = [] } of panels) {
          const answers = await Promise.all(targets.map(({ expr }) => prometheus.query(withoutVariables(expr, "10s"))));
          if (targets.length > 0 && answers.every((samples) => samples.length === 0)) missing.push(title);
        }
        return missing;
      };
      const isExpected = (title: string) => WITHOUT_DATA.includes(title) || title === "Errors";
      await until("panels have data", noData, (missing) => missing.every(isExpected));
      const isEvaluated = (rules: readonly Rule[]) => rules.every(({ health }) => health !== "unknown");
      const rules = await until("rules are evaluated", () => prometheus.rules(), isEvaluated);
      assert.ok(rules.length > 20);
      assert.deepEqual(
        rules.filter(({ health }) => health !== "ok"),
        [],
      );
      assert.deepEqual(await prometheus.query('ALERTS{alertstate="firing"}'), [], "nothing is wrong");
    } finally {
      await pod.stop();
    }
  },
);
