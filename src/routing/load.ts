/** How busy a pod is. */
export interface PodLoad {
  readonly runningRequests: number;
  readonly waitingRequests: number;
  /** See `RouteCandidate.pendingTokens`. */
  readonly pendingTokens: number;
}

const NO_LOAD: PodLoad = { runningRequests: 0, waitingRequests: 0, pendingTokens: 0 };

/** A request that was sent to a pod, until it has ended. Both methods may be called again, and do nothing then. */
export interface ActiveRequest extends Disposable {
  /** Its first token, or its whole answer, has come: nothing of its prompt has to be computed any more. */
  firstToken(): void;
  /** It has ended in whatever way. Disposing is the same. */
  end(): void;
}

/** Requests that this process has sent to pods and that have not ended. */
export class ActiveRequests {
  readonly #pods = new Map<string, { running: number; pendingTokens: number }>();

  of(pod: string): PodLoad {
    const own = this.#pods.get(pod);
    if (own === undefined) return NO_LOAD;
    return { runningRequests: own.running, waitingRequests: 0, pendingTokens: own.pendingTokens };
  }

  /** Requests of all pods. */
  get size(): number {
    let size = 0;
    for (const { running } of this.#pods.values()) size += running;
    return size;
  }

  /** `uncachedTokens`: of its prompt, those that the pod has to compute. */
  begin(pod: string, uncachedTokens: number): ActiveRequest {
    const own = this.#pods.get(pod) ?? { running: 0, pendingTokens: 0 };
    this.#pods.set(pod, own);
    own.running++;
    own.pendingTokens += uncachedTokens;
    let isPending = true;
    let isRunning = true;
    const firstToken = (): void => {
      if (isPending) own.pendingTokens -= uncachedTokens;
      isPending = false;
    };
    const end = (): void => {
      firstToken();
      if (!isRunning) return;
      isRunning = false;
      own.running--;
      if (own.running === 0) this.#pods.delete(pod);
    };
    return { firstToken, end, [Symbol.dispose]: end };
  }
}

/**
 * What is known of a pod's load together: what the query says wins; else what this process has sent there, or what the
 * engine's metrics say where that is more, since others send requests, too.
 */
export function loadOf(
  own: PodLoad,
  told: { readonly running: number; readonly waiting: number } | undefined,
  given: { readonly running?: number | undefined; readonly waiting?: number | undefined } | undefined,
): PodLoad {
  return {
    runningRequests: given?.running ?? Math.max(own.runningRequests, told?.running ?? 0),
    waitingRequests: given?.waiting ?? told?.waiting ?? 0,
    pendingTokens: own.pendingTokens,
  };
}
