import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createStore } from "../../src/container.ts";
import { TokenizerError } from "../../src/errors.ts";
import { SimulatedPod } from "../../src/simulator/simulated-pod.ts";
import { characterTokenizer } from "../../src/tokenizer/character.ts";
import { firstDifference, TokenizerCheck, type TokenizerDisagreement } from "../../src/tokenizer/check.ts";
import { memory } from "../../transports/memory/index.ts";
import { settled, virtualClock } from "../support/virtual-clock.ts";

const text = (content: string) => Uint32Array.from(Buffer.from(content));
const PROMPT = "You are a helpful assistant.";

function bench(tokenizer: ConstructorParameters<typeof TokenizerCheck>[0]["tokenizer"]) {
  const clock = virtualClock();
  const outcomes: boolean[] = [];
  const disagreements: TokenizerDisagreement[] = [];
  const observer = {
    compared: (_model: string, agrees: boolean) => outcomes.push(agrees),
    disagrees: (disagreement: TokenizerDisagreement) => disagreements.push(disagreement),
  };
  const check = new TokenizerCheck({ tokenizer, observer, clock });
  return {
    clock,
    outcomes,
    disagreements,
    async tell(count: number, tokens = text(PROMPT), model = "m") {
      for (let at = 0; at < count; at++) check.onPromptStart({ model }, tokens);
      await settled();
    },
  };
}

/** Bytes that are counted from 1. */
const shifted = {
  tokenize: async (...given: Parameters<ReturnType<typeof characterTokenizer>["tokenize"]>) => {
    const { tokens } = await characterTokenizer().tokenize(...given);
    return { tokens: tokens.map((token) => token + 1), servedBy: "shifted", maxModelTokens: null };
  },
  detokenize: characterTokenizer().detokenize.bind(characterTokenizer()),
};

test("tokens that are the same up to an open end agree", () => {
  const tokens = fc.array(fc.nat(1_000), { minLength: 9 });
  fc.assert(
    fc.property(tokens, fc.array(fc.nat(1_000), { maxLength: 20 }), (reported, end) => {
      assert.equal(firstDifference(reported, [...reported.slice(0, -8), ...end]), null);
    }),
  );
});

test("the first token that is another one, or missing, is told", () => {
  const tokens = fc.array(fc.nat(1_000), { minLength: 9 });
  fc.assert(
    fc.property(tokens, fc.nat(), fc.boolean(), (reported, seed, isCut) => {
      const at = seed % (reported.length - 8);
      const again = isCut ? reported.slice(0, at) : reported.with(at, reported[at]! + 1);
      assert.equal(firstDifference(reported, again), at);
    }),
  );
});

test("a tokenizer that is the engine's says nothing", async () => {
  const parts = bench(characterTokenizer());
  await parts.tell(8);
  assert.deepEqual([parts.outcomes, parts.disagreements], [new Array(8).fill(true), []]);
});

test("a tokenizer that is not the engine's is told once a round, with an example", async () => {
  const parts = bench(shifted);
  await parts.tell(20);
  const example = "shifted makes token 0 90, the engine 89";
  assert.deepEqual(parts.disagreements, [{ model: "m", compared: 8, differing: 8, example }]);
  await parts.clock.advance(599_999);
  await parts.tell(20);
  assert.equal(parts.disagreements.length, 1);
  await parts.clock.advance(1);
  await parts.tell(20);
  assert.equal(parts.disagreements.length, 2);
});

test("tokens that the tokenizer does not know are a disagreement", async () => {
  const parts = bench(characterTokenizer());
  await parts.tell(8, new Uint32Array(16).fill(1_000));
  assert.match(parts.disagreements[0]!.example, /token 1000 is no byte/);
});

test("a tokenizer out of reach proves nothing", async () => {
  const unreachable = async () => {
    throw new TokenizerError("unreachable", "nobody there");
  };
  const parts = bench({ tokenize: unreachable, detokenize: unreachable });
  await parts.tell(8);
  assert.deepEqual([parts.outcomes, parts.disagreements], [[], []]);
});

test("a prompt that is too short to tell, and a single odd one, are none", async () => {
  const parts = bench(characterTokenizer());
  await parts.tell(
    8,
    text("short").map((token) => token + 1_000),
  );
  await parts.tell(1, new Uint32Array(16).fill(1_000));
  await parts.tell(7);
  assert.deepEqual([parts.outcomes.length, parts.disagreements], [8, []]);
});

test("a store compares what its engines report with its tokenizer", { timeout: 20_000 }, async () => {
  const transport = memory();
  const endpoints = [{ endpoint: "inproc://engine", replayEndpoint: "inproc://replay" }];
  await using pod = new SimulatedPod({ key: "a", modelName: "m", transport, endpoints });
  await pod.start();
  const told: TokenizerDisagreement[] = [];
  await using store = await createStore({
    transport,
    endpoints: [{ ...endpoints[0]!, model: "m" }],
    tokenizer: { type: "character" },
    onTokenizerDisagrees: (disagreement) => told.push(disagreement),
  });
  await store.initKVEventSync();
  await store.whenReady();
  for (let at = 0; at < 8; at++) pod.request({ tokens: new Uint32Array(32).fill(300 + at) });
  while (told.length === 0) await settled();
  assert.deepEqual([told[0]?.model, told[0]?.differing], ["m", 8]);
  assert.match(await store.registry.metrics(), /aibrix_tokenizer_pool_comparisons_total\{outcome="other"\} 8/);
});
