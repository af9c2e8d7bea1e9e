import { createHash } from "node:crypto";
import type { ServedPrompt, Truth } from "./engine.ts";

/** Tokens that a rank holds from the start of a prompt, by pod and rank; what is missing is 0. */
export type Scores = ReadonlyMap<string, ReadonlyMap<number, number>>;

export type Query = (prompt: Pick<ServedPrompt, "tokens" | "adapter" | "salt">) => Promise<Scores>;

/** What came out of asking for every prompt. */
export interface Comparison {
  readonly prompts: number;
  /** Blocks that the engines hold and that can be found, over all ranks. */
  readonly blocks: number;
  /** Answers that rightly were less than the whole prompt. */
  readonly incomplete: number;
  /** One sentence for each wrong answer. */
  readonly divergence: readonly string[];
  /** Those of them that claim more than is held. */
  readonly excess: readonly string[];
  /** Ranks of which any answer is wrong, as `pod rank`, and pods that do not exist. */
  readonly differing: ReadonlySet<string>;
}

interface HeldByRank {
  readonly pod: string;
  readonly rank: number;
  readonly blockSize: number;
  readonly held: ReadonlySet<string>;
}

/**
 * Asks for every prompt that any of these engines, or one in `past`, ever served, and compares each rank's answer with
 * what the rank holds. Prompts of other ranks and of processes that are gone show what must not be found.
 */
export async function compare(
  query: Query,
  pods: ReadonlyMap<string, Truth>,
  past: readonly Truth[] = [],
): Promise<Comparison> {
  const ranks: readonly HeldByRank[] = [...pods].flatMap(([pod, { blockSize, ranks }]) =>
    ranks.map(({ prompts }, rank) => ({ pod, rank, blockSize, held: heldPrefixes(prompts, blockSize) })),
  );
  const prompts = distinct([...pods.values(), ...past].flatMap((truth) => truth.ranks.flatMap((each) => each.prompts)));
  const divergence: string[] = [];
  const excess: string[] = [];
  const differing = new Set<string>();
  const keysOf = new KeyCache();
  let incomplete = 0;
  for (const prompt of prompts) {
    const scores = await query(prompt);
    const strangers = [...scores.keys()].filter((pod) => !pods.has(pod));
    excess.push(...strangers.map((pod) => `${pod} is named and does not exist`));
    for (const pod of strangers) differing.add(pod);
    for (const each of ranks) {
      const expected = leadingTokens(keysOf.keys(prompt, each.blockSize), each);
      const found = scores.get(each.pod)?.get(each.rank) ?? 0;
      if (expected < prompt.tokens.length) incomplete += 1;
      if (found === expected) continue;
      differing.add(`${each.pod} ${each.rank}`);
      (found > expected ? excess : divergence).push(describe(prompt, each, expected, found));
    }
  }
  const blocks = ranks.reduce((sum, { held }) => sum + held.size, 0);
  return { prompts: prompts.length, blocks, incomplete, divergence: [...divergence, ...excess], excess, differing };
}

function describe(prompt: ServedPrompt, { pod, rank }: HeldByRank, expected: number, found: number): string {
  const { tokens, adapter, salt } = prompt;
  return `${pod} rank ${rank} holds ${expected} of ${tokens.length} tokens, found are ${found} (adapter ${adapter}, salt ${salt})`;
}

function heldPrefixes(prompts: readonly ServedPrompt[], blockSize: number): ReadonlySet<string> {
  const held = new Set<string>();
  for (const prompt of prompts) {
    for (const [i, key] of prefixKeys(prompt, blockSize).entries()) if (prompt.held[i]) held.add(key);
  }
  return held;
}

/** The keys of the prompt that is asked for: each rank compares the same ones. */
class KeyCache {
  #prompt: ServedPrompt | null = null;
  #keys = new Map<number, readonly string[]>();

  keys(prompt: ServedPrompt, blockSize: number): readonly string[] {
    if (this.#prompt !== prompt) this.#keys = new Map();
    this.#prompt = prompt;
    const keys = this.#keys.get(blockSize) ?? prefixKeys(prompt, blockSize);
    this.#keys.set(blockSize, keys);
    return keys;
  }
}

function leadingTokens(keys: readonly string[], { blockSize, held }: HeldByRank): number {
  const firstMissing = keys.findIndex((key) => !held.has(key));
  return (firstMissing < 0 ? keys.length : firstMissing) * blockSize;
}

/** A name for each prefix of full blocks. */
function prefixKeys({ tokens, adapter, salt }: ServedPrompt, blockSize: number): string[] {
  const keys: string[] = [];
  let key = JSON.stringify([adapter, salt]);
  for (let end = blockSize; end <= tokens.length; end += blockSize) {
    const block = Uint32Array.from(tokens.slice(end - blockSize, end));
    key = createHash("sha1").update(key).update(block).digest("base64");
    keys.push(key);
  }
  return keys;
}

function distinct(prompts: readonly ServedPrompt[]): ServedPrompt[] {
  return [...new Map(prompts.map((prompt) => [JSON.stringify({ ...prompt, held: null }), prompt])).values()];
}
