import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LeastRequestStrategy, RandomStrategy, RoundRobinStrategy } from "../../src/routing/baselines.ts";
import { CostAwareStrategy, expectedTtftMs } from "../../src/routing/cost-aware.ts";
import { PrefixCacheStrategy } from "../../src/routing/prefix-cache.ts";
import type { RouteCandidate, RoutingStrategy } from "../../src/routing/strategy.ts";
import { seededRandom } from "../support/random.ts";
import { candidate } from "./support.ts";

const LIMITS = { imbalanceThreshold: 8, deviationFactor: 1 };

function prefixCache(limits = LIMITS): PrefixCacheStrategy {
  return new PrefixCacheStrategy(limits, seededRandom(1));
}

const candidates: fc.Arbitrary<RouteCandidate[]> = fc
  .array(
    fc.record({
      matched: fc.nat({ max: 100 }),
      runningRequests: fc.nat({ max: 30 }),
      waitingRequests: fc.nat({ max: 5 }),
      expectedTtftMs: fc.nat({ max: 50 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((all) => all.map(({ matched, ...more }, i) => candidate(`pod-${i}`, { matchedTokens: matched, ...more })));

describe("any strategy", () => {
  const all = (): RoutingStrategy[] => [
    prefixCache(),
    new CostAwareStrategy(seededRandom(1)),
    new LeastRequestStrategy(seededRandom(1)),
    new RoundRobinStrategy(),
    new RandomStrategy(seededRandom(1)),
  ];

  it("chooses one of the candidates, and the same one for the same random numbers", () => {
    fc.assert(
      fc.property(candidates, (given) => {
        const [first, second] = [all(), all()];
        for (const [at, strategy] of first.entries()) {
          const choice = strategy.choose(given, 100);
          assert.ok(given.includes(choice.candidate));
          assert.deepEqual(second[at]!.choose(given, 100), choice);
        }
      }),
    );
  });
});

describe("prefix-cache", () => {
  it("takes the pod that holds most of the prompt, then the one with fewer running requests", () => {
    const held = [candidate("a", { matchedTokens: 40 }), candidate("b", { matchedTokens: 60, runningRequests: 1 })];
    const { candidate: chosen, selection } = prefixCache().choose(held);
    assert.deepEqual([chosen.pod, selection], ["b", "prefix_match"]);
    const equal = [candidate("a", { matchedTokens: 60, runningRequests: 2 }), ...held];
    assert.equal(prefixCache().choose(equal).candidate.pod, "b");
  });

  it("draws among equals", () => {
    const equals = ["a", "b", "c"].map((pod) => candidate(pod, { matchedTokens: 50 }));
    const strategy = prefixCache();
    const chosen = new Set(Array.from({ length: 50 }, () => strategy.choose(equals).candidate.pod));
    assert.deepEqual([...chosen].sort(), ["a", "b", "c"]);
  });

  it("passes over a pod whose load is above mean and deviation, for the next that holds a part", () => {
    // Mean 3, deviation 3: 6 and no more.
    const loads = [candidate("a", { matchedTokens: 90, runningRequests: 7 }), candidate("b", { matchedTokens: 30 })];
    const { candidate: chosen, selection } = prefixCache().choose([...loads, candidate("c", { runningRequests: 2 })]);
    assert.deepEqual([chosen.pod, selection], ["b", "prefix_match"]);
  });

  it("takes the least loaded where who holds it is too loaded", () => {
    const given = [candidate("a", { matchedTokens: 90, runningRequests: 7 }), candidate("b", { runningRequests: 1 })];
    const { candidate: chosen, selection } = prefixCache({ ...LIMITS, deviationFactor: 0 }).choose(given);
    assert.deepEqual([chosen.pod, selection], ["b", "prefix_match_skipped"]);
  });

  it("takes the least loaded where nobody holds any of it", () => {
    const given = [candidate("a", { runningRequests: 2 }), candidate("b", { runningRequests: 1 })];
    const { candidate: chosen, selection } = prefixCache().choose(given);
    assert.deepEqual([chosen.pod, selection], ["b", "least_request_fallback"]);
  });

  it("looks at the least loaded alone once the loads differ by more than the threshold", () => {
    const busy = (runningRequests: number) => [
      candidate("a", { matchedTokens: 90, runningRequests }),
      candidate("b", { matchedTokens: 10 }),
      candidate("c"),
    ];
    const eight = prefixCache({ ...LIMITS, deviationFactor: 10 }).choose(busy(8));
    assert.deepEqual([eight.candidate.pod, eight.isImbalanced], ["a", false]);
    const nine = prefixCache({ ...LIMITS, deviationFactor: 10 }).choose(busy(9));
    assert.deepEqual([nine.candidate.pod, nine.isImbalanced, nine.selection], ["b", true, "prefix_match"]);
  });

  it("never takes a pod above its limits", () => {
    fc.assert(
      fc.property(candidates, (given) => {
        const { candidate: chosen, selection, isImbalanced } = prefixCache().choose(given);
        const running = given.map(({ runningRequests }) => runningRequests);
        const least = Math.min(...running);
        assert.equal(isImbalanced, Math.max(...running) - least > 8);
        if (isImbalanced || selection !== "prefix_match") assert.equal(chosen.runningRequests, least);
        if (selection === "prefix_match") assert.ok(chosen.matchedTokens > 0);
        else if (!isImbalanced && selection === "least_request_fallback") {
          assert.ok(given.every(({ matchedTokens }) => matchedTokens === 0));
        }
      }),
    );
  });
});

describe("cost-aware", () => {
  const cost = { prefillMsPerToken: 0.5, runningMs: 2, waitingMs: 10 };

  it("adds up what is to be computed, what was sent before, and who runs and waits", () => {
    const given = { weightedTokens: 60, pendingTokens: 10, runningRequests: 3, waitingRequests: 2 };
    assert.equal(expectedTtftMs(given, 100, cost), (40 + 10) * 0.5 + 3 * 2 + 2 * 10);
    assert.equal(expectedTtftMs({ ...given, weightedTokens: 200 }, 100, cost), 10 * 0.5 + 3 * 2 + 2 * 10);
  });

  it("takes the lowest cost, of equals the one that holds more", () => {
    const given = [
      candidate("a", { expectedTtftMs: 5, matchedTokens: 10 }),
      candidate("b", { expectedTtftMs: 4, matchedTokens: 10 }),
      candidate("c", { expectedTtftMs: 4, matchedTokens: 20 }),
    ];
    const choice = new CostAwareStrategy(seededRandom(1)).choose(given, 100);
    assert.equal(choice.candidate.pod, "c");
    assert.equal(choice.selection, "lowest_cost");
    assert.match(choice.reason, /4\.0 ms.*20 of 100 tokens/);
  });
});

describe("baselines", () => {
  it("round-robin takes one after the other by name, whatever comes and goes", () => {
    const strategy = new RoundRobinStrategy();
    const pods = (names: string) => [...names].map((name) => candidate(name));
    const chosen = ["cab", "cab", "ca", "cad", "cad", "ba"].map((names) => strategy.choose(pods(names)).candidate.pod);
    assert.deepEqual(chosen, ["a", "b", "c", "d", "a", "b"]);
  });

  it("least-request takes the fewest running, then the fewest waiting", () => {
    const given = [
      candidate("a", { runningRequests: 1, waitingRequests: 0 }),
      candidate("b", { runningRequests: 0, waitingRequests: 3 }),
      candidate("c", { runningRequests: 0, waitingRequests: 2 }),
    ];
    assert.equal(new LeastRequestStrategy(seededRandom(1)).choose(given).candidate.pod, "c");
  });

  it("random takes all of them about as often", () => {
    const strategy = new RandomStrategy(seededRandom(1));
    const counts = new Map<string, number>();
    for (let i = 0; i < 3_000; i++) {
      const { pod } = strategy.choose(["a", "b", "c"].map((name) => candidate(name))).candidate;
      counts.set(pod, (counts.get(pod) ?? 0) + 1);
    }
    for (const count of counts.values()) assert.ok(Math.abs(count - 1_000) < 200, `${count}`);
  });
});
