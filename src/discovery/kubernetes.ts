import { type Clock, systemClock } from "../clock.ts";
import { ConfigurationError } from "../errors.ts";
import type { Discovery, Pod, PodListener } from "./discovery.ts";
import { type ClusterOptions, connectCluster } from "./kubernetes/cluster.ts";
import { httpPodApi } from "./kubernetes/http-pod-api.ts";
import type { WatchObserver } from "./kubernetes/observer.ts";
import { ENABLED_LABEL, type IneligiblePod, isEligible, type PodDefaults, podOf } from "./kubernetes/pod.ts";
import { PodCache } from "./kubernetes/pod-cache.ts";
import { PodWatch, type WatchTimes } from "./kubernetes/pod-watch.ts";

export type { ClusterOptions } from "./kubernetes/cluster.ts";
export type { WatchObserver, WatchTrouble } from "./kubernetes/observer.ts";
export type { IneligiblePod } from "./kubernetes/pod.ts";

/** Which pods of which cluster are followed. */
export interface KubernetesOptions extends ClusterOptions, Partial<WatchTimes> {
  /** `*`: all of them. @default the kubeconfig context's, or the one that this runs in */
  readonly namespace?: string;
  /** @default `model.aibrix.ai/kv-events-enabled=true`: the server then sends no others */
  readonly labelSelector?: string;
  /** Of rank 0's PUB socket. @default 5557, as vLLM */
  readonly port?: number;
  /**
   * Of rank 0's ROUTER socket; `null` where engines have none. @default 5558, as AIBrix's manifests set it: an engine
   * without one is asked in vain, which costs a refused connection now and then
   */
  readonly replayPort?: number | null;
  /** Subscription prefix. @default all */
  readonly topic?: string;
  readonly observer?: WatchObserver;
  readonly clock?: Clock;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** Pods that are found in a cluster. */
export interface KubernetesPods extends Discovery {
  /** Those that were seen and are not followed, and why. */
  readonly ineligible: readonly IneligiblePod[];
}

const DEFAULT_TIMES: WatchTimes = {
  listTimeoutMs: 30_000,
  watchTimeoutMs: 300_000,
  idleTimeoutMs: 90_000,
  retryMinMs: 1_000,
  retryMaxMs: 30_000,
};

/**
 * Follows the pods of a cluster as AIBrix labels them. `start` resolves when they have been listed once, however often
 * that has to be tried, and rejects with ConfigurationError `invalid-option` or `missing-package` where there is no
 * cluster to ask, and with the signal's reason.
 *
 * The client's configuration, authentication and proxies are used, its requests are not: its `Watch` cannot be ended
 * before the server answers, takes a handler's error for a broken line, and leaves a failing token unhandled.
 *
 * @throws ConfigurationError `invalid-option`
 */
export function kubernetesPods(options: KubernetesOptions = {}): KubernetesPods {
  return new KubernetesDiscovery(options);
}

/** What a look at the cluster finds. */
export interface FoundPods {
  readonly server: string;
  /** `*`: all. */
  readonly namespace: string;
  readonly eligible: readonly Pod[];
  readonly ineligible: readonly IneligiblePod[];
}

/**
 * Lists the pods once, and says of each that is not followed why; without a label selector of its own it looks at all
 * pods, so that those whose label is missing are explained as well. Rejects as `start`, and where the list fails.
 */
export async function findPods(options: KubernetesOptions, signal: AbortSignal): Promise<FoundPods> {
  const cluster = await connectCluster(options);
  const namespace = options.namespace ?? cluster.namespace;
  const api = httpPodApi(cluster, { namespace: namespaceOf(namespace), labelSelector: options.labelSelector ?? "" });
  const eligible: Pod[] = [];
  const ineligible: IneligiblePod[] = [];
  let next: string | undefined;
  do {
    const page = await api.list(next, signal);
    for (const raw of page.items) {
      const pod = podOf(raw, podDefaults(options));
      if (isEligible(pod)) eligible.push(pod);
      else ineligible.push(pod);
    }
    next = page.next;
  } while (next !== undefined && next !== "");
  return { server: cluster.server, namespace, eligible, ineligible };
}

class KubernetesDiscovery implements KubernetesPods {
  readonly #options: KubernetesOptions;
  readonly #times: WatchTimes;
  readonly #stop = new AbortController();
  #cache: PodCache | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(options: KubernetesOptions) {
    this.#options = options;
    this.#times = timesOf(options);
    podDefaults(options);
  }

  get ineligible(): readonly IneligiblePod[] {
    return this.#cache?.ineligible ?? [];
  }

  async start(listener: PodListener, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const cluster = await connectCluster(this.#options);
    signal?.throwIfAborted();
    const namespace = this.#options.namespace ?? cluster.namespace;
    const labelSelector = this.#options.labelSelector ?? `${ENABLED_LABEL}=true`;
    const { observer = {} } = this.#options;
    const cache = new PodCache(guarded(listener, observer), podDefaults(this.#options));
    this.#cache = cache;
    const watch = new PodWatch({
      api: httpPodApi(cluster, { namespace: namespaceOf(namespace), labelSelector }),
      sink: cache,
      clock: this.#options.clock ?? systemClock,
      random: this.#options.random ?? Math.random,
      times: this.#times,
      observer,
    });
    await this.#firstList(watch, signal);
  }

  /** The watch goes on after the first list; a start that is given up ends it. */
  #firstList(watch: PodWatch, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#stop.abort();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      const listed = (): void => {
        signal?.removeEventListener("abort", giveUp);
        resolve();
      };
      // Whoever waits when it is disposed learns that there is nothing more to wait for.
      this.#running = watch.run(this.#stop.signal, listed).finally(listed);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** A listener must not throw; if it does, the other pods are not to suffer. */
function guarded(listener: PodListener, observer: WatchObserver): PodListener {
  const tell = (call: () => void): void => {
    try {
      call();
    } catch (error) {
      observer.onTrouble?.("listener", error instanceof Error ? error : new Error(String(error)));
    }
  };
  return {
    onPodAdd: (pod) => tell(() => listener.onPodAdd(pod)),
    onPodUpdate: (oldPod, newPod) => tell(() => listener.onPodUpdate(oldPod, newPod)),
    onPodDelete: (pod) => tell(() => listener.onPodDelete(pod)),
  };
}

function namespaceOf(name: string): string | null {
  return name === "*" ? null : name;
}

function podDefaults({ port = 5557, replayPort = 5558, topic = "" }: KubernetesOptions): PodDefaults {
  for (const [name, value] of Object.entries({ port, replayPort })) {
    if (value === null || (Number.isInteger(value) && value >= 1 && value <= 65_535)) continue;
    throw new ConfigurationError("invalid-option", `kubernetes: ${name} is ${value}; use a port from 1 to 65535`);
  }
  if (port === replayPort) {
    throw new ConfigurationError("invalid-option", `kubernetes: port and replayPort are both ${port}; name two`);
  }
  return { port, replayPort, topic };
}

function timesOf(options: KubernetesOptions): WatchTimes {
  const times: Record<string, number> = { ...DEFAULT_TIMES };
  for (const name of Object.keys(DEFAULT_TIMES) as (keyof WatchTimes)[]) {
    const value = options[name];
    if (value === undefined) continue;
    if (!Number.isFinite(value) || value < 1) {
      throw new ConfigurationError("invalid-option", `kubernetes: ${name} is ${value}; use milliseconds from 1`);
    }
    times[name] = value;
  }
  return { ...DEFAULT_TIMES, ...times };
}
