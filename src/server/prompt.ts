import { z } from "zod";
import { TokenizerError } from "../errors.ts";
import type { ChatPrompt, Prompt, Tokenizer } from "../tokenizer/tokenizer.ts";
import { checked, type QueryRequest, readQuery } from "./bodies.ts";
import { HttpError } from "./http-error.ts";

/** Who made tokens of a prompt, and how many. */
export interface Tokenized {
  readonly by: string;
  readonly tokens: number;
}

const flag = z.boolean().nullish();

/** As vLLM's `/tokenize` takes it. */
const promptSchema = z.object({
  model_name: z.string(),
  prompt: z.string().nullish(),
  messages: z.array(z.looseObject({ role: z.string() })).nullish(),
  add_special_tokens: flag,
  add_generation_prompt: flag,
  continue_final_message: flag,
  chat_template: z.string().nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  tools: z.array(z.unknown()).nullish(),
});

/**
 * A question about tokens, or about a `prompt` or `messages`, which the tokenizer makes tokens of. Rejects with HttpError
 * 400, and with 503 where there is no tokenizer or it cannot serve, and with the signal's reason.
 */
export async function readAnyQuery(
  body: unknown,
  tokenizer: Tokenizer | null,
  signal: AbortSignal,
): Promise<{ readonly query: QueryRequest; readonly tokenized: Tokenized | null }> {
  if (!hasPrompt(body)) return { query: readQuery(body), tokenized: null };
  // What else is wrong is told before anybody is asked.
  const query = readQuery({ ...body, token_ids: [] });
  const prompt = readPrompt(body);
  if (tokenizer === null) {
    throw new HttpError(503, "there is no tokenizer here: send token_ids, or start the daemon with --tokenizer-type");
  }
  try {
    const { tokens, servedBy } = await tokenizer.tokenize(prompt, { model: query.model, signal });
    return { query: { ...query, tokens }, tokenized: { by: servedBy, tokens: tokens.length } };
  } catch (error) {
    // Nobody reads this, and it is no fault of ours.
    if (signal.aborted) throw new HttpError(400, "the client hung up");
    if (error instanceof TokenizerError)
      throw new HttpError(error.code === "invalid-prompt" ? 400 : 503, error.message);
    throw error;
  }
}

function hasPrompt(body: unknown): body is object {
  return typeof body === "object" && body !== null && ("prompt" in body || "messages" in body);
}

function readPrompt(body: object): Prompt {
  const { prompt, messages, ...rest } = checked(promptSchema, body);
  const given = "token_ids" in body ? ["token_ids"] : [];
  if (prompt != null) given.push("prompt");
  if (messages != null) given.push("messages");
  if (given.length !== 1) {
    throw new HttpError(400, `body has ${given.join(" and ") || "no prompt"}: send one of token_ids, prompt, messages`);
  }
  if (prompt != null) {
    return { prompt, ...(rest.add_special_tokens != null && { addSpecialTokens: rest.add_special_tokens }) };
  }
  const options: Readonly<Partial<Record<keyof ChatPrompt, unknown>>> = {
    addSpecialTokens: rest.add_special_tokens,
    addGenerationPrompt: rest.add_generation_prompt,
    continueFinalMessage: rest.continue_final_message,
    chatTemplate: rest.chat_template,
    chatTemplateKwargs: rest.chat_template_kwargs,
    tools: rest.tools,
  };
  const chosen = Object.fromEntries(Object.entries(options).filter(([, value]) => value != null));
  return { messages: messages ?? [], ...chosen };
}
