import type { CostOptions } from "./options.ts";
import { anyOf, type Choice, type RandomSource, type RouteCandidate, type RoutingStrategy } from "./strategy.ts";

/** Two costs that differ by less are the same: the model knows no better. */
const SAME_MS = 0.001;

/** The pod that is expected to answer first: what it still has to compute, and what it has to do before. */
export class CostAwareStrategy implements RoutingStrategy {
  readonly name = "cost-aware";
  readonly #random: RandomSource;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  choose(candidates: readonly RouteCandidate[], promptTokens: number): Choice {
    const lowest = Math.min(...candidates.map(({ expectedTtftMs }) => expectedTtftMs));
    const cheapest = candidates.filter(({ expectedTtftMs }) => expectedTtftMs - lowest < SAME_MS);
    // Of equals the one that has more of the prompt: it keeps the copies few.
    const most = Math.max(...cheapest.map(({ matchedTokens }) => matchedTokens));
    const candidate = anyOf(
      cheapest.filter(({ matchedTokens }) => matchedTokens === most),
      this.#random,
    );
    const { matchedTokens, expectedTtftMs, runningRequests, waitingRequests } = candidate;
    const reason =
      `is expected to answer in ${expectedTtftMs.toFixed(1)} ms: it holds ${matchedTokens} of ${promptTokens} tokens, ` +
      `${runningRequests} requests run and ${waitingRequests} wait there`;
    return { candidate, selection: "lowest_cost", reason, isImbalanced: false };
  }
}

/** What a candidate costs by the model: milliseconds until the first token. */
export function expectedTtftMs(
  candidate: Pick<RouteCandidate, "weightedTokens" | "pendingTokens" | "runningRequests" | "waitingRequests">,
  promptTokens: number,
  { prefillMsPerToken, runningMs, waitingMs }: CostOptions,
): number {
  const uncached = Math.max(0, promptTokens - candidate.weightedTokens);
  const work = (uncached + candidate.pendingTokens) * prefillMsPerToken;
  return work + candidate.runningRequests * runningMs + candidate.waitingRequests * waitingMs;
}
