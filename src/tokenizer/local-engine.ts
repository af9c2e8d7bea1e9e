import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TokenizerError } from "../errors.ts";
import { chatTemplateOf, renderChat, type Template } from "./chat-template.ts";
import type { Prompt } from "./tokenizer.ts";

const AS_IT_IS = { skip_special_tokens: false, clean_up_tokenization_spaces: false };

/** The part of `@huggingface/tokenizers` that is used. */
interface HuggingFaceTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: readonly number[] };
  decode(tokens: number[], options: typeof AS_IT_IS): string;
}

/** The optional packages, as they are imported. */
export interface LocalPackages {
  readonly tokenizers: () => Promise<{
    readonly Tokenizer: new (tokenizer: object, config: object) => HuggingFaceTokenizer;
  }>;
  readonly jinja: () => Promise<{ readonly Template: new (template: string) => Template }>;
}

/** A tokenizer in this thread. */
export interface LocalEngine {
  /** Rejects with TokenizerError `invalid-prompt` and `missing-package`. */
  tokenize(prompt: Prompt): Promise<Uint32Array>;
  detokenize(tokens: readonly number[]): string;
}

const PACKAGES: LocalPackages = {
  tokenizers: () => import("@huggingface/tokenizers"),
  jinja: () => import("@huggingface/jinja"),
};

/**
 * Reads a model's folder: `tokenizer.json`, and `tokenizer_config.json` and `chat_template.jinja` where they are there.
 * Rejects with TokenizerError `missing-package`, which names what to install, and `invalid-file`.
 */
export async function loadLocalEngine(folder: string, packages: LocalPackages = PACKAGES): Promise<LocalEngine> {
  const { Tokenizer } = await loaded("@huggingface/tokenizers", packages.tokenizers);
  const config = readJson(join(folder, "tokenizer_config.json"), true);
  const tokenizer = made(folder, () => new Tokenizer(readJson(join(folder, "tokenizer.json"), false), config));
  const templateFile = readText(join(folder, "chat_template.jinja"), true);
  let last: { readonly source: string; readonly template: Template } | null = null;
  const templateFor = async (source: string): Promise<Template> => {
    if (last?.source === source) return last.template;
    const { Template } = await loaded("@huggingface/jinja", packages.jinja);
    const template = ofPrompt("the chat template", () => new Template(source));
    last = { source, template };
    return template;
  };
  return {
    tokenize: async (prompt) => {
      if (!("messages" in prompt)) return encode(tokenizer, prompt.prompt, prompt.addSpecialTokens ?? true);
      const source = prompt.chatTemplate ?? templateFile ?? chatTemplateOf(config, prompt.tools !== undefined);
      if (source === null) {
        throw new TokenizerError("invalid-prompt", `${folder}: has no chat template; give one, or send text`);
      }
      const template = await templateFor(source);
      const text = ofPrompt("the chat", () => renderChat(template, source, prompt, config));
      return encode(tokenizer, text, prompt.addSpecialTokens ?? false);
    },
    // The library decodes no empty array, and would tidy up spaces.
    detokenize: (tokens) => (tokens.length === 0 ? "" : tokenizer.decode([...tokens], AS_IT_IS)),
  };
}

function encode(tokenizer: HuggingFaceTokenizer, text: string, addSpecialTokens: boolean): Uint32Array {
  return Uint32Array.from(tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids);
}

async function loaded<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new TokenizerError("missing-package", `local tokenizer: ${name} is not installed; npm install ${name}`, {
      cause,
    });
  }
}

function readText(path: string, isOptional: boolean): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (isOptional && (cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw invalidFile(path, cause, "give the folder of a model with its tokenizer.json");
  }
}

function readJson(path: string, isOptional: boolean): Record<string, unknown> {
  const text = readText(path, isOptional) ?? "{}";
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalidFile(path, cause, "give a JSON file");
  }
}

function made(folder: string, make: () => HuggingFaceTokenizer): HuggingFaceTokenizer {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof TokenizerError) throw cause;
    throw invalidFile(
      join(folder, "tokenizer.json"),
      cause,
      "give a tokenizer.json that @huggingface/tokenizers knows",
    );
  }
}

function invalidFile(path: string, cause: unknown, remedy: string): TokenizerError {
  return new TokenizerError("invalid-file", `${path}: ${(cause as Error).message}; ${remedy}`, { cause });
}

function ofPrompt<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof TokenizerError) throw cause;
    const reason = (cause as Error).message.slice(0, 300);
    throw new TokenizerError("invalid-prompt", `${what} cannot be used: ${reason}; correct it, or send text`, {
      cause,
    });
  }
}
