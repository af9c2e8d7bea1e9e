import { createHash } from "node:crypto";
import type { Prompt, Tokenization } from "./tokenizer.ts";

interface Cached {
  readonly tokenization: Tokenization;
  readonly storedMs: number;
}

/** Of a map's entry, its key and the objects around the tokens. */
const ENTRY_BYTES = 512;

/** What a prompt is known by: its model and all that decides about its tokens. */
export function promptKey(model: string, prompt: Prompt): string {
  return createHash("sha256")
    .update(JSON.stringify([model, prompt]))
    .digest("base64");
}

/**
 * Tokens of whole prompts by a hash of them, in bounded memory: the least recently used go first, and what is older than
 * `ttlMs` is asked for again.
 *
 * Prompts that begin alike do not share: tokens of a text are not those of its beginning and those of its rest (a merge
 * may reach over the border, `"Hello" + " world"` is not `"Hello wor" + "ld"`), and where a border is safe only the
 * model's own pre-tokenizer and template know.
 */
export class TokenCache {
  readonly #maxBytes: number;
  readonly #ttlMs: number;
  /** The least recently used first. */
  readonly #entries = new Map<string, Cached>();
  #bytes = 0;

  constructor(options: { readonly maxBytes: number; readonly ttlMs: number }) {
    this.#maxBytes = options.maxBytes;
    this.#ttlMs = options.ttlMs;
  }

  /** An estimate of what it takes. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, nowMs: number): Tokenization | undefined {
    const found = this.#entries.get(key);
    if (found === undefined) return undefined;
    this.#entries.delete(key);
    if (nowMs - found.storedMs >= this.#ttlMs) {
      this.#bytes -= bytesOf(found.tokenization);
      return undefined;
    }
    this.#entries.set(key, found);
    return found.tokenization;
  }

  set(key: string, tokenization: Tokenization, nowMs: number): void {
    this.#delete(key);
    if (bytesOf(tokenization) > this.#maxBytes) return;
    this.#entries.set(key, { tokenization, storedMs: nowMs });
    this.#bytes += bytesOf(tokenization);
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#delete(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #delete(key: string): void {
    const found = this.#entries.get(key);
    if (found === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= bytesOf(found.tokenization);
  }
}

function bytesOf({ tokens }: Tokenization): number {
  return ENTRY_BYTES + tokens.byteLength;
}
