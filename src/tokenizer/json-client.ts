import { Agent, type Dispatcher, request } from "undici";
import type { Clock } from "../clock.ts";
import { TokenizerError } from "../errors.ts";

export interface JsonClientOptions {
  /** For one call with all of its attempts. */
  readonly timeoutMs: number;
  /** Attempts after the first. */
  readonly retries: number;
  /** Before the first further attempt; doubles with each. */
  readonly retryMinMs: number;
  readonly maxAnswerBytes: number;
  readonly maxConnections: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Time of day, ms since the epoch: what a `Retry-After` that is a date is compared with. */
  readonly wallClockMs: () => number;
}

interface Call {
  readonly url: URL;
  readonly method: "GET" | "POST";
  readonly body: string | null;
  readonly signal: AbortSignal;
}

/** Failed, and whether the same call can do better soon. */
interface Failure {
  readonly error: TokenizerError;
  readonly isTransient: boolean;
  readonly retryAfterMs: number | null;
}

/** An engine that is busy or behind a proxy that cannot reach it: the same call can do better soon. */
const TRANSIENT_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504]);
/** The engine works, and does not take this prompt. */
const PROMPT_STATUS: ReadonlySet<number> = new Set([400, 413, 422]);
/** Of an error's body, which is read to be quoted only. */
const MAX_ERROR_BYTES = 64 * 1024;
const QUOTED_CHARACTERS = 300;

/** JSON over HTTP with connections that are kept, a time-out for all attempts together, and answers of bounded size. */
export class JsonClient implements AsyncDisposable {
  readonly #options: JsonClientOptions;
  readonly #agent: Agent;
  readonly #closed = new AbortController();

  constructor(options: JsonClientOptions) {
    this.#options = options;
    // Its own time-outs would hide ours, which tells what was waited for.
    this.#agent = new Agent({
      connections: options.maxConnections,
      keepAliveTimeout: 30_000,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: options.timeoutMs },
    });
  }

  /**
   * The answer's text. Rejects with TokenizerError `unreachable`, `timeout`, `http-status`, `invalid-prompt`, `answer-too-large` or
   * `closed`, and with the signal's reason.
   */
  async call(method: Call["method"], url: URL, body: unknown, signal?: AbortSignal): Promise<string> {
    const { clock, timeoutMs } = this.#options;
    signal?.throwIfAborted();
    this.#closed.signal.throwIfAborted();
    const late = new AbortController();
    const timer = clock.setTimeout(() => late.abort(timeoutError(url, timeoutMs)), timeoutMs);
    const signals = [late.signal, this.#closed.signal, ...(signal === undefined ? [] : [signal])];
    const text = body === undefined ? null : JSON.stringify(body);
    try {
      return await this.#attempts(
        { url, method, body: text, signal: AbortSignal.any(signals) },
        clock.now() + timeoutMs,
      );
    } finally {
      clock.clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new TokenizerError("closed", "tokenizer: is closed; make a new one"));
    await this.#agent.destroy();
  }

  async #attempts(call: Call, endMs: number): Promise<string> {
    const { retries, retryMinMs, clock, random } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#attempt(call);
      if (typeof outcome === "string") return outcome;
      const { error, isTransient, retryAfterMs } = outcome;
      const backOffMs = retryMinMs * 2 ** attempt * (0.5 + random() / 2);
      const delayMs = Math.max(backOffMs, retryAfterMs ?? 0);
      // What would come after the time-out is not waited for.
      if (!isTransient || attempt >= retries || clock.now() + delayMs >= endMs) throw error;
      await pause(delayMs, clock, call.signal);
    }
  }

  async #attempt({ url, method, body, signal }: Call): Promise<string | Failure> {
    const { headers, maxAnswerBytes } = this.#options;
    try {
      const answer = await request(url, {
        dispatcher: this.#agent,
        method,
        body,
        signal,
        headers: {
          accept: "application/json",
          ...(body !== null && { "content-type": "application/json" }),
          ...headers,
        },
      });
      const isSuccess = answer.statusCode >= 200 && answer.statusCode < 300;
      const text = await readText(answer, isSuccess ? maxAnswerBytes : MAX_ERROR_BYTES);
      if (isSuccess && text !== null) return text;
      return isSuccess ? tooLarge(url, maxAnswerBytes) : this.#refused(url, answer, text ?? "");
    } catch (cause) {
      signal.throwIfAborted();
      return unreachable(url, cause);
    }
  }

  #refused(url: URL, { statusCode, headers }: Dispatcher.ResponseData, text: string): Failure {
    const said = text === "" ? "" : ` ${excerpt(text, QUOTED_CHARACTERS)}`;
    const message = `${shown(url)}: status ${statusCode}${said}; ${remedyOf(statusCode)}`;
    const code = PROMPT_STATUS.has(statusCode) ? "invalid-prompt" : "http-status";
    return {
      error: new TokenizerError(code, message, { status: statusCode }),
      isTransient: TRANSIENT_STATUS.has(statusCode),
      retryAfterMs: readRetryAfter(headers["retry-after"], this.#options.wallClockMs()),
    };
  }
}

/**
 * What `Retry-After` asks to wait, in milliseconds (RFC 9110, 10.2.3: seconds or a date); `null` where it says nothing
 * that can be read.
 */
export function readRetryAfter(value: string | readonly string[] | undefined, wallClockMs: number): number | null {
  const text = (typeof value === "string" ? value : value?.[0])?.trim() ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  // Date.parse takes numbers with a point or sign for years.
  if (!/[a-z]/i.test(text)) return null;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - wallClockMs);
}

/** A URL as a message may have it: without credentials. */
export function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** The beginning of a text in one line. */
export function excerpt(text: string, characters: number): string {
  // Cut first: the rest may be long.
  const line = text
    .slice(0, characters + 1)
    .replace(/\s+/g, " ")
    .trim();
  return line.length > characters ? `${line.slice(0, characters)}…` : line;
}

/** `null` where it has more bytes than that; the connection is given up then. */
async function readText({ body }: Dispatcher.ResponseData, maxBytes: number): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    // Leaving the loop destroys the body.
    if (size > maxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function pause(delayMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clock.clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = clock.setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, delayMs);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  });
}

function timeoutError(url: URL, timeoutMs: number): TokenizerError {
  const remedy = "raise the time-out or check the engine's load";
  return new TokenizerError("timeout", `${shown(url)}: no answer within ${timeoutMs} ms; ${remedy}`);
}

function tooLarge(url: URL, maxBytes: number): Failure {
  const message = `${shown(url)}: answer exceeds maxAnswerBytes ${maxBytes}; raise it or ask for a shorter prompt`;
  return { error: new TokenizerError("answer-too-large", message), isTransient: false, retryAfterMs: null };
}

function unreachable(url: URL, cause: unknown): Failure {
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
  const message = `${shown(url)}: ${reason}; check that an engine listens there`;
  return { error: new TokenizerError("unreachable", message, { cause }), isTransient: true, retryAfterMs: null };
}

function remedyOf(status: number): string {
  if (PROMPT_STATUS.has(status)) {
    return "the engine cannot use this prompt; SGLang takes text alone, and a chat needs a chat template";
  }
  if (status === 401 || status === 403) return "give the engine's API key in the headers";
  if (status === 404) return "check the base URL and the model's name; the engine's /tokenize must be there";
  if (TRANSIENT_STATUS.has(status)) return "the engine is busy or not up yet; try again later";
  return "check that an engine of vLLM or SGLang listens there";
}
