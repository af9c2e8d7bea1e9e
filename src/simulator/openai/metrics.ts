import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { RankLoad, ServingObserver } from "../serving-engine.ts";

export interface EngineMetricsOptions {
  readonly modelName: string;
  readonly blockSize: number;
  readonly capacityBlocks: number;
  readonly loads: () => readonly RankLoad[];
}

/** What an engine tells of itself under `/metrics`. */
export interface EngineMetrics extends ServingObserver {
  readonly registry: Registry;
}

const LABELS = ["model_name", "engine"] as const;
type Labels = (typeof LABELS)[number];

/** As vLLM has them (`vllm/v1/metrics/loggers.py`). */
const TTFT_BUCKETS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2_560,
];

/** The series of vLLM that routers read, by its names; `engine` is the data-parallel rank. */
export function engineMetrics({ modelName, blockSize, capacityBlocks, loads }: EngineMetricsOptions): EngineMetrics {
  const registry = new Registry();
  const registers = [registry];
  const labels = (rank: number): Record<Labels, string> => ({ model_name: modelName, engine: String(rank) });
  const counter = (name: string, help: string): Counter<Labels> =>
    new Counter({ name: `vllm:${name}`, help, labelNames: [...LABELS], registers });
  registerLoads(registry, labels, loads);
  const queries = counter("prefix_cache_queries_total", "Prompt tokens that were looked up in the prefix cache.");
  const hits = counter("prefix_cache_hits_total", "Prompt tokens that were found there.");
  const prompts = counter("prompt_tokens_total", "Prompt tokens of requests that started.");
  const generated = counter("generation_tokens_total", "Tokens of answers that ended.");
  const ttft = new Histogram({
    name: "vllm:time_to_first_token_seconds",
    help: "From the request to its first token.",
    labelNames: [...LABELS],
    buckets: TTFT_BUCKETS,
    registers,
  });
  new Gauge({
    name: "vllm:cache_config_info",
    help: "How the cache is configured.",
    labelNames: ["block_size", "num_gpu_blocks", "enable_prefix_caching", "engine"],
    registers,
    collect() {
      for (const { rank } of loads()) {
        const sizes = { block_size: String(blockSize), num_gpu_blocks: String(capacityBlocks) };
        this.set({ ...sizes, enable_prefix_caching: "True", engine: String(rank) }, 1);
      }
    },
  });
  return {
    registry,
    started: (rank, promptTokens, cachedTokens) => {
      queries.inc(labels(rank), promptTokens);
      hits.inc(labels(rank), cachedTokens);
      prompts.inc(labels(rank), promptTokens);
    },
    firstToken: (rank, ttftMs) => ttft.observe(labels(rank), ttftMs / 1_000),
    finished: (rank, outputTokens) => generated.inc(labels(rank), outputTokens),
  };
}

function registerLoads(
  registry: Registry,
  labels: (rank: number) => Record<Labels, string>,
  loads: EngineMetricsOptions["loads"],
): void {
  const gauge = (name: string, help: string, read: (load: RankLoad) => number): void => {
    new Gauge({
      name: `vllm:${name}`,
      help,
      labelNames: [...LABELS],
      registers: [registry],
      collect() {
        for (const load of loads()) this.set(labels(load.rank), read(load));
      },
    });
  };
  gauge("num_requests_running", "Requests in the batch.", ({ running }) => running);
  gauge("num_requests_waiting", "Requests that wait for a place in it.", ({ waiting }) => waiting);
  gauge("kv_cache_usage_perc", "Share of the blocks that running requests take; 1 is all.", ({ usage }) => usage);
}
