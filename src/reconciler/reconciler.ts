import { type Clock, pause, systemClock } from "../clock.ts";
import type { Pod } from "../discovery/discovery.ts";
import { ConfigurationError } from "../errors.ts";
import type { PodInfo } from "../sync/status.ts";
import { type EngineHistory, judge } from "./engine-state.ts";
import { engineUrlOf, probeEngine } from "./probe.ts";

/** How engines are asked whether their caches are still there. */
export interface ReconcilerOptions {
  /** From the end of a round to the next one. @default 10_000 */
  readonly intervalMs?: number;
  /** Of an engine's HTTP server, at the address of its events. @default 8000, as vLLM */
  readonly httpPort?: number;
  /** For each of the two answers of an engine. @default 2_000 */
  readonly timeoutMs?: number;
}

/** What a reconciler looks at, and tells. */
export interface Reconciled {
  pods(): readonly PodInfo[];
  /** The engines of this pod dropped their caches. False where it cannot be done now. */
  forget(pod: Pod): boolean;
}

/** Hears what a reconciler finds. Must not throw and must not wait. */
export interface ReconcilerObserver {
  /** A pod's blocks are taken out of the index. */
  onDropped?(pod: string, reason: "sleeps" | "restarted" | "resized"): void;
  /** An engine does not answer, or not with what is expected: nothing follows from it. */
  onProbeFailed?(pod: string, error: Error): void;
}

/** One observer that passes everything on to all of these, in order. */
export function observeAllReconcilers(observers: readonly ReconcilerObserver[]): ReconcilerObserver {
  return {
    onDropped: (pod, reason) => {
      for (const each of observers) each.onDropped?.(pod, reason);
    },
    onProbeFailed: (pod, error) => {
      for (const each of observers) each.onProbeFailed?.(pod, error);
    },
  };
}

/** Engines that are asked at a time. */
const CONCURRENCY = 16;

/**
 * Asks engines over HTTP whether they dropped their caches without a word: vLLM tells of it in the next batch, which an
 * engine that sleeps or idles may not send for hours (`vllm-project/aibrix#2287`). It never holds up a stream. Disposing
 * ends it; idempotent.
 */
export class Reconciler implements AsyncDisposable {
  readonly #options: Required<ReconcilerOptions>;
  readonly #reconciled: Reconciled;
  readonly #observer: ReconcilerObserver;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #histories = new Map<string, EngineHistory>();
  #running: Promise<void> | null = null;

  /** Throws ConfigurationError `invalid-option`. */
  constructor(
    reconciled: Reconciled,
    options: ReconcilerOptions = {},
    observer: ReconcilerObserver = {},
    clock: Clock = systemClock,
  ) {
    this.#options = resolve(options);
    this.#reconciled = reconciled;
    this.#observer = observer;
    this.#clock = clock;
  }

  /** Begins with a round; called once. */
  start(): void {
    this.#running ??= this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#round();
      await pause(this.#options.intervalMs, this.#clock, this.#stop.signal);
    }
  }

  /** Asks each pod once. Who is gone is forgotten. */
  async #round(): Promise<void> {
    const pods = this.#reconciled.pods().map(({ pod }) => pod);
    const histories = new Map<string, EngineHistory>();
    const waiting = pods.values();
    const ask = async (): Promise<void> => {
      for (const pod of waiting) {
        if (this.#stop.signal.aborted) return;
        const history = await this.#look(pod);
        if (history !== null) histories.set(keyOf(pod), history);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, pods.length) }, ask));
    this.#histories = histories;
  }

  /** What is known of the pod afterwards. An engine that does not answer is judged when it does again. */
  async #look(pod: Pod): Promise<EngineHistory | null> {
    const before = this.#histories.get(keyOf(pod)) ?? null;
    const url = engineUrlOf(pod, this.#options.httpPort);
    if (url === null) return null;
    try {
      const state = await probeEngine(url, this.#options.timeoutMs, this.#stop.signal);
      const { history, dropped } = judge(before, state);
      if (dropped === null) return history;
      // A stream that is about to be rebuilt would bring back what is purged now: it is judged again in the next round.
      if (!this.#reconciled.forget(pod)) return before;
      this.#observer.onDropped?.(pod.key, dropped);
      return history;
    } catch (error) {
      if (this.#stop.signal.aborted) return before;
      this.#observer.onProbeFailed?.(pod.key, error instanceof Error ? error : new Error(String(error)));
      return before;
    }
  }
}

/** Another incarnation of a pod is another one. */
function keyOf({ modelName, key, uid, restartCount }: Pod): string {
  return JSON.stringify([modelName, key, uid, restartCount]);
}

function resolve({
  intervalMs = 10_000,
  httpPort = 8000,
  timeoutMs = 2_000,
}: ReconcilerOptions): Required<ReconcilerOptions> {
  for (const [name, value] of Object.entries({ intervalMs, timeoutMs })) {
    if (Number.isFinite(value) && value >= 1) continue;
    throw new ConfigurationError("invalid-option", `reconciler: ${name} is ${value}; use milliseconds from 1`);
  }
  if (!Number.isInteger(httpPort) || httpPort < 1 || httpPort > 65_535) {
    throw new ConfigurationError("invalid-option", `reconciler: httpPort is ${httpPort}; use a port from 1 to 65535`);
  }
  return { intervalMs, httpPort, timeoutMs };
}
