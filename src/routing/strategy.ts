import type { StreamStatus } from "../sync/status.ts";

/** What decides where a request goes. The first one is AIBrix's, the last three are for comparison. */
export type StrategyName = "prefix-cache" | "cost-aware" | "least-request" | "round-robin" | "random";

export const STRATEGY_NAMES: readonly StrategyName[] = [
  "prefix-cache",
  "cost-aware",
  "least-request",
  "round-robin",
  "random",
];

/** How fresh the picture of one rank is. */
export interface StreamFreshness {
  readonly status: StreamStatus;
  /** Of the last batch applied; `null`: none yet. */
  readonly lastSequence: number | null;
  /** Since then, by the clock of this process. */
  readonly idleMs: number | null;
}

/** A pod that a request could go to. */
export interface RouteCandidate {
  /** `Pod.key`. */
  readonly pod: string;
  /** Base URL of its HTTP server; `null` where it is not known. */
  readonly address: string | null;
  /** Of the prompt, on the pod's best rank, whatever the tier; what was just routed there counts. */
  readonly matchedTokens: number;
  /** Of the prompt's full blocks, 0 to 100, rounded down. */
  readonly matchPercent: number;
  /** Like `matchedTokens`, each token weighed by the best tier that has it (`tierWeights`). */
  readonly weightedTokens: number;
  readonly runningRequests: number;
  readonly waitingRequests: number;
  /** Tokens of requests that were sent there and have no first token yet, as far as they were not cached. */
  readonly pendingTokens: number;
  /** By the cost model (`CostOptions`), in milliseconds. */
  readonly expectedTtftMs: number;
  /** How far the picture of each rank can be trusted, by rank. */
  readonly streams: Readonly<Record<string, StreamFreshness>>;
}

/**
 * How a pod was found. The first three are AIBrix's: what holds most of the prompt; the least loaded, since those are too
 * loaded; the least loaded, since nobody holds any of it.
 */
export type Selection =
  | "prefix_match"
  | "prefix_match_skipped"
  | "least_request_fallback"
  | "lowest_cost"
  | "least_request"
  | "round_robin"
  | "random";

export interface Choice {
  readonly candidate: RouteCandidate;
  readonly selection: Selection;
  /** In a sentence. */
  readonly reason: string;
  /** Whether only the least loaded pods were candidates. */
  readonly isImbalanced: boolean;
}

/** A way to choose. What it remembers from one choice to the next is its own; the clock and the network are not its business. */
export interface RoutingStrategy {
  readonly name: StrategyName;
  /** `candidates`: at least one. */
  choose(candidates: readonly RouteCandidate[], promptTokens: number): Choice;
}

/** Draws from [0, 1), as `Math.random`. */
export type RandomSource = () => number;

/** One of these at random. */
export function anyOf<T>(items: readonly T[], random: RandomSource): T {
  return items[Math.min(items.length - 1, Math.floor(random() * items.length))]!;
}

/** Those with the fewest running requests, and of them those with the fewest that wait. */
export function leastLoaded(candidates: readonly RouteCandidate[]): RouteCandidate[] {
  let best: RouteCandidate[] = [];
  for (const candidate of candidates) {
    const order = best.length === 0 ? -1 : compareLoad(candidate, best[0]!);
    if (order < 0) best = [candidate];
    else if (order === 0) best.push(candidate);
  }
  return best;
}

function compareLoad(left: RouteCandidate, right: RouteCandidate): number {
  return left.runningRequests - right.runningRequests || left.waitingRequests - right.waitingRequests;
}
