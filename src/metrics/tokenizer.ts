import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { TokenizerCheckObserver } from "../tokenizer/check.ts";
import type { TokenizerPoolObserver, TokenizerPoolStats } from "../tokenizer/pool.ts";

/** An observer for `TokenizerPool` and `TokenizerCheck`. */
export interface TokenizerMetrics extends TokenizerPoolObserver, Pick<TokenizerCheckObserver, "compared"> {
  /** Whose gauges are told from now on. */
  observe(pool: { readonly stats: TokenizerPoolStats }): void;
}

/** From a local tokenizer's short text to an engine's time-out. */
const BUCKETS_SECONDS = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Registers `tokenizer_pool_*`; `tokenizer` is remote, local or character, and `reason` an error's code. */
export function registerTokenizerSeries(registry: Registry, prefix: string): TokenizerMetrics {
  const registers = [registry];
  let pool: { readonly stats: TokenizerPoolStats } | null = null;
  const gauge = (name: string, help: string, read: (stats: TokenizerPoolStats) => number): void => {
    new Gauge({
      name: `${prefix}tokenizer_pool_${name}`,
      help,
      registers,
      collect() {
        this.set(pool === null ? 0 : read(pool.stats));
      },
    });
  };
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> =>
    new Counter({ name: `${prefix}tokenizer_pool_${name}`, help, labelNames, registers });
  gauge("active_tokenizers", "Engines' tokenizers that are open.", ({ active }) => active);
  gauge("unhealthy_tokenizers", "Engines' tokenizers that failed and are left out.", ({ unhealthy }) => unhealthy);
  gauge("cached_prompts", "Prompts whose tokens are kept.", ({ cachedPrompts }) => cachedPrompts);
  gauge("cache_bytes", "Memory that the prompts whose tokens are kept take, about.", ({ cachedBytes }) => cachedBytes);
  const hits = counter("cache_hits_total", "Prompts whose tokens were known.", []);
  const misses = counter("cache_misses_total", "Prompts whose tokens were not known.", []);
  const failures = counter("failures_total", "Attempts that failed, by tokenizer and reason.", ["tokenizer", "reason"]);
  const checks = counter("health_checks_total", "Looks after engines, by outcome.", ["outcome"]);
  const compared = counter("comparisons_total", "Beginnings of prompts, as engines reported them, by outcome.", [
    "outcome",
  ]);
  const durations = new Histogram({
    name: `${prefix}tokenizer_pool_request_duration_seconds`,
    help: "Time of a tokenizer that served.",
    labelNames: ["tokenizer"],
    buckets: BUCKETS_SECONDS,
    registers,
  });
  return {
    observe: (observed) => {
      pool = observed;
    },
    served: (kind, durationMs) => durations.observe({ tokenizer: kind }, durationMs / 1_000),
    failed: (kind, code) => failures.inc({ tokenizer: kind, reason: code }),
    lookedUp: (isHit) => (isHit ? hits : misses).inc(),
    compared: (_model, agrees) => compared.inc({ outcome: agrees ? "same" : "other" }),
    healthChecked: (isHealthy) => checks.inc({ outcome: isHealthy ? "healthy" : "unhealthy" }),
  };
}
