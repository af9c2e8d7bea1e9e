import { ConfigurationError, KVEventSyncError } from "../errors.ts";

/** How fast an engine is, and how much it does at a time. */
export interface ServingModelOptions {
  /** Prompt tokens computed in a second. Default 10,000: some 8 billion parameters on one large GPU. */
  readonly prefillTokensPerSecond?: number;
  /** Tokens that each running request gets in a second. Default 50. */
  readonly decodeTokensPerSecond?: number;
  /** Requests in the batch; further ones wait. Default 256, as vLLM's `max_num_seqs`. */
  readonly maxRunning?: number;
  /** Requests that may wait. Default 10,000. */
  readonly maxWaiting?: number;
}

/** What a request costs. */
export interface ServedRequest {
  readonly promptTokens: number;
  /** At least 1. */
  readonly outputTokens: number;
}

/** What happens to a request, and when. */
export type ServingEvent<Request> =
  /** It leaves the queue; its prompt is computed from here on, but for what is cached. */
  | { readonly type: "started"; readonly atMs: number; readonly request: Request; readonly cachedTokens: number }
  | { readonly type: "firstToken"; readonly atMs: number; readonly request: Request }
  /** Its last token is out, and its place free. */
  | { readonly type: "finished"; readonly atMs: number; readonly request: Request };

interface Running<Request> {
  readonly request: Request;
  readonly firstTokenMs: number;
  readonly finishMs: number;
}

/**
 * When an engine answers: a queue, a prompt at a time, and a batch of bounded size. Pure: time is given, in ms, and
 * never goes backwards, so that a server can run it on the machine's clock and a bench on one of its own.
 *
 * - Requests wait in the order of their arrival. The first one starts when a place in the batch is free **and** no other
 *   prompt is being computed: prompts share the engine's compute, and vLLM's scheduler gives its token budget to the
 *   oldest first (`vllm/v1/core/sched/scheduler.py`).
 * - What is cached is looked up at the start, since vLLM looks it up when it schedules a request and announces the
 *   prompt's blocks then. The rest takes `(prompt − cached) / prefillTokensPerSecond`; then comes the first token.
 * - From there on a request gets `decodeTokensPerSecond`, however many run: decoding is bound by the memory's bandwidth,
 *   of which a batch within its bounds takes about the same. The last token frees the place.
 *
 * So the time to the first token is the wait for a place, the prompts before it, and its own uncached tokens: what
 * routing can change. Left out: that prompts slow down decoding, preemption, and that a long prompt is computed in parts
 * between which others go on.
 */
export class ServingModel<Request extends ServedRequest> {
  readonly #options: Required<ServingModelOptions>;
  readonly #cachedTokensOf: (request: Request) => number;
  readonly #waiting = new Set<Request>();
  /** In the order of their starts; the last one may be in its prompt. */
  readonly #running = new Map<Request, Running<Request>>();
  #prefill: Running<Request> | null = null;
  #nowMs = 0;

  /**
   * `cachedTokensOf` is asked once, when a request starts.
   *
   * @throws ConfigurationError `invalid-option` for a rate or bound that is not above 0.
   */
  constructor(options: ServingModelOptions, cachedTokensOf: (request: Request) => number) {
    this.#options = resolveOptions(options);
    this.#cachedTokensOf = cachedTokensOf;
  }

  /** Requests in the batch, the one whose prompt is computed included. */
  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** When something happens by itself; `Infinity` where nothing will. */
  get nextEventMs(): number {
    return this.#next()?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Takes a request. Returns what happens until then, and its start where it need not wait.
   *
   * @throws KVEventSyncError `too-many` where `maxWaiting` wait.
   */
  submit(request: Request, nowMs: number): readonly ServingEvent<Request>[] {
    const { maxWaiting } = this.#options;
    if (this.#waiting.size >= maxWaiting) {
      throw new KVEventSyncError("too-many", `engine: ${maxWaiting} requests wait already; try again later`);
    }
    const events = this.advance(nowMs);
    this.#waiting.add(request);
    return [...events, ...this.#start(this.#nowMs)];
  }

  /** Takes a request away, wherever it is; one that is not there is none. Returns as `submit`. */
  cancel(request: Request, nowMs: number): readonly ServingEvent<Request>[] {
    const events = this.advance(nowMs);
    this.#waiting.delete(request);
    this.#running.delete(request);
    if (this.#prefill?.request === request) this.#prefill = null;
    return [...events, ...this.#start(this.#nowMs)];
  }

  /** Lets time pass. Returns what happens until then, in order. */
  advance(nowMs: number): readonly ServingEvent<Request>[] {
    const events: ServingEvent<Request>[] = [];
    for (let next = this.#next(); next !== null && next.atMs <= nowMs; next = this.#next()) {
      if (next.type === "firstToken") this.#prefill = null;
      else this.#running.delete(next.request);
      events.push(next, ...this.#start(next.atMs));
    }
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    return events;
  }

  /** Tokens that a request has got; 0 before its first one, and for one that does not run. */
  tokensOut(request: Request, nowMs: number): number {
    const running = this.#running.get(request);
    if (running === undefined || nowMs < running.firstTokenMs) return 0;
    const more = ((nowMs - running.firstTokenMs) / 1_000) * this.#options.decodeTokensPerSecond;
    // What a division loses must not hide a token that is due.
    return Math.min(request.outputTokens, 1 + Math.floor(more + 1e-6));
  }

  /** When a request gets its next token, or anything else happens; `Infinity` where nothing will. */
  nextTokenMs(nowMs: number): number {
    let next = this.nextEventMs;
    for (const [request, { firstTokenMs }] of this.#running) {
      const out = this.tokensOut(request, nowMs);
      if (out === 0 || out >= request.outputTokens) continue;
      next = Math.min(next, firstTokenMs + (out / this.#options.decodeTokensPerSecond) * 1_000);
    }
    return next;
  }

  /** Requests in the batch, in the order of their starts. */
  runningRequests(): IterableIterator<Request> {
    return this.#running.keys();
  }

  #next(): Exclude<ServingEvent<Request>, { type: "started" }> | null {
    const prefill = this.#prefill;
    let first: Running<Request> | null = null;
    for (const running of this.#running.values()) {
      if (running !== prefill && (first === null || running.finishMs < first.finishMs)) first = running;
    }
    if (prefill !== null && (first === null || prefill.firstTokenMs <= first.finishMs)) {
      return { type: "firstToken", atMs: prefill.firstTokenMs, request: prefill.request };
    }
    return first === null ? null : { type: "finished", atMs: first.finishMs, request: first.request };
  }

  #start(nowMs: number): readonly ServingEvent<Request>[] {
    const { prefillTokensPerSecond, decodeTokensPerSecond, maxRunning } = this.#options;
    const [request] = this.#waiting;
    if (request === undefined || this.#prefill !== null || this.#running.size >= maxRunning) return [];
    this.#waiting.delete(request);
    const cachedTokens = this.#cachedTokensOf(request);
    const firstTokenMs = nowMs + (Math.max(0, request.promptTokens - cachedTokens) / prefillTokensPerSecond) * 1_000;
    const finishMs = firstTokenMs + ((Math.max(1, request.outputTokens) - 1) / decodeTokensPerSecond) * 1_000;
    this.#prefill = { request, firstTokenMs, finishMs };
    this.#running.set(request, this.#prefill);
    return [{ type: "started", atMs: nowMs, request, cachedTokens }];
  }
}

function resolveOptions(options: ServingModelOptions): Required<ServingModelOptions> {
  const resolved = {
    prefillTokensPerSecond: options.prefillTokensPerSecond ?? 10_000,
    decodeTokensPerSecond: options.decodeTokensPerSecond ?? 50,
    maxRunning: options.maxRunning ?? 256,
    maxWaiting: options.maxWaiting ?? 10_000,
  };
  for (const [name, value] of Object.entries(resolved)) {
    if (value > 0 && Number.isFinite(value) && (name.endsWith("PerSecond") || Number.isInteger(value))) continue;
    throw new ConfigurationError("invalid-option", `engine: ${name} is ${value}; expected a number above 0`);
  }
  return resolved;
}
