import type { KubernetesPod } from "./pod.ts";

/** One page of a list of pods. */
export interface PodPage {
  readonly items: readonly KubernetesPod[];
  readonly resourceVersion: string;
  /** Names the next page; absent at the end. */
  readonly next?: string;
}

/** One line of a watch. */
export interface WatchEvent {
  readonly type: string;
  readonly object: KubernetesPod & {
    readonly metadata?: { readonly resourceVersion?: string };
    /** Of a `Status`, in an event of type `ERROR`. */
    readonly code?: number;
    readonly message?: string;
  };
}

/** The two calls of the API server that a watch of pods makes. */
export interface PodApi {
  /** Rejects with an `ApiError` for an answer other than 200, and with what else goes wrong. */
  list(next: string | undefined, signal: AbortSignal): Promise<PodPage>;
  /** The changes after that version, until the server ends it. Rejects as `list`. */
  watch(resourceVersion: string, timeoutSeconds: number, signal: AbortSignal): AsyncIterable<WatchEvent>;
}

/** An answer of the API server other than 200. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}
