import { ConfigurationError, KVEventSyncError } from "../errors.ts";
import type { Discovery, Pod, PodListener, RankEndpoint } from "./discovery.ts";
import { checkEndpoint, checkHttpUrl } from "./endpoint.ts";

/** One rank of one instance, as it registers itself (Dynamo's and Mooncake's `/register`). */
export interface Registration {
  /** Becomes the pod's key. */
  readonly instanceId: string;
  readonly modelName: string;
  /** The engine's PUB socket. */
  readonly endpoint: string;
  /** Its ROUTER socket for replay. */
  readonly replayEndpoint?: string;
  /** Tokens. */
  readonly blockSize?: number;
  /** Default `default`. */
  readonly routingGroup?: string;
  /** Default 0. */
  readonly dpRank?: number;
  /** Subscription prefix. Default empty: all. */
  readonly topic?: string;
  /** Adapter of the whole pod. Default −1: none. */
  readonly loraId?: number;
  /** Base URL of the engine's HTTP server. Default at the endpoint's host, on the usual port. */
  readonly httpUrl?: string;
}

/** Which registration ends; without a rank, all of the instance's. */
export interface Unregistration {
  readonly instanceId: string;
  readonly modelName: string;
  readonly routingGroup?: string;
  readonly dpRank?: number;
}

export interface RegisteredPodsOptions {
  /** Ranks of all instances together. @default 10_000 // ten for each of a thousand pods; who asks for more is broken */
  readonly maxRanks?: number;
  /** Whether a pod of this model and name comes from elsewhere: two sources must not move one pod. @default none does */
  readonly isTaken?: (modelName: string, instanceId: string) => boolean;
}

const MAX_NAME_CHARACTERS = 512;
const MAX_RANK = 65_535;

/** Pods that are added and removed at run time. Known ones are announced when it starts. */
export class RegisteredPods implements Discovery {
  readonly #maxRanks: number;
  readonly #isTaken: (modelName: string, instanceId: string) => boolean;
  readonly #pods = new Map<string, Pod>();
  #listener: PodListener | null = null;
  #ranks = 0;

  /** Throws ConfigurationError `invalid-option`. */
  constructor(options: RegisteredPodsOptions = {}) {
    this.#maxRanks = options.maxRanks ?? 10_000;
    this.#isTaken = options.isTaken ?? (() => false);
    if (!Number.isSafeInteger(this.#maxRanks) || this.#maxRanks < 1) {
      throw new ConfigurationError("invalid-option", `maxRanks is ${this.#maxRanks}: use a whole number from 1`);
    }
  }

  async start(listener: PodListener): Promise<void> {
    this.#listener = listener;
    for (const pod of this.#pods.values()) listener.onPodAdd(pod);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener = null;
  }

  /**
   * Adds a rank to its instance's pod, or the pod with it.
   *
   * @throws KVEventSyncError `invalid-endpoint`, `invalid-registration`; `conflict` where the rank is registered already,
   *   or the instance with another block size, group, topic, adapter or HTTP server, or known from elsewhere; `too-many` above
   *   `maxRanks`.
   */
  register(registration: Registration): void {
    const rank = rankOf(registration);
    const key = keyOf(registration);
    const known = this.#pods.get(key);
    if (this.#ranks >= this.#maxRanks) {
      throw new KVEventSyncError(
        "too-many",
        `${this.#maxRanks} ranks are registered; unregister some, or raise maxRanks`,
      );
    }
    const pod = known === undefined ? podOf(registration, rank) : extended(known, registration, rank);
    if (this.#isTaken(pod.modelName, pod.key)) {
      throw conflict(pod, "is known from elsewhere, such as the options; choose another instance_id");
    }
    this.#pods.set(key, pod);
    this.#ranks++;
    if (known === undefined) this.#listener?.onPodAdd(pod);
    else this.#listener?.onPodUpdate(known, pod);
  }

  /** Whether there was such a registration. */
  unregister(unregistration: Unregistration): boolean {
    const { routingGroup, dpRank } = unregistration;
    const key = keyOf(unregistration);
    const known = this.#pods.get(key);
    if (known === undefined || (routingGroup !== undefined && known.routingGroup !== routingGroup)) return false;
    const ranks = dpRank === undefined ? [] : known.ranks.filter(({ rank }) => rank !== dpRank);
    if (ranks.length === known.ranks.length) return false;
    this.#ranks -= known.ranks.length - ranks.length;
    if (ranks.length === 0) {
      this.#pods.delete(key);
      this.#listener?.onPodDelete(known);
    } else {
      const pod = { ...known, ranks };
      this.#pods.set(key, pod);
      this.#listener?.onPodUpdate(known, pod);
    }
    return true;
  }
}

function keyOf({ instanceId, modelName }: Unregistration): string {
  return JSON.stringify([modelName, instanceId]);
}

function rankOf(registration: Registration): RankEndpoint {
  const { endpoint, replayEndpoint, dpRank = 0 } = registration;
  for (const name of ["instanceId", "modelName", "routingGroup", "topic"] as const) {
    const value = registration[name];
    const isTooShort = value === "" && name !== "topic";
    if (value !== undefined && (isTooShort || value.length > MAX_NAME_CHARACTERS)) {
      throw invalid(`${name} has ${value.length} characters; use 1 to ${MAX_NAME_CHARACTERS}`);
    }
  }
  checkInteger("dpRank", dpRank, 0, MAX_RANK);
  checkInteger("blockSize", registration.blockSize ?? 1, 1, 2 ** 31);
  checkInteger("loraId", registration.loraId ?? -1, -1, Number.MAX_SAFE_INTEGER);
  checkEndpoint(endpoint);
  if (replayEndpoint === undefined) return { rank: dpRank, endpoint };
  checkEndpoint(replayEndpoint);
  if (replayEndpoint === endpoint) throw invalid(`replayEndpoint ${endpoint} is the endpoint; name the ROUTER socket`);
  return { rank: dpRank, endpoint, replayEndpoint };
}

function checkInteger(name: string, value: number, lowest: number, highest: number): void {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return;
  throw invalid(`${name} is ${value}; use a whole number from ${lowest} to ${highest}`);
}

function podOf(registration: Registration, rank: RankEndpoint): Pod {
  const { instanceId, modelName, blockSize, loraId = -1, routingGroup = "default", topic = "" } = registration;
  const known = blockSize === undefined ? {} : { blockSize };
  const http = registration.httpUrl === undefined ? {} : { httpUrl: checkHttpUrl(registration.httpUrl) };
  return { key: instanceId, modelName, loraId, ...known, ...http, routingGroup, topic, ranks: [rank] };
}

function extended(known: Pod, registration: Registration, rank: RankEndpoint): Pod {
  const wanted = podOf(registration, rank);
  for (const name of ["blockSize", "routingGroup", "topic", "loraId", "httpUrl"] as const) {
    if (known[name] === wanted[name]) continue;
    throw conflict(known, `is registered with ${name} ${known[name]}, not ${wanted[name]}; unregister it first`);
  }
  if (known.ranks.some((each) => each.rank === rank.rank)) {
    throw conflict(known, `rank ${rank.rank} is registered already; unregister it first`);
  }
  return { ...known, ranks: [...known.ranks, rank] };
}

function conflict({ key, modelName }: Pod, problem: string): KVEventSyncError {
  return new KVEventSyncError("conflict", `instance ${key} of model ${modelName}: ${problem}`);
}

function invalid(problem: string): KVEventSyncError {
  return new KVEventSyncError("invalid-registration", `registration: ${problem}`);
}
