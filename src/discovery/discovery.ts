/** Where the ranks of a pod publish. */
export interface RankEndpoint {
  /** Data-parallel rank, from 0. */
  readonly rank: number;
  /** The engine's PUB socket, such as `tcp://10.0.0.1:5557`. */
  readonly endpoint: string;
  /** The engine's ROUTER socket for replay; absent where the engine has none. */
  readonly replayEndpoint?: string;
}

/** An engine pod whose events are wanted. */
export interface Pod {
  /** `namespace/name`, or the instance id under which it was registered. Unique together with `modelName`. */
  readonly key: string;
  readonly modelName: string;
  /** Adapter of the whole pod, by the label `model.aibrix.ai/lora-id`; −1 when there is none. Events win over it. */
  readonly loraId: number;
  /** Where discovery says; events do not. */
  readonly engine?: "vllm" | "sglang";
  /** Tokens per block where known beforehand; events win over it. */
  readonly blockSize?: number;
  /** Queries name a group; `default` unless said. */
  readonly routingGroup: string;
  /** Subscription prefix; empty takes all. */
  readonly topic: string;
  readonly ranks: readonly RankEndpoint[];
  /** Base URL of its HTTP server, such as `http://10.0.0.1:8000`; absent: at the host of its events, on the usual port. */
  readonly httpUrl?: string;
  /** Identity of this incarnation: another uid under the same key is another pod. */
  readonly uid?: string;
  /** Whether requests may go there now; a pod that is not ready, or ends, keeps its blocks. Default true. */
  readonly isRoutable?: boolean;
  /** Container restarts; a change means that the engine's cache is gone. */
  readonly restartCount?: number;
}

/** A pod whose deletion was missed: only its last known state is left (client-go's tombstone). */
export interface DeletedFinalStateUnknown {
  readonly key: string;
  readonly pod: Pod;
}

/** Hears of pods, in order. Must not throw and must not wait. */
export interface PodListener {
  onPodAdd(pod: Pod): void;
  onPodUpdate(oldPod: Pod, newPod: Pod): void;
  onPodDelete(pod: Pod | DeletedFinalStateUnknown): void;
}

/** Where pods come from. Disposing stops it; pods stay known to the listener. */
export interface Discovery extends AsyncDisposable {
  /** Resolves when the pods of this moment have been announced. Called once. */
  start(listener: PodListener, options?: { readonly signal?: AbortSignal }): Promise<void>;
}
