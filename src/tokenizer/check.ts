import type { Clock } from "../clock.ts";
import { TokenizerError } from "../errors.ts";
import type { SyncObserver } from "../sync/status.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What was found about a model's tokenizer. */
export interface TokenizerDisagreement {
  readonly model: string;
  /** Beginnings of prompts that were compared, and those of them that came out otherwise. */
  readonly compared: number;
  readonly differing: number;
  /** The last one that did. */
  readonly example: string;
}

/** Hears what the check finds. */
export interface TokenizerCheckObserver {
  compared(model: string, agrees: boolean): void;
  /** Most beginnings of a round came out otherwise: queries with prompts will miss what the engines hold. */
  disagrees(disagreement: TokenizerDisagreement): void;
}

export interface TokenizerCheckParts {
  readonly tokenizer: Pick<Tokenizer, "tokenize" | "detokenize">;
  readonly observer: TokenizerCheckObserver;
  readonly clock: Clock;
}

interface Round {
  /** Beginnings taken in this round; those that could not be compared count, too. */
  taken: number;
  compared: number;
  differing: number;
  example: string;
  readonly begunMs: number;
}

/** Compared in one round of a model, and from one round to the next: enough to tell, and little to ask. */
const SAMPLES = 8;
const ROUND_MS = 600_000;
/** Of a beginning: the template and the system prompt, which no model has written. */
const MAX_TOKENS = 256;
/** A text that ends within a word may end in other tokens than the word. */
const OPEN_END_TOKENS = 8;
const MIN_TOKENS = 2 * OPEN_END_TOKENS;
const MAX_MODELS = 1_000;

/**
 * Where tokens that were made again from a text differ from those that an engine reported; `null` where they do not. The
 * last few do not count: the reported ones end with a block, the text perhaps within a word.
 */
export function firstDifference(reported: ArrayLike<number>, again: ArrayLike<number>): number | null {
  const end = reported.length - OPEN_END_TOKENS;
  for (let at = 0; at < end; at++) if (reported[at] !== again[at]) return at;
  return null;
}

/**
 * Compares a tokenizer with what engines say: the tokens of the first blocks of prompts, to text and back, have to come
 * out as they were. A few prompts of each model in ten minutes; it waits for nothing and keeps no timer.
 *
 * Beginnings alone are compared: a prompt's later blocks may hold what the model wrote, whose tokens need not be those
 * that a tokenizer gives to the same text.
 */
export class TokenizerCheck implements SyncObserver {
  readonly #parts: TokenizerCheckParts;
  /** By model. */
  readonly #rounds = new Map<string, Round>();

  constructor(parts: TokenizerCheckParts) {
    this.#parts = parts;
  }

  onPromptStart({ model }: { readonly model: string }, tokens: Uint32Array): void {
    const round = this.#roundOf(model);
    if (round === null || round.taken >= SAMPLES || tokens.length < MIN_TOKENS) return;
    round.taken += 1;
    // A copy: the event's own array holds the whole batch.
    this.#compare(model, round, tokens.slice(0, MAX_TOKENS)).catch(() => {
      // No engine can be asked now: nothing is known about its tokenizer.
    });
  }

  #roundOf(model: string): Round | null {
    const now = this.#parts.clock.now();
    const known = this.#rounds.get(model);
    if (known !== undefined && now - known.begunMs < ROUND_MS) return known;
    if (known === undefined && this.#rounds.size >= MAX_MODELS) return null;
    const round = { taken: 0, compared: 0, differing: 0, example: "", begunMs: now };
    this.#rounds.set(model, round);
    return round;
  }

  async #compare(model: string, round: Round, tokens: Uint32Array): Promise<void> {
    const problem = await this.#problemWith(model, tokens);
    round.compared += 1;
    if (problem !== null) {
      round.differing += 1;
      round.example = problem;
    }
    const { observer } = this.#parts;
    observer.compared(model, problem === null);
    const { compared, differing, example } = round;
    if (compared === SAMPLES && differing > SAMPLES / 2) observer.disagrees({ model, compared, differing, example });
  }

  async #problemWith(model: string, tokens: Uint32Array): Promise<string | null> {
    const { tokenizer } = this.#parts;
    try {
      const prompt = await tokenizer.detokenize(tokens, { model });
      const again = await tokenizer.tokenize({ prompt, addSpecialTokens: false }, { model });
      const at = firstDifference(tokens, again.tokens);
      if (at === null) return null;
      return `${again.servedBy} makes token ${at} ${again.tokens[at] ?? "missing"}, the engine ${tokens[at]}`;
    } catch (error) {
      // Tokens that the tokenizer does not even know.
      if (error instanceof TokenizerError && error.code === "invalid-prompt") return error.message;
      throw error;
    }
  }
}
