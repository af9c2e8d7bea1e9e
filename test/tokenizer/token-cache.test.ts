import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { promptKey, TokenCache } from "../../src/tokenizer/token-cache.ts";
import type { Tokenization } from "../../src/tokenizer/tokenizer.ts";

function tokensOf(count: number): Tokenization {
  return { tokens: new Uint32Array(count), servedBy: "test", maxModelTokens: null };
}

test("memory stays within its bound, and the least recently used prompts go first", () => {
  const step = fc.record({ key: fc.constantFrom("a", "b", "c", "d", "e"), count: fc.integer({ min: 0, max: 400 }) });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), step)), (steps) => {
      const maxBytes = 3_000;
      const cache = new TokenCache({ maxBytes, ttlMs: 1_000 });
      /** Most recently used last. */
      let model: { key: string; count: number }[] = [];
      const bytes = () => model.reduce((sum, { count }) => sum + 512 + 4 * count, 0);
      for (const [isRead, { key, count }] of steps) {
        const found = model.find((each) => each.key === key);
        if (isRead) {
          assert.equal(cache.get(key, 0)?.tokens.length, found?.count);
          if (found !== undefined) model = [...model.filter((each) => each !== found), found];
          continue;
        }
        cache.set(key, tokensOf(count), 0);
        model = [...model.filter((each) => each.key !== key), { key, count }];
        while (bytes() > maxBytes) model.shift();
        assert.deepEqual([cache.size, cache.bytes], [model.length, bytes()]);
      }
    }),
  );
});

test("what alone exceeds the bound is not kept, and drives nothing out", () => {
  const cache = new TokenCache({ maxBytes: 2_000, ttlMs: 1_000 });
  cache.set("a", tokensOf(10), 0);
  cache.set("b", tokensOf(1_000), 0);
  assert.equal(cache.get("b", 0), undefined);
  assert.equal(cache.get("a", 0)?.tokens.length, 10);
});

test("what is old is forgotten, with its bytes", () => {
  const cache = new TokenCache({ maxBytes: 2_000, ttlMs: 1_000 });
  cache.set("a", tokensOf(10), 500);
  assert.ok(cache.get("a", 1_499));
  assert.equal(cache.get("a", 1_500), undefined);
  assert.deepEqual([cache.size, cache.bytes], [0, 0]);
});

test("a prompt is known by its model and by all that it says", () => {
  const messages = [{ role: "user", content: "a" }];
  const keys = [
    promptKey("m", { prompt: "a" }),
    promptKey("n", { prompt: "a" }),
    promptKey("m", { prompt: "a", addSpecialTokens: false }),
    promptKey("m", { messages }),
    promptKey("m", { messages, tools: [] }),
  ];
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(promptKey("m", { prompt: "a" }), keys[0]);
});
