import type { TokenizerErrorCode } from "../errors.ts";
import type { Prompt } from "./tokenizer.ts";

/** What the thread of a local tokenizer is asked, one at a time. */
export type LocalTask =
  | { readonly kind: "tokenize"; readonly prompt: Prompt }
  | { readonly kind: "detokenize"; readonly tokens: readonly number[] }
  /** Whether it loads. */
  | { readonly kind: "check" };

/** What the thread answers. */
export type LocalAnswer =
  | { readonly kind: "tokens"; readonly tokens: Uint32Array }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "error"; readonly code: TokenizerErrorCode; readonly message: string };
