import { type Clock, systemClock } from "../clock.ts";
import { KVEventSyncError } from "../errors.ts";
import { type ServedRequest, type ServingEvent, ServingModel, type ServingModelOptions } from "./serving-model.ts";
import type { SimulatedPod } from "./simulated-pod.ts";

/** What an engine is asked to generate. */
export interface GenerationRequest {
  readonly tokens: Uint32Array;
  /** What it will say; at least one token. */
  readonly outputTokens: Uint32Array;
  readonly cacheSalt?: string;
  /** Data-parallel rank that serves it. Default the one with the least to do. */
  readonly rank?: number;
}

export interface Generation {
  /** Tokens of the prompt that were not computed. */
  readonly cachedTokens: number;
}

/** Hears what an engine measures of each request. */
export interface ServingObserver {
  /** Its prompt is computed from here on. */
  started(rank: number, promptTokens: number, cachedTokens: number): void;
  firstToken(rank: number, ttftMs: number): void;
  finished(rank: number, outputTokens: number): void;
}

/** How busy one rank is. */
export interface RankLoad {
  readonly rank: number;
  readonly running: number;
  readonly waiting: number;
  /** Share of the blocks that running requests take, from 0 to 1. */
  readonly usage: number;
}

export interface ServingEngineOptions extends ServingModelOptions {
  readonly pod: SimulatedPod;
  readonly observer: ServingObserver;
  /** Default the machine's. */
  readonly clock?: Clock;
}

interface Job extends ServedRequest {
  readonly given: GenerationRequest;
  readonly submittedMs: number;
  readonly onTokens: (tokens: number) => void;
  readonly settle: (error: Error | null) => void;
  cachedTokens: number;
  told: number;
}

interface Rank {
  readonly rank: number;
  readonly model: ServingModel<Job>;
  timer: unknown;
}

/**
 * A pod that takes its time: `ServingModel` on a clock, one for each rank, whose hits come from the pod's own cache. A
 * prompt's blocks are stored, and announced, when it starts; those of the answer when it ends. Unlike a real engine's
 * they are not kept while the request runs. Disposing ends all requests with `closed`.
 */
export class ServingEngine implements AsyncDisposable {
  readonly #options: ServingEngineOptions;
  readonly #clock: Clock;
  readonly #ranks: readonly Rank[];
  readonly #jobs = new Set<Job>();
  #isClosed = false;

  /** @throws ConfigurationError `invalid-option`, as `ServingModel`. */
  constructor(options: ServingEngineOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#ranks = options.pod.ranks.map(({ rank }) => ({
      rank,
      model: new ServingModel<Job>(options, (job) => this.#start(job, rank)),
      timer: null,
    }));
  }

  /** Most tokens of prompt and answer together. */
  get maxModelTokens(): number {
    const { blockSize, capacityBlocks } = this.#options.pod;
    return capacityBlocks * blockSize;
  }

  loads(): readonly RankLoad[] {
    const { blockSize, capacityBlocks } = this.#options.pod;
    const now = this.#clock.now();
    return this.#ranks.map(({ rank, model }) => {
      let blocks = 0;
      for (const job of model.runningRequests()) {
        blocks += Math.ceil((job.promptTokens + model.tokensOut(job, now)) / blockSize);
      }
      return { rank, running: model.running, waiting: model.waiting, usage: Math.min(1, blocks / capacityBlocks) };
    });
  }

  /**
   * Serves a request. `onTokens` hears how many tokens of the answer are out, whenever there are more; the last time all
   * of them. An abort frees its place. Rejects with KVEventSyncError `not-running`, `unknown-rank`, `request-too-long`,
   * `too-many` and `closed`, and with the signal's reason.
   */
  async generate(
    request: GenerationRequest,
    onTokens: (tokens: number) => void,
    signal?: AbortSignal,
  ): Promise<Generation> {
    signal?.throwIfAborted();
    this.#check(request);
    const rank = this.#rankFor(request);
    let abort: () => void = () => {};
    let job: Job | null = null;
    try {
      await new Promise<void>((resolve, reject) => {
        job = this.#job(request, onTokens, (error) => (error === null ? resolve() : reject(error)));
        const submitted = job;
        abort = () => {
          this.#apply(rank, rank.model.cancel(submitted, this.#clock.now()));
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", abort, { once: true });
        this.#jobs.add(submitted);
        this.#apply(rank, rank.model.submit(submitted, this.#clock.now()));
      });
      return { cachedTokens: job!.cachedTokens };
    } finally {
      signal?.removeEventListener("abort", abort);
      if (job !== null) this.#jobs.delete(job);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const rank of this.#ranks) this.#clock.clearTimeout(rank.timer);
    for (const job of this.#jobs)
      job.settle(new KVEventSyncError("closed", `pod ${this.#options.pod.key}: was closed`));
  }

  #check({ tokens, outputTokens }: GenerationRequest): void {
    const { pod } = this.#options;
    if (this.#isClosed || !pod.isRunning) {
      throw new KVEventSyncError("not-running", `pod ${pod.key}: is not running; start it first`);
    }
    const wanted = tokens.length + outputTokens.length;
    if (wanted <= this.maxModelTokens) return;
    throw new KVEventSyncError(
      "request-too-long",
      `pod ${pod.key}: ${wanted} tokens of prompt and answer exceed ${this.maxModelTokens}; shorten the request`,
    );
  }

  #rankFor({ rank: wanted }: GenerationRequest): Rank {
    const load = ({ model }: Rank): number => model.running + model.waiting;
    if (wanted === undefined) return this.#ranks.reduce((best, each) => (load(each) < load(best) ? each : best));
    const found = this.#ranks[wanted];
    if (found !== undefined) return found;
    const { key } = this.#options.pod;
    throw new KVEventSyncError("unknown-rank", `pod ${key}: rank ${wanted} of ${this.#ranks.length}; count from 0`);
  }

  #job(given: GenerationRequest, onTokens: Job["onTokens"], settle: Job["settle"]): Job {
    const { tokens, outputTokens } = given;
    const sizes = { promptTokens: tokens.length, outputTokens: outputTokens.length };
    return { given, ...sizes, submittedMs: this.#clock.now(), onTokens, settle, cachedTokens: 0, told: 0 };
  }

  /** Asks the cache, which keeps the prompt from here on. */
  #start(job: Job, rank: number): number {
    job.cachedTokens = this.#cache(job, rank, false);
    this.#options.observer.started(rank, job.promptTokens, job.cachedTokens);
    return job.cachedTokens;
  }

  /** A pod that ended meanwhile has no cache, and fails its requests. */
  #cache(job: Job, rank: number, withAnswer: boolean): number {
    const { tokens, outputTokens, cacheSalt } = job.given;
    const request = { tokens, ...(withAnswer && { outputTokens }), ...(cacheSalt !== undefined && { cacheSalt }) };
    try {
      return this.#options.pod.request(request, rank).cachedTokens;
    } catch (error) {
      job.settle(error as Error);
      return 0;
    }
  }

  #apply(rank: Rank, events: readonly ServingEvent<Job>[]): void {
    for (const event of events) {
      const { request: job } = event;
      if (event.type === "firstToken") this.#options.observer.firstToken(rank.rank, event.atMs - job.submittedMs);
      if (event.type === "finished") this.#finish(rank, job);
    }
    const now = this.#clock.now();
    for (const job of rank.model.runningRequests()) this.#tell(job, rank.model.tokensOut(job, now));
    this.#schedule(rank);
  }

  #finish({ rank }: Rank, job: Job): void {
    this.#tell(job, job.outputTokens);
    this.#cache(job, rank, true);
    this.#options.observer.finished(rank, job.outputTokens);
    job.settle(null);
  }

  #tell(job: Job, tokens: number): void {
    if (tokens <= job.told) return;
    job.told = tokens;
    job.onTokens(tokens);
  }

  #schedule(rank: Rank): void {
    this.#clock.clearTimeout(rank.timer);
    const now = this.#clock.now();
    const nextMs = rank.model.nextTokenMs(now);
    if (this.#isClosed || !Number.isFinite(nextMs)) return;
    const wake = (): void => this.#apply(rank, rank.model.advance(this.#clock.now()));
    rank.timer = this.#clock.setTimeout(wake, Math.max(0, nextMs - now));
  }
}
