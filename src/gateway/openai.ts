import type { ChatMessage, Prompt } from "../tokenizer/tokenizer.ts";

/** What is wrong with a request, or why it cannot be answered, as OpenAI's API says it. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly status: number;
  readonly type: string;
  /** Seconds. */
  readonly retryAfter: number | undefined;

  constructor(status: number, type: string, message: string, options: { cause?: unknown; retryAfter?: number } = {}) {
    super(message, options);
    this.status = status;
    this.type = type;
    this.retryAfter = options.retryAfter;
  }

  get body(): object {
    return { error: { message: this.message, type: this.type, param: null, code: this.status } };
  }
}

/** A request for an answer of a model. */
export interface ModelRequest {
  readonly model: string;
  /** The prompt, or its tokens; `null` where there is none that could be looked for. */
  readonly prompt: Prompt | readonly number[] | null;
  readonly cacheSalt: string | null;
}

/** Whose requests have a prompt. */
const CHAT_PATH = "/v1/chat/completions";
const COMPLETION_PATH = "/v1/completions";

/**
 * Reads what routing needs of a body; the engine reads all of it. Of several prompts in one request the first counts.
 * Throws GatewayError 400.
 */
export function readModelRequest(path: string, body: Buffer): ModelRequest {
  const request = objectIn(body);
  const { model, cache_salt: cacheSalt } = request;
  if (typeof model !== "string" || model === "") {
    throw new GatewayError(400, "invalid_request_error", `model is ${shown(model)}: name the model`);
  }
  const prompt =
    path === CHAT_PATH ? chatOf(request) : path === COMPLETION_PATH ? firstPrompt(request["prompt"], request) : null;
  return { model, prompt, cacheSalt: typeof cacheSalt === "string" && cacheSalt !== "" ? cacheSalt : null };
}

/** The model that a body names, of whatever request; `null` for none. */
export function modelIn(body: Buffer): string | null {
  try {
    const { model } = objectIn(body);
    return typeof model === "string" && model !== "" ? model : null;
  } catch {
    return null;
  }
}

export function isModelPath(path: string): boolean {
  return path === CHAT_PATH || path === COMPLETION_PATH;
}

/** Answer of `GET /v1/models`. */
export function modelList(models: readonly string[], nowSeconds: number): object {
  const data = models.map((id) => ({ id, object: "model", created: nowSeconds, owned_by: "kv-event-sync" }));
  return { object: "list", data };
}

function objectIn(body: Buffer): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    const problem = `body of ${body.length} bytes is no JSON: ${(cause as Error).message}`;
    throw new GatewayError(400, "invalid_request_error", problem, { cause });
  }
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return parsed as Record<string, unknown>;
  throw new GatewayError(400, "invalid_request_error", `body is ${shown(parsed)}: send a JSON object`);
}

function chatOf(request: Record<string, unknown>): Prompt | null {
  const { messages, tools, chat_template: chatTemplate, chat_template_kwargs: kwargs } = request;
  if (!Array.isArray(messages) || !messages.every(isMessage)) return null;
  return {
    messages,
    ...switches(request),
    ...(Array.isArray(tools) && tools.length > 0 && { tools }),
    ...(typeof chatTemplate === "string" && { chatTemplate }),
    ...(typeof kwargs === "object" && kwargs !== null && { chatTemplateKwargs: kwargs as Record<string, unknown> }),
  };
}

function switches(request: Record<string, unknown>): object {
  const {
    add_special_tokens: addSpecialTokens,
    add_generation_prompt: addGenerationPrompt,
    continue_final_message: continueFinalMessage,
  } = request;
  return {
    ...(typeof addSpecialTokens === "boolean" && { addSpecialTokens }),
    ...(typeof addGenerationPrompt === "boolean" && { addGenerationPrompt }),
    ...(typeof continueFinalMessage === "boolean" && { continueFinalMessage }),
  };
}

function firstPrompt(prompt: unknown, request: Record<string, unknown>): Prompt | readonly number[] | null {
  if (typeof prompt === "string") {
    const { add_special_tokens: addSpecialTokens } = request;
    return { prompt, ...(typeof addSpecialTokens === "boolean" && { addSpecialTokens }) };
  }
  if (!Array.isArray(prompt) || prompt.length === 0) return null;
  if (prompt.every(isTokenId)) return prompt;
  const [first] = prompt;
  return typeof first === "number" ? null : firstPrompt(first, request);
}

function isMessage(value: unknown): value is ChatMessage {
  return typeof value === "object" && value !== null && "role" in value && typeof value.role === "string";
}

function isTokenId(value: unknown): value is number {
  return typeof value === "number" && value >>> 0 === value;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
