import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { characterTokenizer } from "../../src/tokenizer/character.ts";
import type { Prompt } from "../../src/tokenizer/tokenizer.ts";

const tokenizer = characterTokenizer();
const textOf = async (prompt: Prompt) => tokenizer.detokenize((await tokenizer.tokenize(prompt)).tokens);

test("each byte of the text is a token", async () => {
  const { tokens, servedBy } = await tokenizer.tokenize({ prompt: "aé" });
  assert.deepEqual([[...tokens], servedBy], [[97, 0xc3, 0xa9], "character"]);
});

test("tokens become the text that they came from", async () => {
  const text = fc.string({ unit: "grapheme" });
  await fc.assert(fc.asyncProperty(text, async (prompt) => assert.equal(await textOf({ prompt }), prompt)));
});

test("a chat is ChatML and ends where the model is to answer", async () => {
  const messages = [
    { role: "system", content: "S" },
    { role: "user", content: [{ type: "text", text: "U" }, { type: "image" }] },
  ];
  const said = '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU{"type":"image"}';
  assert.equal(await textOf({ messages }), `${said}<|im_end|>\n<|im_start|>assistant\n`);
  assert.equal(await textOf({ messages, addGenerationPrompt: false }), `${said}<|im_end|>\n`);
  assert.equal(await textOf({ messages, continueFinalMessage: true }), said);
});

test("a turn's chat goes on from the turn before it", async () => {
  const message = fc.record({ role: fc.constantFrom("user", "tool"), content: fc.string() });
  await fc.assert(
    fc.asyncProperty(fc.array(message), fc.string(), message, async (before, answer, next) => {
      const asked = await textOf({ messages: before });
      const later = await textOf({ messages: [...before, { role: "assistant", content: answer }, next] });
      assert.ok(later.startsWith(asked + answer));
    }),
  );
});

test("a token that is no byte is refused", async () => {
  await assert.rejects(tokenizer.detokenize([97, 256]), { code: "invalid-prompt", message: /token 256 is no byte/ });
});
