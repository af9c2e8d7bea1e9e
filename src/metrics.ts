import { Counter, collectDefaultMetrics, type Registry } from "prom-client";
import type { WatchObserver } from "./discovery/kubernetes/observer.ts";
import { registerEventLoopSeries } from "./metrics/event-loop.ts";
import { type MeasuredIndexer, registerIndexSeries } from "./metrics/index-series.ts";
import { PodStates } from "./metrics/pod-state.ts";
import { registerReconcilerSeries } from "./metrics/reconciler-series.ts";
import { type RequestMetrics, registerRequestSeries } from "./metrics/request-series.ts";
import { type RoutingMetrics, registerRoutingSeries } from "./metrics/routing.ts";
import { registerSnapshotSeries } from "./metrics/snapshot-series.ts";
import { registerHeldSeries, registerSyncSeries } from "./metrics/sync-series.ts";
import { registerTokenizerSeries, type TokenizerMetrics } from "./metrics/tokenizer.ts";
import { registerWatchSeries } from "./metrics/watch-series.ts";
import type { ReconcilerObserver } from "./reconciler/reconciler.ts";
import type { SnapshotObserver } from "./snapshot/observer.ts";
import type { PodDirectory, SyncObserver } from "./sync/status.ts";

export type { RequestMetrics, RequestOutcome } from "./metrics/request-series.ts";
export type { RoutingMetrics, RoutingSelection, RoutingSubject } from "./metrics/routing.ts";

export interface MetricsOptions {
  /** Whose size is told. Default none. */
  readonly indexer?: MeasuredIndexer;
  /** Whose streams are asked what waits in them. Default none. */
  readonly directory?: PodDirectory;
  /** Memory, CPU and garbage collection of this process, by prom-client; they run until the process ends. Default false. */
  readonly processMetrics?: boolean;
}

/**
 * Every series of this package; an observer for `KVEventManager`. A pod's series go with its last stream. Disposing
 * takes the series off the registry and stops what measures; idempotent.
 */
export interface Metrics extends SyncObserver, Disposable {
  readonly routing: RoutingMetrics;
  readonly requests: RequestMetrics;
  readonly snapshots: SnapshotObserver;
  readonly watch: WatchObserver;
  readonly reconciler: ReconcilerObserver;
  readonly tokenizers: TokenizerMetrics;
  /** Begins to measure the event loop, by a timer that keeps no process alive. */
  start(): void;
  /** Events could not be followed, for good. */
  startFailed(): void;
}

/** As the reference's, so that its dashboards work unchanged. */
const PREFIX = "aibrix_";

/**
 * Registers the series. Values are read at a scrape: until then an event costs a few additions.
 *
 * Labels are bounded: `pod_key` by the pods that are known, types, kinds, reasons and statuses by what this package
 * knows (all else is `other`), `model` by 1,000.
 *
 * @throws Error where the registry has one of the names already: use a registry for each instance.
 */
export function createMetrics(registry: Registry, options: MetricsOptions = {}): Metrics {
  const before = new Set(namesOf(registry));
  const states = new PodStates();
  registerSyncSeries(registry, PREFIX, states);
  if (options.indexer !== undefined) registerIndexSeries(registry, PREFIX, options.indexer);
  const routing = registerRoutingSeries(registry, PREFIX);
  if (options.directory !== undefined) registerHeldSeries(registry, PREFIX, options.directory);
  const requests = registerRequestSeries(registry, PREFIX);
  const watch = registerWatchSeries(registry, PREFIX);
  const reconciler = registerReconcilerSeries(registry, PREFIX);
  const snapshots = registerSnapshotSeries(registry, PREFIX);
  const tokenizers = registerTokenizerSeries(registry, PREFIX);
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry });
  const startFailures = new Counter({
    name: `${PREFIX}kvcache_sync_start_failures_total`,
    help: "Starts that failed: the host runs without the events of its engines.",
    registers: [registry],
  });
  const eventLoop = registerEventLoopSeries(registry, PREFIX);
  const names = namesOf(registry).filter((name) => !before.has(name));
  return Object.assign(states, {
    routing,
    requests,
    snapshots,
    watch,
    reconciler,
    tokenizers,
    start: () => eventLoop.start(),
    startFailed: () => startFailures.inc(),
    [Symbol.dispose]: () => {
      eventLoop[Symbol.dispose]();
      for (const name of names) registry.removeSingleMetric(name);
    },
  });
}

function namesOf(registry: Registry): readonly string[] {
  return registry.getMetricsAsArray().map(({ name }) => name);
}
