import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, type Query, type Scores } from "./support/divergence.ts";
import type { ServedPrompt, Truth } from "./support/engine.ts";

const BLOCK = 2;
const prompt = (tokens: readonly number[], held: readonly boolean[], adapter: string | null = null): ServedPrompt => ({
  tokens,
  held,
  adapter,
  salt: null,
});
const truth = (...ranks: readonly (readonly ServedPrompt[])[]): Truth => ({
  blockSize: BLOCK,
  ranks: ranks.map((prompts) => ({ nextSequence: 0, prompts })),
});
const LONG = prompt([1, 2, 3, 4, 5, 6], [true, true, false]);
const BRANCH = prompt([1, 2, 9, 9], [true, true]);
const POD: Truth = truth([LONG, BRANCH]);

/** Answers by the prompt's tokens; every prompt of which nothing is said is unknown. */
function answers(byTokens: Readonly<Record<string, Record<string, Record<number, number>>>>): Query {
  return async ({ tokens }): Promise<Scores> =>
    new Map(
      Object.entries(byTokens[`${tokens}`] ?? {}).map(([pod, ranks]) => [
        pod,
        new Map(Object.entries(ranks).map(([rank, found]) => [Number(rank), found])),
      ]),
    );
}

test("answers that are the truth do not diverge, and what is not held is counted", async () => {
  const query = answers({ "1,2,3,4,5,6": { pod: { 0: 4 } }, "1,2,9,9": { pod: { 0: 4 } } });
  const compared = await compare(query, new Map([["pod", POD]]));
  assert.deepEqual(compared, {
    prompts: 2,
    blocks: 3,
    incomplete: 1,
    divergence: [],
    excess: [],
    differing: new Set(),
  });
});

test("an answer that is short diverges, one that claims too much is excess as well", async () => {
  const query = answers({ "1,2,3,4,5,6": { pod: { 0: 6 } }, "1,2,9,9": { pod: { 0: 2 } } });
  const { divergence, excess, differing } = await compare(query, new Map([["pod", POD]]));
  assert.deepEqual(differing, new Set(["pod 0"]));
  assert.deepEqual(divergence, [
    "pod rank 0 holds 4 of 4 tokens, found are 2 (adapter null, salt null)",
    "pod rank 0 holds 4 of 6 tokens, found are 6 (adapter null, salt null)",
  ]);
  assert.deepEqual(excess, divergence.slice(1));
});

test("every rank is asked for the prompts of all, and knows only its own", async () => {
  const query = answers({ "1,2,9,9": { pod: { 0: 2, 1: 4 } }, "1,2,3,4,5,6": { pod: { 1: 2 } } });
  const pods = new Map([["pod", truth([LONG], [BRANCH])]]);
  assert.deepEqual((await compare(query, pods)).divergence, [
    "pod rank 0 holds 4 of 6 tokens, found are 0 (adapter null, salt null)",
  ]);
});

test("a prompt of an engine that is gone must not be found, nor a pod that does not exist", async () => {
  const query = answers({ "7,7": { pod: { 0: 2 }, ghost: { 0: 2 } } });
  const past = truth([prompt([7, 7], [true])]);
  const { excess, differing } = await compare(query, new Map([["pod", truth([])]]), [past]);
  assert.deepEqual(differing, new Set(["ghost", "pod 0"]));
  assert.deepEqual(excess, [
    "ghost is named and does not exist",
    "pod rank 0 holds 0 of 2 tokens, found are 2 (adapter null, salt null)",
  ]);
});

test("the same tokens under another adapter are another prompt", async () => {
  const adapted = prompt(BRANCH.tokens, [true, true], "adapter");
  const query: Query = async ({ adapter }) => new Map([["pod", new Map([[0, adapter === null ? 0 : 4]])]]);
  const { prompts, divergence } = await compare(query, new Map([["pod", truth([adapted, { ...BRANCH, held: [] }])]]));
  assert.deepEqual({ prompts, divergence }, { prompts: 2, divergence: [] });
});
