import type { Registry } from "prom-client";
import type { RegisteredPods } from "./discovery/registered.ts";
import type { PrefixIndexer } from "./indexer/indexer.ts";
import type { Metrics } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";
import type { KVEventManager } from "./sync/manager.ts";
import type { PodInfo } from "./sync/status.ts";
import type { Transport } from "./transport.ts";

/** What a store owns; `createStore` makes them. */
export interface StoreParts {
  readonly transport: Transport;
  readonly indexer: PrefixIndexer;
  readonly manager: KVEventManager;
  readonly registered: RegisteredPods;
  /** One of the manager's observers. */
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly registry: Registry;
}

/**
 * Which engine holds which blocks, kept up to date: pods, their streams and the index. It is silent until
 * `initKVEventSync()`. Disposing equals `close()`.
 */
export class Store implements AsyncDisposable {
  readonly #parts: StoreParts;
  #isOpen = false;
  #closing: Promise<void> | null = null;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Pods that are added and removed at run time. */
  get registered(): RegisteredPods {
    return this.#parts.registered;
  }

  /** Where the metrics are. */
  get registry(): Registry {
    return this.#parts.registry;
  }

  /** The index in any state, for who lives as long as the store; others ask `getSyncPrefixIndexer`. */
  get indexer(): PrefixIndexer {
    return this.#parts.indexer;
  }

  /** Whether each pod of the start has been caught up with, or cannot be reached; then true until `close()`. */
  get isReady(): boolean {
    return this.#parts.readiness.isReady;
  }

  /**
   * Finds the pods and starts to follow them; resolves when those of this moment are announced. Rejects with the error
   * of a discovery that cannot start, and with KVEventSyncError `closed`.
   */
  async initKVEventSync(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#parts.manager.start(options);
    if (this.#closing !== null) return;
    this.#isOpen = true;
    this.#parts.readiness.started();
  }

  /**
   * Resolves when `isReady`: before, the index knows less than the engines hold. It takes no longer than an engine's
   * replay, or the time-outs of an engine that does not answer. Rejects with the signal's reason, and with
   * KVEventSyncError `closed`.
   */
  whenReady(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#parts.readiness.whenReady(options.signal);
  }

  /** The index, to ask; `undefined` before `initKVEventSync()` is done and after `close()`. */
  getSyncPrefixIndexer(): PrefixIndexer | undefined {
    return this.#isOpen ? this.#parts.indexer : undefined;
  }

  /** The pods that are known, with the state of their streams. */
  pods(): readonly PodInfo[] {
    return this.#parts.manager.pods();
  }

  /** Ends all streams and lets go of the index; resolves when all sockets are closed. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#isOpen = false;
    this.#parts.readiness.close();
    try {
      await this.#parts.manager.stop();
    } finally {
      this.#parts.metrics[Symbol.dispose]();
    }
  }
}
