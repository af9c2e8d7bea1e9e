import {
  anyOf,
  type Choice,
  leastLoaded,
  type RandomSource,
  type RouteCandidate,
  type RoutingStrategy,
} from "./strategy.ts";

/** The pod with the fewest running requests, then with the fewest that wait, then at random. */
export class LeastRequestStrategy implements RoutingStrategy {
  readonly name = "least-request";
  readonly #random: RandomSource;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  choose(candidates: readonly RouteCandidate[]): Choice {
    const candidate = anyOf(leastLoaded(candidates), this.#random);
    const reason = `has the fewest requests running, ${candidate.runningRequests}`;
    return { candidate, selection: "least_request", reason, isImbalanced: false };
  }
}

/** One pod after the other, by name. */
export class RoundRobinStrategy implements RoutingStrategy {
  readonly name = "round-robin";
  /** The pod of the choice before: pods come and go, and a number would skip some. */
  #last: string | undefined;

  choose(candidates: readonly RouteCandidate[]): Choice {
    const byName = [...candidates].sort((left, right) => (left.pod < right.pod ? -1 : 1));
    const last = this.#last;
    const candidate = (last === undefined ? undefined : byName.find(({ pod }) => pod > last)) ?? byName[0]!;
    this.#last = candidate.pod;
    return { candidate, selection: "round_robin", reason: "is next in turn", isImbalanced: false };
  }
}

/** Any pod. */
export class RandomStrategy implements RoutingStrategy {
  readonly name = "random";
  readonly #random: RandomSource;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  choose(candidates: readonly RouteCandidate[]): Choice {
    const candidate = anyOf(candidates, this.#random);
    return { candidate, selection: "random", reason: "was drawn", isImbalanced: false };
  }
}
