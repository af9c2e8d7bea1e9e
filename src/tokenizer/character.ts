import { TokenizerError } from "../errors.ts";
import type { ChatMessage, ChatPrompt, Prompt, Tokenization, TokenizeOptions, Tokenizer } from "./tokenizer.ts";

const MAX_BYTE = 255;

/**
 * Each byte of the text, as UTF-8, is a token, as with AIBrix's `character`: for tests and simulated engines, as no real
 * engine has such tokens. Chats become text by ChatML, whatever template is asked for; tools come first, as JSON.
 */
export function characterTokenizer(): Tokenizer {
  return new CharacterTokenizer();
}

class CharacterTokenizer implements Tokenizer {
  readonly kind = "character";
  readonly name = "character";

  async tokenize(prompt: Prompt, { signal }: TokenizeOptions = {}): Promise<Tokenization> {
    signal?.throwIfAborted();
    const text = "messages" in prompt ? chatText(prompt) : prompt.prompt;
    return { tokens: Uint32Array.from(Buffer.from(text, "utf8")), servedBy: this.name, maxModelTokens: null };
  }

  async detokenize(tokens: ArrayLike<number>, { signal }: TokenizeOptions = {}): Promise<string> {
    signal?.throwIfAborted();
    const bytes = Array.from(tokens);
    const wrong = bytes.find((token) => !(token >= 0 && token <= MAX_BYTE));
    if (wrong === undefined) return Buffer.from(bytes).toString("utf8");
    throw new TokenizerError(
      "invalid-prompt",
      `character: token ${wrong} is no byte; give tokens from 0 to ${MAX_BYTE}`,
    );
  }

  async check(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

function chatText({ messages, tools, continueFinalMessage = false, addGenerationPrompt }: ChatPrompt): string {
  const texts = messages.map(({ role, content }) => `<|im_start|>${role}\n${contentText(content)}`);
  const chat = texts.join("<|im_end|>\n");
  const head = tools === undefined ? "" : `${JSON.stringify(tools)}\n`;
  if (continueFinalMessage) return head + chat;
  const end = texts.length === 0 ? "" : "<|im_end|>\n";
  return `${head}${chat}${end}${(addGenerationPrompt ?? true) ? "<|im_start|>assistant\n" : ""}`;
}

/** Texts of the parts in order; what is no text stands as JSON. */
function contentText(content: ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return "";
  if (!Array.isArray(content)) return JSON.stringify(content);
  return content.map((part) => (typeof part?.text === "string" ? part.text : JSON.stringify(part))).join("");
}
