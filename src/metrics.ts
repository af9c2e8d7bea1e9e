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
  /**
   * Memory, CPU and garbage collection of this process, by prom-client, from the start until the process ends. Default
   * false.
   */
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
  /** Begins to measure the event loop, by a timer that keeps no process alive, and the process; before, nothing runs. */
  start(): void;
  /** Ends to measure the event loop; what was counted stays to be read. */
  stop(): void;
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
  const names = new Set<string>();
  /** Notes which series are ours: the registry may be the host's. */
  const own = <T>(register: () => T): T => {
    const before = new Set(namesOf(registry));
    const made = register();
    for (const name of namesOf(registry)) if (!before.has(name)) names.add(name);
    return made;
  };
  const states = new PodStates();
  const { startFailures, eventLoop, ...parts } = own(() => registerAll(registry, states, options));
  let hasProcessMetrics = options.processMetrics !== true;
  return Object.assign(states, {
    ...parts,
    start: () => {
      eventLoop.start();
      if (!hasProcessMetrics) own(() => collectDefaultMetrics({ register: registry }));
      hasProcessMetrics = true;
    },
    stop: () => eventLoop.stop(),
    startFailed: () => startFailures.inc(),
    [Symbol.dispose]: () => {
      eventLoop.stop();
      for (const name of names) registry.removeSingleMetric(name);
    },
  });
}

function registerAll(registry: Registry, states: PodStates, { indexer, directory }: MetricsOptions) {
  registerSyncSeries(registry, PREFIX, states);
  if (indexer !== undefined) registerIndexSeries(registry, PREFIX, indexer);
  if (directory !== undefined) registerHeldSeries(registry, PREFIX, directory);
  return {
    routing: registerRoutingSeries(registry, PREFIX),
    requests: registerRequestSeries(registry, PREFIX),
    watch: registerWatchSeries(registry, PREFIX),
    reconciler: registerReconcilerSeries(registry, PREFIX),
    snapshots: registerSnapshotSeries(registry, PREFIX),
    tokenizers: registerTokenizerSeries(registry, PREFIX),
    startFailures: new Counter({
      name: `${PREFIX}kvcache_sync_start_failures_total`,
      help: "Starts that failed: the host runs without the events of its engines.",
      registers: [registry],
    }),
    eventLoop: registerEventLoopSeries(registry, PREFIX),
  };
}

function namesOf(registry: Registry): readonly string[] {
  return registry.getMetricsAsArray().map(({ name }) => name);
}
