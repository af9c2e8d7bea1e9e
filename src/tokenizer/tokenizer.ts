/** A message of a chat, as OpenAI's API has it; fields that are not named here go to the chat template as they are. */
export interface ChatMessage {
  readonly role: string;
  readonly [field: string]: unknown;
}

/** A text that is tokenized as it is. */
export interface TextPrompt {
  readonly prompt: string;
  /** Such as a token that begins every text. Default true, as vLLM for completions. */
  readonly addSpecialTokens?: boolean;
}

/** A chat that becomes a text by the model's chat template. */
export interface ChatPrompt {
  readonly messages: readonly ChatMessage[];
  /** Default false: templates write them. */
  readonly addSpecialTokens?: boolean;
  /** Ends the text where the model is to answer. Default true, unless `continueFinalMessage`. */
  readonly addGenerationPrompt?: boolean;
  /** Leaves the last message open, for the model to go on with it. Default false. */
  readonly continueFinalMessage?: boolean;
  /** Default the model's own. */
  readonly chatTemplate?: string;
  /** Further variables of the template, such as `enable_thinking`. */
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>>;
  /** As OpenAI's API has them. */
  readonly tools?: readonly unknown[];
  /** Of the engine's multi-modal processor. */
  readonly mmProcessorKwargs?: Readonly<Record<string, unknown>>;
}

export type Prompt = TextPrompt | ChatPrompt;

/** What a prompt is to an engine. */
export interface Tokenization {
  readonly tokens: Uint32Array;
  /** Name of the tokenizer that served, such as `remote http://10.0.0.1:8000`. */
  readonly servedBy: string;
  /** Most tokens that the engine takes; `null` where it does not say. */
  readonly maxModelTokens: number | null;
}

export interface TokenizeOptions {
  /** For an engine that serves several. Default none: the engine's own. */
  readonly model?: string;
  /** Ends the waiting; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The engine itself, files on disk, or each byte. */
export type TokenizerKind = "remote" | "local" | "character";

/** Turns prompts into tokens as an engine does. Disposing is idempotent and ends what is under way. */
export interface Tokenizer extends AsyncDisposable {
  readonly kind: TokenizerKind;
  /** Kind and place. */
  readonly name: string;
  /** Rejects with TokenizerError, and with the signal's reason. */
  tokenize(prompt: Prompt, options?: TokenizeOptions): Promise<Tokenization>;
  /** The text of tokens, special ones included. Rejects as `tokenize`. */
  detokenize(tokens: ArrayLike<number>, options?: TokenizeOptions): Promise<string>;
  /** Resolves where it can serve now, and rejects as `tokenize` where it cannot. */
  check(options?: Pick<TokenizeOptions, "signal">): Promise<void>;
}
