import type { Registry } from "prom-client";
import { Distribution, exponentialBounds, pulledHistogram } from "./pulled.ts";
import { OTHER } from "./tally.ts";

/** 50 µs, a short prompt that nobody holds, to 1.6 s. Seconds. */
export const REQUEST_BOUNDS: readonly number[] = exponentialBounds(0.000_05, 2, 16);

/** What an answer was: what was asked for, a request that cannot be answered, or a failure of ours. */
export type RequestOutcome = "success" | "client_error" | "server_error";

/** Records the requests that were answered. */
export interface RequestMetrics {
  /** `path` as in the API's description, such as `/query`; the first 24 count by name, all others as `other`. */
  answered(path: string, outcome: RequestOutcome, durationSeconds: number): void;
}

/** More than there are: a caller that passes on what a stranger asked for must not fill the memory. */
const MAX_PATHS = 24;

export function registerRequestSeries(registry: Registry, prefix: string): RequestMetrics {
  const paths = new Map<string, Map<RequestOutcome, Distribution>>();
  pulledHistogram(registry, {
    name: `${prefix}kvcache_http_request_duration_seconds`,
    help: "From a request's head to the head of its answer, by path and outcome.",
    // Not `endpoint`: under Prometheus Operator that is the port that is scraped.
    labelNames: ["path", "outcome"],
    bounds: REQUEST_BOUNDS,
    read: () => distributions(paths),
  });
  return {
    answered: (path, outcome, durationSeconds) => {
      const name = paths.has(path) || paths.size < MAX_PATHS ? path : OTHER;
      const outcomes = paths.get(name) ?? new Map<RequestOutcome, Distribution>();
      paths.set(name, outcomes);
      const distribution = outcomes.get(outcome) ?? new Distribution(REQUEST_BOUNDS);
      outcomes.set(outcome, distribution);
      distribution.observe(durationSeconds);
    },
  };
}

function* distributions(paths: ReadonlyMap<string, ReadonlyMap<RequestOutcome, Distribution>>): IterableIterator<{
  readonly labels: { readonly path: string; readonly outcome: string };
  readonly distribution: Distribution;
}> {
  for (const [path, outcomes] of paths) {
    for (const [outcome, distribution] of outcomes) yield { labels: { path, outcome }, distribution };
  }
}
