import { TokenizerError } from "../errors.ts";
import type { BlockStored } from "../events/event.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Check } from "./check.ts";

/**
 * Whether the tokenizer gives the tokens that an engine gave: the text of a block that an engine stored is made into
 * tokens again. A block that begins in the middle of a character or a word can differ without a fault: it is a warning.
 */
export async function checkTokenizer(
  tokenizer: Tokenizer,
  model: string,
  stored: BlockStored | null,
  signal: AbortSignal,
): Promise<Check> {
  const at = (status: Check["status"], message: string): Check => ({
    check: "tokenizer",
    subject: tokenizer.name,
    status,
    message,
  });
  try {
    if (stored === null) {
      const { tokens, servedBy } = await tokenizer.tokenize({ prompt: "kv-event-sync" }, { model, signal });
      return at(
        "warn",
        `${servedBy} answers (${tokens.length} tokens), and no stored block was seen to compare with: wait longer with --wait`,
      );
    }
    const given = stored.tokenIds;
    const text = await tokenizer.detokenize(given, { model, signal });
    const { tokens, servedBy } = await tokenizer.tokenize({ prompt: text, addSpecialTokens: false }, { model, signal });
    const same = given.findIndex((token, i) => token !== tokens[i]);
    if (same < 0 && tokens.length === given.length)
      return at("ok", `${servedBy} gives the ${given.length} tokens of a stored block again`);
    const where = same < 0 ? Math.min(tokens.length, given.length) : same;
    return at(
      where < given.length / 2 ? "fail" : "warn",
      `${servedBy} gives other tokens than the engine from the ${where + 1}th of ${given.length} on (${tokens[where]} for ${given[where]}): is it the same model, of the same revision?`,
    );
  } catch (error) {
    if (error instanceof TokenizerError) return at("fail", error.message);
    if (signal.aborted) return at("fail", "no answer in time: check the endpoint");
    throw error;
  }
}
