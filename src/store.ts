import type { Registry } from "prom-client";
import type { RegisteredPods } from "./discovery/registered.ts";
import type { PrefixIndexer } from "./indexer/indexer.ts";
import type { Metrics } from "./metrics.ts";
import type { KVEventManager } from "./sync/manager.ts";
import type { PodInfo } from "./sync/status.ts";
import type { Transport } from "./transport.ts";

/** What a store owns; `createStore` makes them. */
export interface StoreParts {
  readonly transport: Transport;
  readonly indexer: PrefixIndexer;
  readonly manager: KVEventManager;
  readonly registered: RegisteredPods;
  readonly metrics: Metrics;
  readonly registry: Registry;
}

/**
 * Which engine holds which blocks, kept up to date: pods, their streams and the index. It is silent until
 * `initKVEventSync()`. Disposing equals `close()`.
 */
export class Store implements AsyncDisposable {
  readonly #parts: StoreParts;
  #isReady = false;
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

  /** Whether the pods of the start have been announced, and nothing is closed. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /**
   * Finds the pods and starts to follow them; resolves when those of this moment are announced. Rejects with the error
   * of a discovery that cannot start, and with KVEventSyncError `closed`.
   */
  async initKVEventSync(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#parts.manager.start(options);
    this.#isReady = this.#closing === null;
  }

  /** The index, to ask; `undefined` before `initKVEventSync()` is done and after `close()`. */
  getSyncPrefixIndexer(): PrefixIndexer | undefined {
    return this.#isReady ? this.#parts.indexer : undefined;
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
    this.#isReady = false;
    try {
      await this.#parts.manager.stop();
    } finally {
      this.#parts.metrics[Symbol.dispose]();
    }
  }
}
