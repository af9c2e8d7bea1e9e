import { z } from "zod";
import { firstIssue } from "../../schema-issue.ts";
import type { Prompt } from "../../tokenizer/tokenizer.ts";

/** An answer other than success, in OpenAI's form. */
export class EngineHttpError extends Error {
  override readonly name = "EngineHttpError";
  readonly status: 400 | 404 | 413 | 429 | 503;

  constructor(status: EngineHttpError["status"], message: string) {
    super(message);
    this.status = status;
  }
}

/** What both kinds of completion ask for. */
export interface CompletionRequest {
  readonly prompt: Prompt | { readonly tokens: Uint32Array };
  readonly model: string | undefined;
  /** Tokens to generate; `null` where the engine decides. */
  readonly maxTokens: number | null;
  readonly isStream: boolean;
  /** Of the stream: tokens at its end. */
  readonly includeUsage: boolean;
  readonly cacheSalt: string | undefined;
}

const MAX_TOKEN_ID = 0xffff_ffff;
const tokenIds = z.array(z.number().int().min(0).max(MAX_TOKEN_ID));
const count = z.number().int().min(1).max(1_000_000);
const message = z.looseObject({ role: z.string() });
const chat = {
  messages: z.array(message),
  add_generation_prompt: z.boolean().optional(),
  continue_final_message: z.boolean().optional(),
  add_special_tokens: z.boolean().optional(),
  chat_template: z.string().nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  tools: z.array(z.unknown()).nullish(),
};
const generation = {
  model: z.string().optional(),
  max_tokens: count.nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  cache_salt: z.string().nullish(),
  n: z.literal(1, { error: "is not supported; leave it out for 1" }).nullish(),
};

const chatSchema = z.object({ ...generation, ...chat, max_completion_tokens: count.nullish() });
const completionSchema = z.object({
  ...generation,
  // A batch of one is what clients make of a single prompt.
  prompt: z.union([z.string(), z.tuple([z.string()]), tokenIds.min(1), z.tuple([tokenIds.min(1)])], {
    error: "expected one text, or the token ids of one",
  }),
  add_special_tokens: z.boolean().optional(),
});
const tokenizeSchema = z.union([
  z.object({ model: z.string().optional(), prompt: z.string(), add_special_tokens: z.boolean().optional() }),
  z.object({ model: z.string().optional(), ...chat }),
]);
const detokenizeSchema = z.object({ model: z.string().optional(), tokens: tokenIds });

/** Body of `/v1/chat/completions`. Throws EngineHttpError 400. */
export function readChat(body: unknown): CompletionRequest {
  const values = read(chatSchema, body);
  const maxTokens = values.max_completion_tokens ?? values.max_tokens ?? null;
  return { ...commonOf(values), prompt: chatOf(values), maxTokens };
}

/** Body of `/v1/completions`. Throws EngineHttpError 400. */
export function readCompletion(body: unknown): CompletionRequest {
  const values = read(completionSchema, body);
  const { prompt: given, add_special_tokens: addSpecialTokens } = values;
  const first = Array.isArray(given) && typeof given[0] !== "number" ? given[0]! : given;
  const prompt =
    typeof first === "string"
      ? { prompt: first, ...(addSpecialTokens !== undefined && { addSpecialTokens }) }
      : { tokens: Uint32Array.from(first as readonly number[]) };
  // OpenAI's default, which vLLM keeps.
  return { ...commonOf(values), prompt, maxTokens: values.max_tokens ?? 16 };
}

/** Body of `/tokenize`. Throws EngineHttpError 400. */
export function readTokenize(body: unknown): { readonly prompt: Prompt; readonly model: string | undefined } {
  const values = read(tokenizeSchema, body);
  if ("messages" in values) return { prompt: chatOf(values), model: values.model };
  const { prompt, add_special_tokens: addSpecialTokens } = values;
  return { prompt: { prompt, ...(addSpecialTokens !== undefined && { addSpecialTokens }) }, model: values.model };
}

/** Body of `/detokenize`. Throws EngineHttpError 400. */
export function readDetokenize(body: unknown): {
  readonly tokens: readonly number[];
  readonly model: string | undefined;
} {
  const { tokens, model } = read(detokenizeSchema, body);
  return { tokens, model };
}

function commonOf(values: z.output<z.ZodObject<typeof generation>>): Omit<CompletionRequest, "prompt" | "maxTokens"> {
  return {
    model: values.model,
    isStream: values.stream ?? false,
    includeUsage: values.stream_options?.include_usage ?? false,
    cacheSalt: values.cache_salt ?? undefined,
  };
}

function chatOf(values: z.output<z.ZodObject<typeof chat>>): Prompt {
  const optional = {
    addGenerationPrompt: values.add_generation_prompt,
    continueFinalMessage: values.continue_final_message,
    addSpecialTokens: values.add_special_tokens,
    chatTemplate: values.chat_template ?? undefined,
    chatTemplateKwargs: values.chat_template_kwargs ?? undefined,
    tools: values.tools ?? undefined,
  };
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { messages: values.messages, ...given };
}

function read<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const { path, value, problem } = firstIssue(parsed.error, body, []);
  throw new EngineHttpError(400, `${path === "" ? "body" : path} is ${value}: ${problem}`);
}
