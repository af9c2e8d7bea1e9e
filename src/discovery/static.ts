import { ConfigurationError, KVEventSyncError } from "../errors.ts";
import type { Discovery, Pod, PodListener } from "./discovery.ts";
import { addressOf, checkEndpoint, checkHttpUrl, withPortOffset } from "./endpoint.ts";

/** An engine as options name it. */
export interface StaticEndpoint {
  /** The engine's PUB socket, such as `tcp://10.0.0.1:5557`; of its rank 0. */
  readonly endpoint: string;
  /** Its ROUTER socket for replay. Default none: the engine's state cannot be proved after a lost connection. */
  readonly replayEndpoint?: string;
  readonly model: string;
  /** Name of the pod. Default the endpoint's `host:port`. */
  readonly name?: string;
  /** Data-parallel ranks; rank r publishes, and replays, on ports r higher (vLLM). Default 1. */
  readonly ranks?: number;
  /** Tokens per block where known beforehand. */
  readonly blockSize?: number;
  /** Adapter of the whole pod. Default −1: none. */
  readonly loraId?: number;
  /** Subscription prefix. Default empty: all. */
  readonly topic?: string;
  /** Default `default`. */
  readonly routingGroup?: string;
  /** Base URL of the engine's HTTP server, for who sends requests there. Default at the endpoint's host, on the usual port. */
  readonly httpUrl?: string;
}

const MAX_RANKS = 1_024;

/**
 * Pods of these endpoints, one for each.
 *
 * @throws ConfigurationError `invalid-option`, KVEventSyncError `invalid-endpoint`: with the value and the remedy.
 */
export function podsOf(endpoints: readonly StaticEndpoint[]): Pod[] {
  const pods = new Map<string, Pod>();
  for (const endpoint of endpoints) {
    const pod = podOf(endpoint);
    const key = JSON.stringify([pod.modelName, pod.key]);
    if (pods.has(key)) {
      throw new ConfigurationError(
        "invalid-option",
        `endpoint ${endpoint.endpoint}: pod ${pod.key} of model ${pod.modelName} is there already; give each its own name`,
      );
    }
    pods.set(key, pod);
  }
  return [...pods.values()];
}

/** These pods and no others, for as long as it runs. */
export function staticPods(pods: readonly Pod[]): Discovery {
  return {
    async start(listener: PodListener): Promise<void> {
      for (const pod of pods) listener.onPodAdd(pod);
    },
    async [Symbol.asyncDispose](): Promise<void> {},
  };
}

function podOf(given: StaticEndpoint): Pod {
  const { endpoint, replayEndpoint, model, ranks = 1, blockSize } = given;
  checkEndpoint(endpoint);
  if (replayEndpoint !== undefined) checkEndpoint(replayEndpoint);
  if (model === "") throw new ConfigurationError("invalid-option", `endpoint ${endpoint}: model is empty; name it`);
  if (!Number.isInteger(ranks) || ranks < 1 || ranks > MAX_RANKS) {
    throw new ConfigurationError("invalid-option", `endpoint ${endpoint}: ranks is ${ranks}; use 1 to ${MAX_RANKS}`);
  }
  const ends = Array.from({ length: ranks }, (_, rank) => ({
    rank,
    endpoint: withPortOffset(endpoint, rank),
    ...(replayEndpoint !== undefined && { replayEndpoint: withPortOffset(replayEndpoint, rank) }),
  }));
  assertDistinct(
    ends.flatMap((end) => [end.endpoint, ...(end.replayEndpoint === undefined ? [] : [end.replayEndpoint])]),
  );
  return {
    key: given.name ?? addressOf(endpoint),
    modelName: model,
    loraId: given.loraId ?? -1,
    ...(blockSize !== undefined && { blockSize }),
    routingGroup: given.routingGroup ?? "default",
    topic: given.topic ?? "",
    ranks: ends,
    ...(given.httpUrl !== undefined && { httpUrl: checkHttpUrl(given.httpUrl) }),
  };
}

function assertDistinct(endpoints: readonly string[]): void {
  const seen = new Set<string>();
  for (const endpoint of endpoints) {
    if (seen.has(endpoint)) {
      throw new KVEventSyncError(
        "invalid-endpoint",
        `endpoint ${endpoint}: two sockets of one pod cannot share it; with several ranks the replay ports follow all PUB ports`,
      );
    }
    seen.add(endpoint);
  }
}
