import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { PROCESSING_BOUNDS } from "./pod-state.ts";
import { OTHER } from "./tally.ts";

/** How a pod was chosen. */
export type RoutingSelection = "prefix_match" | "prefix_match_skipped" | "least_request_fallback";

/** Of whose request, and whether by events from engines. */
export interface RoutingSubject {
  readonly model: string;
  readonly usingKvSync: boolean;
}

/** Records what routing decides. Models beyond the first 1,000, and reasons and kinds beyond 20, count as `other`. */
export interface RoutingMetrics {
  /** `matchPercent`: of the prompt's blocks, 0 to 100, on the pod that was chosen. */
  decided(subject: RoutingSubject, selection: RoutingSelection, matchPercent: number, latencySeconds: number): void;
  /** `reason` is one of few, fixed in the code. */
  failed(subject: RoutingSubject, reason: string): void;
  /** Only the least loaded pods were candidates. */
  imbalanced(subject: RoutingSubject): void;
  /** `indexerType` is in use for the model, or not. */
  indexerStatus(model: string, indexerType: string, isUp: boolean): void;
}

/** As the reference has them; a part of a percent counts as a whole one. */
export type MatchPercentBucket = "0" | "1-25" | "26-50" | "51-75" | "76-100";

/** Upper bound of a series' `model` values: as many as the index has contexts. */
const MAX_MODELS = 1_000;
/** Of the values that a caller makes up. */
const MAX_KINDS = 20;

export function matchPercentBucket(matchPercent: number): MatchPercentBucket {
  if (!(matchPercent > 0)) return "0";
  if (matchPercent <= 25) return "1-25";
  if (matchPercent <= 50) return "26-50";
  return matchPercent <= 75 ? "51-75" : "76-100";
}

export function registerRoutingSeries(registry: Registry, prefix: string): RoutingMetrics {
  const registers = [registry];
  const decisions = new Counter({
    name: `${prefix}prefix_cache_routing_decisions_total`,
    help: "Requests routed, by the share of the prompt that the chosen pod holds.",
    labelNames: ["model", "match_percent_bucket", "using_kv_sync"],
    registers,
  });
  const selections = new Counter({
    name: `${prefix}prefix_cache_routing_selection_total`,
    help: "Requests routed, by how the pod was chosen.",
    labelNames: ["model", "selection", "using_kv_sync"],
    registers,
  });
  const latencies = new Histogram({
    name: `${prefix}prefix_cache_routing_latency_seconds`,
    help: "Time to choose a pod.",
    labelNames: ["model", "using_kv_sync"],
    buckets: [...PROCESSING_BOUNDS],
    registers,
  });
  const errors = new Counter({
    name: `${prefix}prefix_cache_routing_errors_total`,
    help: "Requests that could not be routed by their prefix.",
    labelNames: ["model", "reason", "using_kv_sync"],
    registers,
  });
  const imbalances = new Counter({
    name: `${prefix}prefix_cache_load_imbalance_total`,
    help: "Requests for which the load decided before the prefix.",
    labelNames: ["model", "using_kv_sync"],
    registers,
  });
  const indexers = new Gauge({
    name: `${prefix}prefix_cache_indexer_status`,
    help: "1 where this kind of index is in use for the model, else 0.",
    labelNames: ["model", "indexer_type"],
    registers,
  });
  const models = new BoundedNames(MAX_MODELS);
  const reasons = new BoundedNames(MAX_KINDS);
  const indexerTypes = new BoundedNames(MAX_KINDS);
  const labels = ({ model, usingKvSync }: RoutingSubject) => ({
    model: models.get(model),
    using_kv_sync: String(usingKvSync),
  });
  return {
    decided: (subject, selection, matchPercent, latencySeconds) => {
      const common = labels(subject);
      decisions.inc({ ...common, match_percent_bucket: matchPercentBucket(matchPercent) });
      selections.inc({ ...common, selection });
      if (latencySeconds >= 0 && Number.isFinite(latencySeconds)) latencies.observe(common, latencySeconds);
    },
    failed: (subject, reason) => errors.inc({ ...labels(subject), reason: reasons.get(reason) }),
    imbalanced: (subject) => imbalances.inc(labels(subject)),
    indexerStatus: (model, indexerType, isUp) =>
      indexers.set({ model: models.get(model), indexer_type: indexerTypes.get(indexerType) }, isUp ? 1 : 0),
  };
}

/** The first names as they are, all later ones as `other`. */
class BoundedNames {
  readonly #limit: number;
  readonly #names = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(name: string): string {
    if (this.#names.has(name)) return name;
    if (this.#names.size >= this.#limit) return OTHER;
    this.#names.add(name);
    return name;
  }
}
