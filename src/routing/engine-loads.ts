import { type Clock, pause } from "../clock.ts";
import { engineUrlOf, fetchText } from "../reconciler/probe.ts";
import type { PodDirectory } from "../sync/status.ts";
import type { RoutingOptions } from "./options.ts";

/** What an engine says of its load. */
export interface EngineLoad {
  readonly running: number;
  readonly waiting: number;
}

/** Engines that are asked at a time. */
const CONCURRENCY = 16;
/** An engine that does not answer for so many rounds is taken to have no load that is known. */
const STALE_ROUNDS = 3;
/** Longest time for an answer; a round must not wait for one engine much longer than the next is due. */
const MAX_TIMEOUT_MS = 2_000;

/**
 * Reads running and waiting requests out of the Prometheus text format: vLLM's `vllm:num_requests_running` and
 * `…_waiting` (`vllm/v1/metrics/loggers.py`), or SGLang's `sglang:num_running_reqs` and `…num_queue_reqs`. Several
 * engines in one process count together. `null` where there is neither.
 */
export function readLoad(text: string): EngineLoad | null {
  let running: number | null = null;
  let waiting = 0;
  for (const line of text.split("\n")) {
    const [, name, value] = /^(?:vllm|sglang):(num_[a-z_]+)(?:\{[^}]*\})?\s+([0-9.eE+-]+)/.exec(line) ?? [];
    const count = Number(value);
    if (name === undefined || !Number.isFinite(count)) continue;
    if (name === "num_requests_running" || name === "num_running_reqs") running = (running ?? 0) + count;
    if (name === "num_requests_waiting" || name === "num_queue_reqs") waiting += count;
  }
  return running === null ? null : { running, waiting };
}

/** Asks all engines for their load again and again. Disposing ends it; idempotent. */
export class EngineLoads implements AsyncDisposable {
  readonly #directory: PodDirectory;
  readonly #options: Pick<RoutingOptions, "engineHttpPort" | "loadIntervalMs">;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #loads = new Map<string, { readonly load: EngineLoad; readonly round: number }>();
  #rounds = 0;
  #running: Promise<void> | null = null;

  constructor(
    directory: PodDirectory,
    options: Pick<RoutingOptions, "engineHttpPort" | "loadIntervalMs">,
    clock: Clock,
  ) {
    this.#directory = directory;
    this.#options = options;
    this.#clock = clock;
  }

  /** As of the pod's last answer; `undefined` where there is none, or none for some time. */
  of(pod: string): EngineLoad | undefined {
    return this.#loads.get(pod)?.load;
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
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#round();
      await pause(this.#options.loadIntervalMs, this.#clock, signal);
    }
  }

  async #round(): Promise<void> {
    const round = ++this.#rounds;
    const loads = new Map<string, { readonly load: EngineLoad; readonly round: number }>();
    const waiting = this.#directory.pods().values();
    const ask = async (): Promise<void> => {
      for (const { pod } of waiting) {
        if (this.#stop.signal.aborted) return;
        const before = this.#loads.get(pod.key);
        const load = await this.#ask(pod.httpUrl ?? engineUrlOf(pod, this.#options.engineHttpPort));
        if (load !== null) loads.set(pod.key, { load, round });
        else if (before !== undefined && round - before.round < STALE_ROUNDS) loads.set(pod.key, before);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, ask));
    this.#loads = loads;
  }

  async #ask(url: string | null): Promise<EngineLoad | null> {
    if (url === null) return null;
    const timeoutMs = Math.min(MAX_TIMEOUT_MS, Math.max(100, this.#options.loadIntervalMs));
    try {
      const text = await fetchText(`${url}/metrics`, timeoutMs, this.#stop.signal);
      return text === null ? null : readLoad(text);
    } catch {
      // Whether an engine answers is told by its stream; here it is one of which nothing is known.
      return null;
    }
  }
}
