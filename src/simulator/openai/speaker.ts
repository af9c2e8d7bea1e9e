import type { Tokenizer } from "../../tokenizer/tokenizer.ts";

/** What an engine says. */
export interface Answer {
  readonly tokens: Uint32Array;
  readonly text: string;
  /** Its text from one token to another, about: a token's end is not known within a text. */
  piece(fromToken: number, toToken: number): string;
}

// Plain letters: each is one byte and one code unit, so that a cut breaks none.
const WORDS = "the engine has no model and says what it always says while a gateway finds the way to its cache".split(
  " ",
);
/** More than a token has, so that one attempt is enough. */
const CHARACTERS_PER_TOKEN = 8;

/** Says words in order, each answer from another one on, so that answers differ. */
export class Speaker {
  readonly #tokenizer: Tokenizer;
  #answers = 0;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** An answer of so many tokens. Rejects as the tokenizer. */
  async answer(tokens: number): Promise<Answer> {
    const first = this.#answers++;
    for (let characters = tokens * CHARACTERS_PER_TOKEN; ; characters *= 2) {
      const prompt = { prompt: textOf(first, characters), addSpecialTokens: false };
      const { tokens: said } = await this.#tokenizer.tokenize(prompt);
      if (said.length < tokens) continue;
      const kept = said.slice(0, tokens);
      return answerOf(kept, await this.#tokenizer.detokenize(kept));
    }
  }
}

function textOf(firstWord: number, characters: number): string {
  const words: string[] = [];
  for (let length = 0, at = firstWord; length < characters; at++) {
    const word = WORDS[at % WORDS.length]!;
    words.push(word);
    length += word.length + 1;
  }
  return words.join(" ");
}

function answerOf(tokens: Uint32Array, text: string): Answer {
  const at = (token: number): number => Math.round((text.length * token) / tokens.length);
  return { tokens, text, piece: (from, to) => text.slice(at(from), at(to)) };
}
