import "reflect-metadata";
import { Registry } from "prom-client";
import { type DependencyContainer, type InjectionToken, instanceCachingFactory, container as root } from "tsyringe";
import { memory } from "../transports/memory/index.ts";
import { type ZmtpSecurity, zmtp } from "../transports/zmtp/index.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Discovery, RankEndpoint } from "./discovery/discovery.ts";
import { observeAllWatches } from "./discovery/kubernetes/observer.ts";
import { type KubernetesOptions, kubernetesPods, type WatchObserver } from "./discovery/kubernetes.ts";
import { RegisteredPods } from "./discovery/registered.ts";
import { podsOf, type StaticEndpoint, staticPods } from "./discovery/static.ts";
import { ConfigurationError } from "./errors.ts";
import type { PrefixIndexer } from "./indexer/indexer.ts";
import { SyncPrefixHashTable } from "./indexer/sync-prefix-hash-table.ts";
import type { SyncPrefixHashTableOptions } from "./indexer/table-options.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { type ConnectionOptions, defaultTransport, type SecurityOptions, type TransportName } from "./options.ts";
import { Readiness } from "./readiness.ts";
import {
  observeAllReconcilers,
  Reconciler,
  type ReconcilerObserver,
  type ReconcilerOptions,
} from "./reconciler/reconciler.ts";
import type { Recorder } from "./recording/recorder.ts";
import { EngineLoads } from "./routing/engine-loads.ts";
import { type RoutingSettings, resolveRoutingOptions } from "./routing/options.ts";
import { RequestRouter } from "./routing/request-router.ts";
import { SnapshotKeeper } from "./snapshot/keeper.ts";
import { observeAllSnapshots, type SnapshotObserver } from "./snapshot/observer.ts";
import { resolveWarmStartOptions, type WarmStartOptions } from "./snapshot/options.ts";
import { warmStart } from "./snapshot/warm-start.ts";
import { loadSodium } from "./sodium.ts";
import { Store } from "./store.ts";
import { KVEventManager } from "./sync/manager.ts";
import type { StreamOptions } from "./sync/options.ts";
import type { SyncObserver } from "./sync/status.ts";
import { TokenizerCheck, type TokenizerDisagreement } from "./tokenizer/check.ts";
import type { TokenizerPool } from "./tokenizer/pool.ts";
import { type TokenizerSettings, tokenizerPool } from "./tokenizer/settings.ts";
import type { Transport } from "./transport.ts";

export { generateCurveKeys } from "../transports/zmtp/index.ts";

/** What a store is made from; all of it has a default. */
export interface StoreOptions {
  /** Whether `initKVEventSync()` does anything. Default true: nothing runs before somebody calls it. */
  readonly enabled?: boolean;
  /** Hears why `initKVEventSync()` could not start. Default nobody; `Store.startError` tells it as well. */
  readonly onStartFailed?: (error: Error) => void;
  /** By name, or one of your own. Default what the environment variable `KV_TRANSPORT` names, else `zmtp`. */
  readonly transport?: TransportName | Transport;
  /** Of a transport by name; one of your own has its own. */
  readonly connections?: ConnectionOptions;
  /** Of the connections to engines, where the transport is `zmtp`. Default none. */
  readonly security?: SecurityOptions;
  /** Engines that are known beforehand. */
  readonly endpoints?: readonly StaticEndpoint[];
  /** A cluster whose pods are followed. Default none. */
  readonly kubernetes?: KubernetesOptions;
  /** Hears how the watch of the cluster fares, after the metrics. Default nobody. */
  readonly watchObserver?: WatchObserver;
  /** Further sources of pods; the store starts and disposes them. */
  readonly discoveries?: readonly Discovery[];
  readonly index?: SyncPrefixHashTableOptions;
  readonly streams?: StreamOptions;
  /** What makes tokens of prompts. Default none: callers send tokens. */
  readonly tokenizer?: TokenizerSettings;
  /** Hears where its tokens are not those that engines report. Default nobody; the metrics count it. */
  readonly onTokenizerDisagrees?: (disagreement: TokenizerDisagreement) => void;
  /** How `Store.router` chooses. */
  readonly routing?: RoutingSettings;
  /** Asks engines whether they dropped their caches without a word. Default: they are not asked. */
  readonly reconcile?: ReconcilerOptions;
  /** Hears what that finds, after the metrics. Default nobody. */
  readonly reconcilerObserver?: ReconcilerObserver;
  /** Writes down all that comes in. Default nobody. */
  readonly recorder?: Recorder;
  /** What the start goes on from, and what is kept for the next. Default none: starts are cold. */
  readonly warmStart?: WarmStartOptions;
  /** Hear what happens to streams, after the metrics. */
  readonly observers?: readonly SyncObserver[];
  /** Hears of warm starts and snapshots. Default nobody. */
  readonly snapshotObserver?: SnapshotObserver;
  /** Default one of its own: two stores cannot share one. */
  readonly registry?: Registry;
  /** Default the machine's. */
  readonly clock?: Clock;
  /** Memory, CPU and garbage collection of the process among the metrics. Default false: an embedder has its own. */
  readonly processMetrics?: boolean;
}

/** A token by which a part is asked for; its type is the part's. */
function token<T>(name: string): InjectionToken<T> {
  return Symbol(name);
}

// In pipeline order.
const TRANSPORT = token<Transport>("transport");
const CLOCK = token<Clock>("clock");
const REGISTERED = token<RegisteredPods>("registered pods");
const DISCOVERIES = token<readonly Discovery[]>("discoveries");
const INDEXER = token<PrefixIndexer>("indexer");
const REGISTRY = token<Registry>("registry");
const METRICS = token<Metrics>("metrics");
const READINESS = token<Readiness>("readiness");
const MANAGER = token<KVEventManager>("manager");
const SNAPSHOT_OBSERVER = token<SnapshotObserver>("snapshot observer");
const KEEPER = token<SnapshotKeeper | null>("snapshot keeper");
const TOKENIZER = token<TokenizerPool | null>("tokenizer");
const RECONCILER = token<Reconciler | null>("reconciler");
const ENGINE_LOADS = token<EngineLoads | null>("engine loads");
const ROUTER = token<RequestRouter>("router");
const STORE = token<Store>("store");

/**
 * Makes a transport by its name. Optional packages are imported only when they are asked for.
 *
 * @throws ConfigurationError `invalid-option` for an unknown name, for keys that are none, and for security that this
 *   transport does not have; TransportError `missing-package`, which names the package to install.
 */
export async function createTransport(
  name: TransportName,
  { security, connections = {} }: Pick<StoreOptions, "security" | "connections"> = {},
): Promise<Transport> {
  if (security !== undefined && name !== "auto" && name !== "zmtp") {
    throw new ConfigurationError("invalid-option", `transport ${name} knows no ${security.mechanism} here: use zmtp`);
  }
  switch (name) {
    case "auto":
    case "zmtp":
      return zmtp({ ...connections, ...(security !== undefined && { security: await asClient(security) }) });
    case "memory":
      return memory(withoutLimit(connections));
    case "libzmq": {
      const { libzmq } = await import("../transports/libzmq/index.ts");
      return libzmq(connections);
    }
    case "websocket": {
      const { websocket } = await import("../transports/websocket/index.ts");
      return websocket(connections);
    }
    default:
      throw new ConfigurationError(
        "invalid-option",
        `transport is ${JSON.stringify(name)}: use zmtp, libzmq, memory, websocket or auto`,
      );
  }
}

/** The boxes of CURVE are libsodium's where that is installed: the same ones, sooner. */
async function asClient(security: SecurityOptions): Promise<ZmtpSecurity> {
  if (security.mechanism === "PLAIN") return { ...security, role: "client" };
  const secretbox = await loadSodium();
  return { ...security, role: "client", ...(secretbox !== null && { secretbox }) };
}

/**
 * Puts a store together. Nothing runs before its `initKVEventSync()`. Stores have nothing in common: any number of them
 * can live in one process.
 *
 * @throws ConfigurationError `invalid-option`, KVEventSyncError `invalid-endpoint`, and as `createTransport`.
 */
export async function createStore(options: StoreOptions = {}): Promise<Store> {
  const { transport = defaultTransport() } = options;
  const made = typeof transport === "string" ? await createTransport(transport, options) : transport;
  return compose(made, options).resolve(STORE);
}

/** An endpoint that the transport can never reach is told at once, and not in the log of a stream. */
function checkSchemes({ name, capabilities }: Transport, { endpoint, replayEndpoint }: RankEndpoint): void {
  for (const given of [endpoint, ...(replayEndpoint === undefined ? [] : [replayEndpoint])]) {
    const scheme = given.slice(0, given.indexOf(":")).toLowerCase();
    if (capabilities.schemes.includes(scheme)) continue;
    const remedy = /^wss?$/.test(scheme) ? "use transport websocket" : "use another transport, or another endpoint";
    throw new ConfigurationError(
      "invalid-option",
      `endpoint ${given}: transport ${name} knows ${capabilities.schemes.join(", ")}; ${remedy}`,
    );
  }
}

/** A message within this process is there already: its size is nobody's danger. */
function withoutLimit({ maxMessageBytes: _limit, ...connections }: ConnectionOptions): ConnectionOptions {
  return connections;
}

function compose(transport: Transport, options: StoreOptions): DependencyContainer {
  const container = root.createChildContainer();
  const provide = <T>(name: InjectionToken<T>, make: (parts: DependencyContainer) => T): void => {
    container.register(name, { useFactory: instanceCachingFactory(make) });
  };
  const pods = podsOf(options.endpoints ?? []);
  for (const { ranks } of pods) for (const rank of ranks) checkSchemes(transport, rank);
  const warm = resolveWarmStartOptions(options.warmStart ?? {});
  const routing = resolveRoutingOptions(options.routing ?? {});

  provide(TRANSPORT, () => options.recorder?.transport(transport) ?? transport);
  provide(CLOCK, () => options.clock ?? systemClock);
  const isTaken = (modelName: string, instanceId: string): boolean =>
    pods.some((pod) => pod.modelName === modelName && pod.key === instanceId);
  provide(REGISTERED, () => new RegisteredPods({ isTaken }));
  provide(DISCOVERIES, (parts) =>
    [
      staticPods(pods),
      parts.resolve(REGISTERED),
      ...(options.kubernetes === undefined ? [] : [followCluster(options.kubernetes, parts)]),
      ...(options.discoveries ?? []),
    ].map((discovery) => options.recorder?.discovery(discovery) ?? discovery),
  );
  const followCluster = (kubernetes: KubernetesOptions, parts: DependencyContainer): Discovery => {
    const observer = observeAllWatches([
      parts.resolve(METRICS).watch,
      kubernetes.observer ?? {},
      options.watchObserver ?? {},
    ]);
    return kubernetesPods({ clock: parts.resolve(CLOCK), ...kubernetes, observer });
  };
  provide(
    INDEXER,
    (parts) => new SyncPrefixHashTable({ clock: parts.resolve(CLOCK), defer: setImmediate, ...options.index }),
  );
  provide(REGISTRY, () => options.registry ?? new Registry());
  provide(METRICS, (parts) =>
    createMetrics(parts.resolve(REGISTRY), {
      indexer: parts.resolve(INDEXER),
      // The manager tells the metrics, so it is made after them.
      directory: { pods: () => parts.resolve(MANAGER).pods() },
      processMetrics: options.processMetrics ?? false,
    }),
  );
  provide(READINESS, () => new Readiness());
  const checksOf = (parts: DependencyContainer): readonly SyncObserver[] => {
    const tokenizer = parts.resolve(TOKENIZER);
    if (tokenizer === null) return [];
    const { compared } = parts.resolve(METRICS).tokenizers;
    const observer = { compared, disagrees: options.onTokenizerDisagrees ?? (() => {}) };
    return [new TokenizerCheck({ tokenizer, observer, clock: parts.resolve(CLOCK) })];
  };
  provide(
    MANAGER,
    (parts) =>
      new KVEventManager({
        transport: parts.resolve(TRANSPORT),
        indexer: parts.resolve(INDEXER),
        discoveries: parts.resolve(DISCOVERIES),
        observers: [parts.resolve(METRICS), parts.resolve(READINESS), ...checksOf(parts), ...(options.observers ?? [])],
        clock: parts.resolve(CLOCK),
        options: options.streams ?? {},
      }),
  );
  provide(SNAPSHOT_OBSERVER, (parts) =>
    observeAllSnapshots([parts.resolve(METRICS).snapshots, options.snapshotObserver ?? {}]),
  );
  provide(KEEPER, (parts) => {
    const { snapshotPath: path, snapshotIntervalMs: intervalMs } = warm;
    if (path === null) return null;
    return new SnapshotKeeper({
      path,
      intervalMs,
      observer: parts.resolve(SNAPSHOT_OBSERVER),
      streams: parts.resolve(MANAGER),
      indexer: parts.resolve(INDEXER),
      clock: parts.resolve(CLOCK),
      isReady: () => parts.resolve(READINESS).isReady,
    });
  });
  provide(TOKENIZER, (parts) => {
    if (options.tokenizer === undefined) return null;
    const { tokenizers: observer } = parts.resolve(METRICS);
    // The manager tells the check of the tokenizer, so it is made after it.
    const directory = { pods: () => parts.resolve(MANAGER).pods() };
    const pool = tokenizerPool(options.tokenizer, { directory, observer, clock: parts.resolve(CLOCK) });
    observer.observe(pool);
    return pool;
  });
  provide(RECONCILER, (parts) => {
    if (options.reconcile === undefined) return null;
    const observer = observeAllReconcilers([parts.resolve(METRICS).reconciler, options.reconcilerObserver ?? {}]);
    return new Reconciler(parts.resolve(MANAGER), options.reconcile, observer, parts.resolve(CLOCK));
  });
  provide(ENGINE_LOADS, (parts) =>
    routing.loadIntervalMs === 0 ? null : new EngineLoads(parts.resolve(MANAGER), routing, parts.resolve(CLOCK)),
  );
  provide(
    ROUTER,
    (parts) =>
      new RequestRouter({
        indexer: parts.resolve(INDEXER),
        directory: parts.resolve(MANAGER),
        tokenizer: parts.resolve(TOKENIZER),
        metrics: parts.resolve(METRICS).routing,
        engineLoads: parts.resolve(ENGINE_LOADS),
        options: routing,
        clock: parts.resolve(CLOCK),
        random: Math.random,
      }),
  );
  provide(
    STORE,
    (parts) =>
      new Store({
        transport: parts.resolve(TRANSPORT),
        indexer: parts.resolve(INDEXER),
        manager: parts.resolve(MANAGER),
        registered: parts.resolve(REGISTERED),
        readiness: parts.resolve(READINESS),
        metrics: parts.resolve(METRICS),
        registry: parts.resolve(REGISTRY),
        warmStart: (signal) =>
          warmStart(warm, {
            indexer: parts.resolve(INDEXER),
            clock: parts.resolve(CLOCK),
            observer: parts.resolve(SNAPSHOT_OBSERVER),
            signal,
          }),
        keeper: parts.resolve(KEEPER),
        reconciler: parts.resolve(RECONCILER),
        tokenizer: parts.resolve(TOKENIZER),
        router: parts.resolve(ROUTER),
        engineLoads: parts.resolve(ENGINE_LOADS),
        isEnabled: options.enabled ?? true,
        onStartFailed: options.onStartFailed ?? (() => {}),
      }),
  );
  return container;
}
