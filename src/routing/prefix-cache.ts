import type { RoutingOptions } from "./options.ts";
import {
  anyOf,
  type Choice,
  leastLoaded,
  type RandomSource,
  type RouteCandidate,
  type RoutingStrategy,
} from "./strategy.ts";

/**
 * AIBrix's strategy: of the pods that hold most of the prompt the first that is not too loaded, unless the load is so
 * uneven that it decides alone (`reference` names: imbalance threshold, standard deviation factor).
 */
export class PrefixCacheStrategy implements RoutingStrategy {
  readonly name = "prefix-cache";
  readonly #options: Pick<RoutingOptions, "imbalanceThreshold" | "deviationFactor">;
  readonly #random: RandomSource;

  constructor(options: Pick<RoutingOptions, "imbalanceThreshold" | "deviationFactor">, random: RandomSource) {
    this.#options = options;
    this.#random = random;
  }

  choose(all: readonly RouteCandidate[]): Choice {
    const running = all.map(({ runningRequests }) => runningRequests);
    const least = Math.min(...running);
    const isImbalanced = Math.max(...running) - least > this.#options.imbalanceThreshold;
    const candidates = isImbalanced ? all.filter(({ runningRequests }) => runningRequests === least) : all;
    const matching = candidates.filter(({ matchedTokens }) => matchedTokens > 0);
    const limit = mean(running) + this.#options.deviationFactor * standardDeviation(running);
    const best = this.#bestMatch(matching.filter(({ runningRequests }) => runningRequests <= limit));
    if (best !== undefined) {
      const reason = `holds ${best.matchPercent} % of the prompt, with ${best.runningRequests} requests running`;
      return { candidate: best, selection: "prefix_match", reason, isImbalanced };
    }
    const candidate = anyOf(leastLoaded(candidates), this.#random);
    if (matching.length === 0) {
      const reason = `has the fewest requests running, ${candidate.runningRequests}: nobody holds any of the prompt`;
      return { candidate, selection: "least_request_fallback", reason, isImbalanced };
    }
    const reason = `has the fewest requests running, ${candidate.runningRequests}: who holds the prompt has over ${limit.toFixed(1)}`;
    return { candidate, selection: "prefix_match_skipped", reason, isImbalanced };
  }

  /** Most of the prompt, then the fewest running requests, then at random. */
  #bestMatch(candidates: readonly RouteCandidate[]): RouteCandidate | undefined {
    let best: RouteCandidate[] = [];
    for (const candidate of candidates) {
      const order = best.length === 0 ? -1 : compareMatch(candidate, best[0]!);
      if (order < 0) best = [candidate];
      else if (order === 0) best.push(candidate);
    }
    return best.length === 0 ? undefined : anyOf(best, this.#random);
  }
}

function compareMatch(left: RouteCandidate, right: RouteCandidate): number {
  return right.matchPercent - left.matchPercent || left.runningRequests - right.runningRequests;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function standardDeviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}
