import { Registry } from "prom-client";
import { createMetrics } from "../../../src/metrics.ts";

/** A series as the code has it. */
export interface Series {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Lines of one histogram: its buckets, its sum and its count. Of all others 1. */
  readonly lines: number;
}

/** What a registry keeps of a metric, some of it not in prom-client's types. */
interface RegisteredMetric {
  readonly name: string;
  readonly type?: unknown;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly upperBounds?: readonly number[];
}

const EMPTY_STATS = { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 };

/** Every series of this package, in the order of their names; those of the process are prom-client's and not among them. */
export function allSeries(): readonly Series[] {
  const registry = new Registry();
  using _metrics = createMetrics(registry, {
    indexer: { stats: () => EMPTY_STATS, sourceStats: () => [], bytes: 0 },
    directory: { pods: () => [] },
  });
  const metrics = registry.getMetricsAsArray() as unknown as readonly RegisteredMetric[];
  return metrics.map(seriesOf).sort((left, right) => (left.name < right.name ? -1 : 1));
}

function seriesOf({ name, type, help, labelNames, upperBounds }: RegisteredMetric): Series {
  if (type !== "counter" && type !== "gauge" && type !== "histogram") throw new Error(`${name} is a ${String(type)}`);
  return { name, type, help, labels: labelNames, lines: upperBounds === undefined ? 1 : upperBounds.length + 3 };
}

/** How many values labels have that no pod brings along, `other` included. */
const VALUES: Readonly<Record<string, number>> = {
  path: 25,
  event_type: 4,
  indexer_type: 21,
  kind: 4,
  match_percent_bucket: 5,
  outcome: 3,
  selection: 3,
  stat: 3,
  status: 4,
  tokenizer: 3,
  using_kv_sync: 2,
};

/** Labels that mean something else in some series. */
const VALUES_IN: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  aibrix_kvcache_kubernetes_errors_total: { error_type: 5 },
  aibrix_kvcache_reconciler_dropped_total: { reason: 3 },
  aibrix_kvcache_snapshot_writes_total: { outcome: 2 },
  aibrix_kvcache_zmq_errors_total: { error_type: 28 },
  aibrix_kvcache_zmq_purges_total: { reason: 6 },
  aibrix_prefix_cache_routing_errors_total: { reason: 21 },
  aibrix_tokenizer_pool_comparisons_total: { outcome: 2 },
  aibrix_tokenizer_pool_failures_total: { reason: 11 },
  aibrix_tokenizer_pool_health_checks_total: { outcome: 2 },
};

/** What a series' lines grow with, and how many there are for each of those. */
export interface Bound {
  readonly per: "rank" | "pod" | "model" | null;
  readonly lines: number;
}

/** Throws for a label of which nobody said how many values it has. */
export function boundOf({ name, labels, lines }: Series): Bound {
  const per = labels.includes("rank") ? "rank" : labels.includes("pod_key") ? "pod" : null;
  const byModel = per === null && labels.includes("model") ? "model" : per;
  const own = labels.filter((label) => !["rank", "pod_key", "model"].includes(label));
  const product = own.reduce((factor, label) => {
    const values = VALUES_IN[name]?.[label] ?? VALUES[label];
    if (values === undefined) throw new Error(`${name}: nobody said how many values ${label} has`);
    return factor * values;
  }, lines);
  return { per: byModel, lines: product };
}

/** The table of `deploy/monitoring/README.md`. */
export function seriesTable(): string {
  const rows = allSeries().map((series) => {
    const { per, lines } = boundOf(series);
    const labels = series.labels.map((label) => `\`${label}\``).join(", ");
    const bound = per === null ? `${lines}` : `${lines} per ${per}`;
    return `| \`${series.name}\` | ${series.type} | ${labels} | ${series.help} | ${bound} |`;
  });
  return ["| series | type | labels | meaning | lines at most |", "|---|---|---|---|---|", ...rows].join("\n");
}
