import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { TextCache } from "../../src/events/text-cache.ts";

it("TextCache gives each text as it is, however often and in whatever order they come, and null for more than ASCII", () => {
  // So few letters that many share a place.
  const unit = fc.constantFrom("a", "a", "a", "b", "b", "é");
  const text = fc.oneof(
    { weight: 9, arbitrary: fc.string({ unit, minLength: 3, maxLength: 4 }) },
    { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 80 }) },
  );
  fc.assert(
    fc.property(fc.array(text, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 40 }), (texts, order) => {
      const cache = new TextCache();
      for (const at of order) {
        const each = texts[at % texts.length] ?? "";
        const bytes = Buffer.from(`--${each}--`);
        const expected = each.includes("é") ? null : each;
        assert.equal(cache.read(bytes, 2, bytes.length - 4), expected);
      }
    }),
  );
});
