import type { Registry } from "prom-client";
import type { RegisteredPods } from "./discovery/registered.ts";
import { KVEventSyncError } from "./errors.ts";
import type { PrefixIndexer } from "./indexer/indexer.ts";
import type { Metrics } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";
import type { Reconciler } from "./reconciler/reconciler.ts";
import type { EngineLoads } from "./routing/engine-loads.ts";
import type { RequestRouter } from "./routing/request-router.ts";
import { dumpLines } from "./snapshot/dump.ts";
import type { SnapshotKeeper } from "./snapshot/keeper.ts";
import type { KVEventManager } from "./sync/manager.ts";
import type { RestoredStreams } from "./sync/restored.ts";
import type { PodInfo } from "./sync/status.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";
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
  /** Takes over what a peer or a snapshot knows; `null` for a cold start. Rejects with the signal's reason. */
  readonly warmStart: (signal: AbortSignal) => Promise<RestoredStreams | null>;
  /** `null`: no snapshots are written. */
  readonly keeper: SnapshotKeeper | null;
  /** `null`: callers send tokens. */
  readonly tokenizer: Tokenizer | null;
  readonly router: RequestRouter;
  /** `null`: engines are not asked for their load. */
  readonly engineLoads: EngineLoads | null;
  /** `null`: engines are not asked whether their caches are there. */
  readonly reconciler: Reconciler | null;
  /** Whether `initKVEventSync()` does anything. */
  readonly isEnabled: boolean;
  readonly onStartFailed: (error: Error) => void;
}

/**
 * Which engine holds which blocks, kept up to date: pods, their streams and the index. It is silent until
 * `initKVEventSync()`. Disposing equals `close()`.
 */
export class Store implements AsyncDisposable {
  readonly #parts: StoreParts;
  readonly #aborted = new AbortController();
  #isOpen = false;
  #startError: Error | null = null;
  #starting: Promise<void> | null = null;
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

  /** Where others record what they do: answer requests, route them. */
  get metrics(): Pick<Metrics, "requests" | "routing"> {
    return this.#parts.metrics;
  }

  /** The index in any state, for who lives as long as the store; others ask `getSyncPrefixIndexer`. */
  get indexer(): PrefixIndexer {
    return this.#parts.indexer;
  }

  /** Makes tokens of prompts as engines do; `null` where none is configured. It ends with the store. */
  get tokenizer(): Tokenizer | null {
    return this.#parts.tokenizer;
  }

  /** Finds the pod for a request. */
  get router(): RequestRouter {
    return this.#parts.router;
  }

  /** The lines of a dump of this moment: what another daemon, or the next start of this one, can go on from. */
  dump(): AsyncIterable<string> {
    return dumpLines(this.#parts.manager, this.#parts.indexer);
  }

  /** Whether each pod of the start has been caught up with, or cannot be reached; then true until `close()`. */
  get isReady(): boolean {
    return this.#parts.readiness.isReady;
  }

  /**
   * Takes over what is to be had of an earlier start or a peer, finds the pods and starts to follow them; resolves when
   * those of this moment are announced. A discovery that cannot start takes no host down: it is told as `startError`, to
   * `onStartFailed` and in the metrics, nothing of it is left, and there is no index to ask. Where sync is not enabled it
   * does nothing. Rejects with KVEventSyncError `closed`, and with the signal's reason.
   */
  async initKVEventSync(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { manager, readiness, keeper, metrics, isEnabled, reconciler, engineLoads } = this.#parts;
    if (this.#startError !== null) return;
    if (!isEnabled) {
      // There is nothing to catch up with: whoever waits for readiness, such as a probe, need not.
      if (this.#closing === null) readiness.started();
      return;
    }
    metrics.start();
    this.#starting ??= this.#restore(options.signal);
    try {
      await this.#starting;
      await manager.start(options);
    } catch (error) {
      if (this.#closing !== null || options.signal?.aborted === true) throw error;
      await this.#startFailed(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.#closing !== null) return;
    this.#isOpen = true;
    readiness.started();
    keeper?.start();
    reconciler?.start();
    engineLoads?.start();
  }

  /** Why `initKVEventSync()` could not start; `null` where nothing is wrong. */
  get startError(): Error | null {
    return this.#startError;
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

  async #startFailed(error: Error): Promise<void> {
    // Two that wait for the same start hear of one failure.
    if (this.#startError !== null) return;
    this.#startError = error;
    const { manager, readiness, metrics, onStartFailed } = this.#parts;
    metrics.startFailed();
    metrics.stop();
    readiness.close();
    await manager.stop().catch(() => {});
    onStartFailed(error);
  }

  async #restore(signal: AbortSignal | undefined): Promise<void> {
    const signals = [this.#aborted.signal, ...(signal === undefined ? [] : [signal])];
    const restored = await this.#parts.warmStart(AbortSignal.any(signals));
    if (restored !== null) this.#parts.manager.restore(restored);
  }

  async #close(): Promise<void> {
    const { readiness, keeper, manager, tokenizer, metrics, reconciler, engineLoads } = this.#parts;
    const { isReady: withLast } = readiness;
    this.#isOpen = false;
    readiness.close();
    this.#aborted.abort(new KVEventSyncError("closed", "store: is closed; make a new one"));
    try {
      await this.#starting?.catch(() => {});
      await reconciler?.[Symbol.asyncDispose]();
      await engineLoads?.[Symbol.asyncDispose]();
      // It reads what the end of the streams takes out of the index.
      await keeper?.stop({ withLast });
      await manager.stop();
    } finally {
      await tokenizer?.[Symbol.asyncDispose]();
      metrics[Symbol.dispose]();
    }
  }
}
