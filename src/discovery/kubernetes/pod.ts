import type { Pod, RankEndpoint } from "../discovery.ts";

/** What is read of a pod (`v1.Pod`), as the API server's JSON has it. */
export interface KubernetesPod {
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: unknown;
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type?: string; readonly status?: string }[];
    readonly containerStatuses?: readonly { readonly name?: string; readonly restartCount?: number }[];
  };
}

/** AIBrix's names. */
export const ENABLED_LABEL = "model.aibrix.ai/kv-events-enabled";
export const MODEL_NAME = "model.aibrix.ai/name";
export const LORA_ID_LABEL = "model.aibrix.ai/lora-id";

/** Annotations of ours: what a pod has otherwise than the defaults. */
export const ANNOTATIONS = {
  port: "kv-event-sync.io/port",
  replayPort: "kv-event-sync.io/replay-port",
  dataParallelSize: "kv-event-sync.io/data-parallel-size",
  blockSize: "kv-event-sync.io/block-size",
  topic: "kv-event-sync.io/topic",
  routingGroup: "kv-event-sync.io/routing-group",
  container: "kv-event-sync.io/container",
  engine: "kv-event-sync.io/engine",
} as const;

/** What holds for pods that do not say otherwise. */
export interface PodDefaults {
  /** Of rank 0; rank r publishes on the port r higher. */
  readonly port: number;
  /** Of rank 0's ROUTER; `null`: engines have none. */
  readonly replayPort: number | null;
  readonly topic: string;
}

/** Why a pod's events are not followed: in words, with the remedy. */
export interface IneligiblePod {
  readonly key: string;
  readonly reason: string;
}

/**
 * SGLang publishes its load on the ports after those of its events, where vLLM's replay sockets are by convention: it
 * has none unless an annotation says where.
 */
const ENGINES = ["vllm", "sglang"] as const;

/** Beyond it, a number of ranks is a mistake. */
const MAX_RANKS = 1_024;

/**
 * The pod as the rest of the package knows it, or why it is not eligible: it has the label `"true"`, runs, has an
 * address and a model's name (`reference`: AIBrix's own rule). An annotation that cannot be read makes it ineligible:
 * guessing would follow the wrong socket.
 */
export function podOf(pod: KubernetesPod, defaults: PodDefaults): Pod | IneligiblePod {
  const key = keyOf(pod);
  const { metadata = {}, status = {} } = pod;
  const reason = ineligibility(pod);
  if (reason !== null) return { key, reason };
  try {
    const read = new Annotations(metadata.annotations ?? {});
    const engine = read.oneOf(ANNOTATIONS.engine, ENGINES);
    const blockSize = read.integer(ANNOTATIONS.blockSize, 1, 1_048_576);
    return {
      key,
      modelName: modelNameOf(pod)!,
      loraId: loraIdOf(metadata.labels?.[LORA_ID_LABEL]),
      ...(engine !== undefined && { engine }),
      ...(blockSize !== undefined && { blockSize }),
      routingGroup: read.text(ANNOTATIONS.routingGroup) ?? "default",
      topic: read.text(ANNOTATIONS.topic) ?? defaults.topic,
      ranks: ranksOf(status.podIP!, read, engine === "sglang" ? { ...defaults, replayPort: null } : defaults),
      ...(metadata.uid !== undefined && { uid: metadata.uid }),
      isRoutable: isReady(pod) && !isTerminating(pod),
      restartCount: restartCountOf(pod, read.text(ANNOTATIONS.container)),
    };
  } catch (error) {
    if (error instanceof BadAnnotation) return { key, reason: error.message };
    throw error;
  }
}

/** `namespace/name`. */
export function keyOf({ metadata = {} }: KubernetesPod): string {
  return `${metadata.namespace ?? "default"}/${metadata.name ?? ""}`;
}

/** Narrows what `podOf` gives. */
export function isEligible(pod: Pod | IneligiblePod): pod is Pod {
  return !("reason" in pod);
}

function ineligibility(pod: KubernetesPod): string | null {
  const { metadata = {}, status = {} } = pod;
  const enabled = metadata.labels?.[ENABLED_LABEL];
  if (metadata.name === undefined || metadata.name === "") return "it has no name";
  if (enabled !== "true") {
    const found = enabled === undefined ? "is missing" : `is ${JSON.stringify(enabled)}`;
    return `label ${ENABLED_LABEL} ${found}: set it to "true"`;
  }
  if (modelNameOf(pod) === undefined) {
    return `neither label nor annotation ${MODEL_NAME} names a model: set one of them (a name with a "/" only fits the annotation)`;
  }
  if (status.phase !== "Running") return `phase is ${status.phase ?? "not known"}: it is followed once it is Running`;
  if (status.podIP === undefined || status.podIP === "") return "it has no IP yet: it is followed once it has one";
  return null;
}

/** Label before annotation: model names hold `/`, which a label cannot. */
function modelNameOf({ metadata = {} }: KubernetesPod): string | undefined {
  return metadata.labels?.[MODEL_NAME] || metadata.annotations?.[MODEL_NAME] || undefined;
}

/** −1 where there is none, or none that is a number: the label is optional, and events say what their blocks are of. */
function loraIdOf(label: string | undefined): number {
  const id = label === undefined || label === "" ? Number.NaN : Number(label);
  return Number.isSafeInteger(id) && id >= -1 ? id : -1;
}

function ranksOf(ip: string, read: Annotations, defaults: PodDefaults): RankEndpoint[] {
  const size = read.integer(ANNOTATIONS.dataParallelSize, 1, MAX_RANKS) ?? 1;
  const highest = 65_536 - size;
  const port = read.integer(ANNOTATIONS.port, 1, highest) ?? defaults.port;
  const asked = read.text(ANNOTATIONS.replayPort);
  const hasReplay = asked === undefined ? defaults.replayPort !== null : asked !== "none";
  // With more ranks than there are ports between them, the replay ports follow those of the events.
  const usual = Math.max(defaults.replayPort ?? 0, port + size);
  const replayPort =
    asked === undefined || asked === "none" ? usual : read.integer(ANNOTATIONS.replayPort, 1, highest)!;
  if (hasReplay && replayPort < port + size && port < replayPort + size) {
    throw new BadAnnotation(
      `annotation ${ANNOTATIONS.replayPort} is ${replayPort}: with ${size} ranks from port ${port} on, it is one of theirs; name another`,
    );
  }
  const host = ip.includes(":") ? `[${ip}]` : ip;
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    endpoint: `tcp://${host}:${port + rank}`,
    ...(hasReplay && { replayEndpoint: `tcp://${host}:${replayPort + rank}` }),
  }));
}

/** A pod without such a condition (nobody judges it) counts as ready. */
function isReady({ status = {} }: KubernetesPod): boolean {
  const ready = status.conditions?.find(({ type }) => type === "Ready");
  return ready === undefined || ready.status === "True";
}

function isTerminating({ metadata = {} }: KubernetesPod): boolean {
  return metadata.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null;
}

/** Of the container that is named, else of all: any of them may be the engine. */
function restartCountOf({ status = {} }: KubernetesPod, container: string | undefined): number {
  let count = 0;
  for (const { name, restartCount = 0 } of status.containerStatuses ?? []) {
    if (container === undefined || name === container) count += restartCount;
  }
  return count;
}

class BadAnnotation extends Error {}

class Annotations {
  readonly #values: Readonly<Record<string, string>>;

  constructor(values: Readonly<Record<string, string>>) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    return this.#values[name];
  }

  oneOf<Value extends string>(name: string, values: readonly Value[]): Value | undefined {
    const text = this.#values[name];
    if (text === undefined) return undefined;
    const found = values.find((value) => value === text);
    if (found !== undefined) return found;
    throw new BadAnnotation(`annotation ${name} is ${JSON.stringify(text.slice(0, 100))}: use ${values.join(" or ")}`);
  }

  integer(name: string, lowest: number, highest: number): number | undefined {
    const text = this.#values[name];
    if (text === undefined) return undefined;
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= lowest && value <= highest) return value;
    throw new BadAnnotation(
      `annotation ${name} is ${JSON.stringify(text.slice(0, 100))}: use a whole number from ${lowest} to ${highest}`,
    );
  }
}
