import { type Clock, systemClock } from "../clock.ts";
import { ConfigurationError, TokenizerError } from "../errors.ts";
import { excerpt, JsonClient, shown } from "./json-client.ts";
import type { ChatPrompt, Prompt, Tokenization, TokenizeOptions, Tokenizer } from "./tokenizer.ts";

export interface RemoteTokenizerOptions {
  /** Base URL of an engine, such as `http://10.0.0.1:8000`; `/tokenize` comes below it. */
  readonly endpoint: string;
  /** For one call with all of its attempts. Default 5,000, as AIBrix. */
  readonly timeoutMs?: number;
  /** Attempts after the first, where the engine is busy or out of reach. Default 2. */
  readonly retries?: number;
  /** Before the first further attempt, unless the engine asks for more by `Retry-After`; doubles with each. Default 50. */
  readonly retryMinMs?: number;
  /** Default 16 MiB: two million tokens. */
  readonly maxAnswerBytes?: number;
  /** Calls at a time; further ones wait. Default 16. */
  readonly maxConnections?: number;
  /** Of every request, such as `authorization`. Default none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default the machine's. */
  readonly clock?: Clock;
  /** From 0 to below 1, for the back-off. Default `Math.random`. */
  readonly random?: () => number;
  /** Time of day in ms, for a `Retry-After` that is a date. Default `Date.now`. */
  readonly wallClockMs?: () => number;
}

const MAX_TOKEN_ID = 0xffff_ffff;
const QUOTED_CHARACTERS = 120;

/**
 * Asks an engine itself, by `/tokenize` and `/detokenize` of vLLM (`vllm/entrypoints/openai/protocol.py`) and SGLang
 * (`sglang/srt/entrypoints/openai/protocol.py`). One request suits both: SGLang leaves out fields that it does not know,
 * and answers chats with a status of 400 or 422, as it takes text alone.
 *
 * @throws ConfigurationError `invalid-option` for an endpoint that is no HTTP URL, and for numbers out of range.
 */
export function remoteTokenizer(options: RemoteTokenizerOptions): Tokenizer {
  return new RemoteTokenizer(options);
}

class RemoteTokenizer implements Tokenizer {
  readonly kind = "remote";
  readonly name: string;
  readonly #base: URL;
  readonly #client: JsonClient;

  constructor(options: RemoteTokenizerOptions) {
    this.#base = baseUrl(options.endpoint);
    this.name = `remote ${shown(this.#base).replace(/\/$/, "")}`;
    this.#client = new JsonClient({
      timeoutMs: checked("timeoutMs", options.timeoutMs ?? 5_000, 1),
      retries: checked("retries", options.retries ?? 2, 0),
      retryMinMs: checked("retryMinMs", options.retryMinMs ?? 50, 0),
      maxAnswerBytes: checked("maxAnswerBytes", options.maxAnswerBytes ?? 16 * 1024 * 1024, 1),
      maxConnections: checked("maxConnections", options.maxConnections ?? 16, 1),
      headers: options.headers ?? {},
      clock: options.clock ?? systemClock,
      random: options.random ?? Math.random,
      wallClockMs: options.wallClockMs ?? Date.now,
    });
  }

  async tokenize(prompt: Prompt, { model, signal }: TokenizeOptions = {}): Promise<Tokenization> {
    const url = new URL("tokenize", this.#base);
    const body = { ...(model !== undefined && { model }), ...requestOf(prompt) };
    const answer = readObject(await this.#client.call("POST", url, body, signal), url);
    const { max_model_len: max } = answer;
    return {
      tokens: readTokens(answer, url),
      servedBy: this.name,
      maxModelTokens: typeof max === "number" && Number.isSafeInteger(max) && max > 0 ? max : null,
    };
  }

  async detokenize(tokens: ArrayLike<number>, { model, signal }: TokenizeOptions = {}): Promise<string> {
    const url = new URL("detokenize", this.#base);
    // SGLang leaves special tokens out unless told otherwise.
    const body = { ...(model !== undefined && { model }), tokens: Array.from(tokens), skip_special_tokens: false };
    const answer = readObject(await this.#client.call("POST", url, body, signal), url);
    // vLLM's name for it, and SGLang's.
    const text = answer["prompt"] ?? answer["text"];
    if (typeof text === "string") return text;
    throw invalidAnswer(url, "has neither a prompt nor a text", answer);
  }

  async check({ signal }: Pick<TokenizeOptions, "signal"> = {}): Promise<void> {
    await this.#client.call("GET", new URL("health", this.#base), undefined, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client[Symbol.asyncDispose]();
  }
}

/** The body of `/tokenize`, without the model. */
function requestOf(prompt: Prompt): Record<string, unknown> {
  if ("messages" in prompt) return chatRequestOf(prompt);
  return { prompt: prompt.prompt, add_special_tokens: prompt.addSpecialTokens ?? true };
}

function chatRequestOf(chat: ChatPrompt): Record<string, unknown> {
  const { chatTemplate, chatTemplateKwargs, tools, mmProcessorKwargs } = chat;
  const continues = chat.continueFinalMessage ?? false;
  return {
    messages: chat.messages,
    add_special_tokens: chat.addSpecialTokens ?? false,
    // vLLM refuses a request that asks for both.
    add_generation_prompt: chat.addGenerationPrompt ?? !continues,
    continue_final_message: continues,
    ...(chatTemplate !== undefined && { chat_template: chatTemplate }),
    ...(chatTemplateKwargs !== undefined && { chat_template_kwargs: chatTemplateKwargs }),
    ...(tools !== undefined && { tools }),
    ...(mmProcessorKwargs !== undefined && { mm_processor_kwargs: mmProcessorKwargs }),
  };
}

function readObject(text: string, url: URL): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalidAnswer(url, "is no JSON", text, cause);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalidAnswer(url, "is no JSON object", value);
}

function readTokens(answer: Record<string, unknown>, url: URL): Uint32Array {
  const { tokens, count } = answer;
  if (!Array.isArray(tokens)) throw invalidAnswer(url, "has no array of tokens", answer);
  const wrong = tokens.findIndex((token) => !Number.isInteger(token) || token < 0 || token > MAX_TOKEN_ID);
  if (wrong >= 0) throw invalidAnswer(url, `has as token ${wrong} what is no token id`, tokens[wrong]);
  if (count !== undefined && count !== tokens.length) {
    throw invalidAnswer(url, `has ${tokens.length} tokens and another count`, count);
  }
  return Uint32Array.from(tokens as number[]);
}

function invalidAnswer(url: URL, problem: string, value: unknown, cause?: unknown): TokenizerError {
  const quoted = excerpt(JSON.stringify(value) ?? "nothing", QUOTED_CHARACTERS);
  return new TokenizerError(
    "invalid-answer",
    `${shown(url)}: answer ${problem}: ${quoted}; check that an engine of vLLM or SGLang listens there`,
    cause === undefined ? {} : { cause },
  );
}

function baseUrl(endpoint: string): URL {
  const text = endpoint.endsWith("/") ? endpoint : `${endpoint}/`;
  if (/^https?:\/\//i.test(endpoint) && URL.canParse(text)) return new URL(text);
  throw new ConfigurationError(
    "invalid-option",
    `tokenizer endpoint is ${JSON.stringify(endpoint)}: give a base URL such as http://10.0.0.1:8000`,
  );
}

function checked(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new ConfigurationError("invalid-option", `tokenizer: ${name} is ${value}; expected an integer from ${least}`);
}
