import assert from "node:assert/strict";
import { test } from "node:test";
import { characterTokenizer } from "../../src/tokenizer/character.ts";
import { TokenizerPool } from "../../src/tokenizer/pool.ts";
import { podInfo, serverBench, stored } from "./support.ts";

const source = { pod: "a", rank: 0, model: "m", loraId: -1 };

async function bench() {
  const parts = await serverBench({ tokenizer: characterTokenizer() });
  parts.pods.push(podInfo("a"));
  return parts;
}

test("a text is asked about by its tokens, and the answer says who made them", async () => {
  await using parts = await bench();
  parts.indexer.processBlockStored(source, stored([1n, 2n], [...Buffer.from("abcd")]));
  const { status, body } = await parts.post("/query", { model_name: "m", prompt: "abcdef" });
  assert.equal(status, 200);
  assert.deepEqual([body.instances.a.longest_matched, body.tokenized], [4, { by: "character", tokens: 6 }]);
});

test("a chat is asked about with all its options", async () => {
  await using parts = await bench();
  const chat = { messages: [{ role: "user", content: "Hi" }], continue_final_message: true, tools: [1] };
  const text = "[1]\n<|im_start|>user\nHi";
  parts.indexer.processBlockStored(source, stored([1n], [...Buffer.from(text.slice(0, 2))]));
  const { body } = await parts.post("/query", { model_name: "m", ...chat });
  assert.deepEqual([body.instances.a.longest_matched, body.tokenized.tokens], [2, text.length]);
});

test("tokens are asked about as before", async () => {
  await using parts = await bench();
  const { status, body } = await parts.post("/query", { model_name: "m", token_ids: [1] });
  assert.deepEqual([status, body.tokenized], [200, undefined]);
});

for (const [name, more, problem] of [
  ["a prompt and messages", { prompt: "a", messages: [] }, /^body has prompt and messages: send one of/],
  ["tokens and a prompt", { prompt: "a", token_ids: [1] }, /^body has token_ids and prompt/],
  ["a prompt of nothing", { prompt: null }, /^body has no prompt/],
  ["messages that are none", { messages: ["a"] }, /^messages\[0\] is "a": expected object/],
] as const) {
  test(`${name} is refused`, async () => {
    await using parts = await bench();
    const { status, body } = await parts.post("/query", { model_name: "m", ...more });
    assert.equal(status, 400);
    assert.match(body.error, problem);
  });
}

test("a prompt where there is no tokenizer, and where it cannot serve, is 503", async () => {
  await using none = await serverBench();
  const first = await none.post("/query", { model_name: "m", prompt: "a" });
  assert.deepEqual([first.status, /there is no tokenizer here: send token_ids/.test(first.body.error)], [503, true]);
  await using empty = await serverBench({ tokenizer: new TokenizerPool({}) });
  const second = await empty.post("/query", { model_name: "m", prompt: "a" });
  assert.deepEqual([second.status, /no engine is known for model "m"/.test(second.body.error)], [503, true]);
});
