import { type Clock, systemClock } from "../clock.ts";
import { ConfigurationError, TokenizerError } from "../errors.ts";
import { EndpointPool } from "./endpoint-pool.ts";
import { remoteTokenizer } from "./remote.ts";
import { SingleFlight } from "./single-flight.ts";
import { promptKey, TokenCache } from "./token-cache.ts";
import type { Prompt, Tokenization, TokenizeOptions, Tokenizer, TokenizerKind } from "./tokenizer.ts";

/** Hears what the pool does. */
export interface TokenizerPoolObserver {
  served(kind: TokenizerKind, durationMs: number): void;
  /** One tokenizer failed; the next may serve. */
  failed(kind: TokenizerKind, code: string): void;
  /** A prompt was looked up among those of before. */
  lookedUp(isHit: boolean): void;
  healthChecked(isHealthy: boolean): void;
}

/** Of this moment. */
export interface TokenizerPoolStats {
  /** Engines' tokenizers that are open. */
  readonly active: number;
  /** Of these, left out until they are well again. */
  readonly unhealthy: number;
  readonly cachedPrompts: number;
  readonly cachedBytes: number;
}

export interface TokenizerPoolOptions {
  /**
   * Base URLs of engines that serve a model, the preferred one first; asked for each prompt. Default none: no engine is
   * asked.
   */
  readonly endpointsOf?: (model: string) => readonly string[];
  /** Serve where no engine can, in this order; the pool disposes them. Default none. */
  readonly fallbacks?: readonly Tokenizer[];
  /** Default `remoteTokenizer` with its defaults. */
  readonly connect?: (endpoint: string) => Tokenizer;
  /** How often engines are looked after. Default 30,000, as AIBrix. */
  readonly healthCheckMs?: number;
  /** An engine's tokenizer is closed when unused for so long, and a prompt's tokens are asked for again. Default 300,000, as AIBrix. */
  readonly ttlMs?: number;
  /** Engines' tokenizers at a time. Default 100, as AIBrix. */
  readonly maxTokenizers?: number;
  /** For tokens of prompts of before; 0 keeps none. Default 64 MiB: 16 million tokens. */
  readonly maxCacheBytes?: number;
  readonly observer?: TokenizerPoolObserver;
  /** Default the machine's. */
  readonly clock?: Clock;
}

/** Each may cost a time-out. */
const MAX_ENGINES = 3;
const SILENT: TokenizerPoolObserver = { served() {}, failed() {}, lookedUp() {}, healthChecked() {} };

/**
 * Tokenizes for all models: by an engine of the model, whose word is the truth, else by the fallbacks in their order;
 * `servedBy` says who it was. The same prompt at the same time is asked once, and its tokens are kept for the next time
 * where the first choice served. Silent until it is asked. Disposing closes all tokenizers.
 */
export class TokenizerPool implements Tokenizer {
  readonly kind: TokenizerKind;
  readonly name = "pool";
  readonly #endpointsOf: (model: string) => readonly string[];
  readonly #fallbacks: readonly Tokenizer[];
  readonly #engines: EndpointPool;
  readonly #cache: TokenCache;
  readonly #flights = new SingleFlight<Tokenization>();
  readonly #observer: TokenizerPoolObserver;
  readonly #clock: Clock;
  #isClosed = false;

  /** @throws ConfigurationError `invalid-option` for numbers out of range. */
  constructor(options: TokenizerPoolOptions) {
    const { connect = (endpoint) => remoteTokenizer({ endpoint }), observer = SILENT } = options;
    const ttlMs = checked("ttlMs", options.ttlMs ?? 300_000, 1);
    this.kind = options.endpointsOf === undefined ? (options.fallbacks?.[0]?.kind ?? "remote") : "remote";
    this.#endpointsOf = options.endpointsOf ?? (() => []);
    this.#fallbacks = options.fallbacks ?? [];
    this.#observer = observer;
    this.#clock = options.clock ?? systemClock;
    this.#cache = new TokenCache({
      maxBytes: checked("maxCacheBytes", options.maxCacheBytes ?? 64 * 2 ** 20, 0),
      ttlMs,
    });
    this.#engines = new EndpointPool({
      connect,
      healthCheckMs: checked("healthCheckMs", options.healthCheckMs ?? 30_000, 1),
      ttlMs,
      maxTokenizers: checked("maxTokenizers", options.maxTokenizers ?? 100, 1),
      clock: this.#clock,
      onHealthCheck: (isHealthy) => observer.healthChecked(isHealthy),
    });
  }

  get stats(): TokenizerPoolStats {
    return { ...this.#engines.stats, cachedPrompts: this.#cache.size, cachedBytes: this.#cache.bytes };
  }

  /** Rejects as the last tokenizer that was tried, and with TokenizerError `unreachable` where there is none. */
  async tokenize(prompt: Prompt, { model = "", signal }: TokenizeOptions = {}): Promise<Tokenization> {
    signal?.throwIfAborted();
    const key = promptKey(model, prompt);
    const known = this.#cache.get(key, this.#clock.now());
    this.#observer.lookedUp(known !== undefined);
    if (known !== undefined) return known;
    const ask = async (ended: AbortSignal): Promise<Tokenization> => {
      const options = { signal: ended, ...(model !== "" && { model }) };
      const { result, kind } = await this.#serve(model, (tokenizer) => tokenizer.tokenize(prompt, options), ended);
      // What a fallback said must not outlive the reason for it.
      if (kind === this.kind) this.#cache.set(key, result, this.#clock.now());
      return result;
    };
    return this.#flights.run(key, ask, signal);
  }

  async detokenize(tokens: ArrayLike<number>, options: TokenizeOptions = {}): Promise<string> {
    const { model = "", signal } = options;
    const { result } = await this.#serve(model, (tokenizer) => tokenizer.detokenize(tokens, options), signal);
    return result;
  }

  /** Resolves: what it stands on shows itself when it is asked. */
  async check(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#cache.clear();
    const all = [this.#engines, ...this.#fallbacks];
    await Promise.all(all.map((each) => each[Symbol.asyncDispose]()));
  }

  async #serve<T>(
    model: string,
    call: (tokenizer: Tokenizer) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly result: T; readonly kind: TokenizerKind }> {
    if (this.#isClosed) throw new TokenizerError("closed", "tokenizer pool: is closed; make a new one");
    const measured = async (tokenizer: Tokenizer): Promise<{ readonly result: T; readonly kind: TokenizerKind }> => {
      const begunMs = this.#clock.now();
      const result = await call(tokenizer);
      this.#observer.served(tokenizer.kind, this.#clock.now() - begunMs);
      return { result, kind: tokenizer.kind };
    };
    let last: unknown;
    const note = (kind: TokenizerKind, error: unknown): void => {
      if (signal?.aborted === true || !isElsewhereBetter(error)) throw error;
      this.#observer.failed(kind, (error as TokenizerError).code);
      last = error;
    };
    const endpoints = this.#endpointsOf(model);
    let tried = 0;
    for (const endpoint of endpoints) {
      if (tried === MAX_ENGINES) break;
      try {
        const served = await this.#engines.use(endpoint, measured, isEnginesFault);
        if (served !== undefined) return served;
      } catch (error) {
        tried += 1;
        note("remote", error);
      }
    }
    for (const fallback of this.#fallbacks) {
      try {
        return await measured(fallback);
      } catch (error) {
        note(fallback.kind, error);
      }
    }
    throw last ?? nobodyServes(model, endpoints);
  }
}

/** Whether another tokenizer may do what this one could not. About a prompt that is wrong it would only guess. */
function isElsewhereBetter(error: unknown): boolean {
  return error instanceof TokenizerError && error.code !== "invalid-prompt";
}

/** Whether an engine failed for other prompts, too: what one prompt or model's name can do must not shut all others out. */
function isEnginesFault(error: unknown): boolean {
  if (!(error instanceof TokenizerError)) return false;
  return error.code === "unreachable" || error.code === "invalid-answer" || (error.status ?? 0) >= 500;
}

function nobodyServes(model: string, endpoints: readonly string[]): TokenizerError {
  const of = model === "" ? "" : ` for model ${JSON.stringify(model)}`;
  const why = endpoints.length === 0 ? "no engine is known" : `${endpoints.length} engines failed, or are busy`;
  return new TokenizerError("unreachable", `tokenizer pool: ${why}${of}; check the endpoints, or give token ids`);
}

function checked(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ConfigurationError(
    "invalid-option",
    `tokenizer pool: ${name} is ${value}; expected an integer from ${least}`,
  );
}
