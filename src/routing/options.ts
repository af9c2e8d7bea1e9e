import { ConfigurationError } from "../errors.ts";
import { STRATEGY_NAMES, type StrategyName } from "./strategy.ts";

/** What `expectedTtftMs` is made of, in milliseconds. Only how they relate to each other decides. */
export interface CostOptions {
  /** Per token that has to be computed, of this request and of those before it. @default 0.1: 10,000 tokens a second */
  readonly prefillMsPerToken: number;
  /** Per request that runs: it takes its share of each step. @default 1 */
  readonly runningMs: number;
  /** Per request that waits, beyond what is known of its tokens. @default 20 */
  readonly waitingMs: number;
}

/** How requests are routed. */
export interface RoutingOptions {
  /** Where a request names none. @default prefix-cache */
  readonly strategy: StrategyName;
  /** Running requests between the most and the least loaded pod above which only the least loaded are candidates. @default 8 */
  readonly imbalanceThreshold: number;
  /** A pod is too loaded above mean + factor × standard deviation. @default 1 */
  readonly deviationFactor: number;
  readonly cost: CostOptions;
  /** How long a pod is believed to have what was just sent there, unless its events say otherwise; 0: it is not. @default 5000 */
  readonly speculativeTtlMs: number;
  /** Of engines' HTTP servers, where discovery does not say. @default 8000, as vLLM */
  readonly engineHttpPort: number;
  /** Tokens per block of pods that have told of none yet. @default 16 */
  readonly blockSize: number;
  /** From one look at the engines' metrics to the next; 0: their load is not asked for. @default 0 */
  readonly loadIntervalMs: number;
}

export const DEFAULT_ROUTING: RoutingOptions = {
  strategy: "prefix-cache",
  imbalanceThreshold: 8,
  deviationFactor: 1,
  cost: { prefillMsPerToken: 0.1, runningMs: 1, waitingMs: 20 },
  speculativeTtlMs: 5_000,
  engineHttpPort: 8000,
  blockSize: 16,
  loadIntervalMs: 0,
};

/** The same, as they are given: what is left out is as in `DEFAULT_ROUTING`. */
export type RoutingSettings = Partial<Omit<RoutingOptions, "cost">> & { readonly cost?: Partial<CostOptions> };

/** Throws ConfigurationError `invalid-option`. */
export function resolveRoutingOptions(options: RoutingSettings = {}): RoutingOptions {
  const resolved = { ...DEFAULT_ROUTING, ...options, cost: { ...DEFAULT_ROUTING.cost, ...options.cost } };
  if (!STRATEGY_NAMES.includes(resolved.strategy)) {
    throw new ConfigurationError(
      "invalid-option",
      `routing: strategy is ${JSON.stringify(resolved.strategy)}; use one of ${STRATEGY_NAMES.join(", ")}`,
    );
  }
  const { cost, imbalanceThreshold, deviationFactor, speculativeTtlMs, loadIntervalMs } = resolved;
  for (const [name, value] of Object.entries({
    ...cost,
    imbalanceThreshold,
    deviationFactor,
    speculativeTtlMs,
    loadIntervalMs,
  })) {
    if (value >= 0) continue;
    throw new ConfigurationError("invalid-option", `routing: ${name} is ${value}; use a number from 0`);
  }
  const { engineHttpPort, blockSize } = resolved;
  if (!Number.isInteger(engineHttpPort) || engineHttpPort < 1 || engineHttpPort > 65_535) {
    throw new ConfigurationError("invalid-option", `routing: engineHttpPort is ${engineHttpPort}; use 1 to 65535`);
  }
  if (!Number.isInteger(blockSize) || blockSize < 1) {
    throw new ConfigurationError("invalid-option", `routing: blockSize is ${blockSize}; use a whole number from 1`);
  }
  return resolved;
}
