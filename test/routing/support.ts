import { Registry } from "prom-client";
import { systemClock } from "../../src/clock.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { registerRoutingSeries } from "../../src/metrics/routing.ts";
import { type RoutingSettings, resolveRoutingOptions } from "../../src/routing/options.ts";
import { RequestRouter, type RequestRouterParts } from "../../src/routing/request-router.ts";
import type { RouteCandidate } from "../../src/routing/strategy.ts";
import type { PodInfo } from "../../src/sync/status.ts";
import { podInfo } from "../server/support.ts";
import { seededRandom } from "../support/random.ts";

/** A candidate about which nothing is said but this. */
export function candidate(pod: string, more: Partial<RouteCandidate> = {}): RouteCandidate {
  const matchedTokens = more.matchedTokens ?? 0;
  return {
    pod,
    address: null,
    matchedTokens,
    matchPercent: matchedTokens,
    weightedTokens: matchedTokens,
    runningRequests: 0,
    waitingRequests: 0,
    pendingTokens: 0,
    expectedTtftMs: 0,
    streams: {},
    ...more,
  };
}

export interface RouterBench {
  readonly router: RequestRouter;
  readonly indexer: SyncPrefixHashTable;
  readonly registry: Registry;
  readonly pods: PodInfo[];
}

/** A router over an index, with pods `a`, `b` and `c` of model `m`. */
export function routerBench(options: RoutingSettings = {}, parts: Partial<RequestRouterParts> = {}): RouterBench {
  const indexer = new SyncPrefixHashTable({ seed: 1n });
  const registry = new Registry();
  const pods = ["a", "b", "c"].map((key) => podInfo(key, { blockSize: 2 }));
  const router = new RequestRouter({
    indexer,
    directory: { pods: () => pods },
    tokenizer: null,
    metrics: registerRoutingSeries(registry, ""),
    engineLoads: null,
    options: resolveRoutingOptions(options),
    clock: systemClock,
    random: seededRandom(7),
    ...parts,
  });
  return { router, indexer, registry, pods };
}
