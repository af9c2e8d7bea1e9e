import { TokenizerError } from "../errors.ts";
import type { ChatMessage, ChatPrompt } from "./tokenizer.ts";

/** A compiled chat template, as `@huggingface/jinja` makes it. */
export interface Template {
  render(variables: Record<string, unknown>): string;
}

const SPECIAL_TOKENS = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/** A template that goes through the parts of a message's content itself. */
const TAKES_PARTS = /\bin\s+\w+(\.content|\[\s*['"]content['"]\s*\])/;

/** The chat template of a `tokenizer_config.json`: one text, or several by name, of which tools have their own. */
export function chatTemplateOf(config: Readonly<Record<string, unknown>>, hasTools: boolean): string | null {
  const template = config["chat_template"];
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return null;
  const named = new Map(template.map((each) => [each?.name as unknown, each?.template as unknown]));
  const chosen = (hasTools ? named.get("tool_use") : undefined) ?? named.get("default");
  return typeof chosen === "string" ? chosen : null;
}

/**
 * The text of a chat, as transformers' `apply_chat_template` and vLLM make it: messages, tools, the special tokens by
 * name and further variables go to the template; a last message that is to be continued ends the text.
 *
 * @throws TokenizerError `invalid-prompt`, and what the template throws.
 */
export function renderChat(
  template: Template,
  source: string,
  chat: ChatPrompt,
  config: Readonly<Record<string, unknown>>,
): string {
  const { tools = null, continueFinalMessage = false, chatTemplateKwargs = {} } = chat;
  const addGenerationPrompt = chat.addGenerationPrompt ?? !continueFinalMessage;
  if (continueFinalMessage && addGenerationPrompt) {
    throw new TokenizerError("invalid-prompt", "a chat continues its last message or begins a new one: choose one");
  }
  const messages = chat.messages.map((message) => prepared(message, TAKES_PARTS.test(source)));
  const text = template.render({
    ...specialTokensOf(config),
    messages,
    tools,
    documents: null,
    add_generation_prompt: addGenerationPrompt,
    ...chatTemplateKwargs,
  });
  return continueFinalMessage ? endingWith(text, messages.at(-1)) : text;
}

function specialTokensOf(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens = SPECIAL_TOKENS.flatMap((name): [string, string][] => {
    const given = config[name] as { readonly content?: unknown } | string | null | undefined;
    const token = typeof given === "object" ? given?.content : given;
    return typeof token === "string" ? [[name, token]] : [];
  });
  return Object.fromEntries(tokens);
}

/** As vLLM prepares it: parts of text become one text, arguments of tools are objects. */
function prepared(message: ChatMessage, takesParts: boolean): ChatMessage {
  const { content, tool_calls: calls } = message;
  return {
    ...message,
    ...(Array.isArray(content) && !takesParts && { content: joined(content) }),
    ...(Array.isArray(calls) && { tool_calls: calls.map(withArguments) }),
  };
}

function joined(parts: readonly unknown[]): string {
  const texts = parts.map((part) => (part as { readonly text?: unknown } | null)?.text);
  if (texts.every((text) => typeof text === "string")) return texts.join("\n");
  throw new TokenizerError("invalid-prompt", "a part of a message is no text; only its engine knows its tokens");
}

function withArguments(call: unknown): unknown {
  const { function: called } = (call ?? {}) as { readonly function?: { readonly arguments?: unknown } };
  if (typeof called?.arguments !== "string") return call;
  return { ...(call as object), function: { ...called, arguments: JSON.parse(called.arguments) } };
}

/** Cuts what the template puts after the last message, and leaves the white space that it keeps. */
function endingWith(text: string, last: ChatMessage | undefined): string {
  const content = last?.["content"];
  const said = Array.isArray(content) ? content.findLast((part) => typeof part?.text === "string")?.text : content;
  const start = typeof said === "string" ? text.lastIndexOf(said.trim()) : -1;
  if (typeof said !== "string" || start < 0) {
    throw new TokenizerError(
      "invalid-prompt",
      "the last message is not in the text of the chat; it cannot be continued",
    );
  }
  const begun = said.trimStart();
  return text.slice(0, start + (text.startsWith(begun, start) ? begun : said.trim()).length);
}
