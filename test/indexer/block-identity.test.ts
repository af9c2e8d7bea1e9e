import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { canonicalLora, encodeKey, extraKey, extraKeysOf, loraOf, rootKey } from "../../src/indexer/block-identity.ts";
import { stored, tokens } from "./support.ts";

describe("encodeKey", () => {
  /** What MessagePack can hold, in the form that a decoder gives. */
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.string(),
      fc.integer(),
      fc.double({ noNaN: true }).filter((number) => !Object.is(number, -0)),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 5 }),
      fc.array(tie("any"), { maxLength: 4 }),
      fc.dictionary(fc.string({ maxLength: 3 }), tie("any"), { maxKeys: 3, noNullPrototype: true }),
    ),
  })).any;

  it("gives equal texts for equal values only", () => {
    fc.assert(
      fc.property(value, value, (left, right) => {
        assert.equal(encodeKey(left) === encodeKey(right), isDeepStrictEqual(left, right));
        assert.equal(encodeKey(structuredClone(left)), encodeKey(left));
      }),
      { numRuns: 500 },
    );
  });

  it("takes integers alike whether they come as number or bigint", () => {
    assert.equal(encodeKey(7), encodeKey(7n));
    assert.notEqual(encodeKey(7), encodeKey("7"));
    assert.notEqual(encodeKey(7), encodeKey(7.5));
  });

  it("takes maps alike in any order, as Map or as object", () => {
    assert.equal(encodeKey({ a: 1, b: 2 }), encodeKey({ b: 2, a: 1 }));
    assert.equal(encodeKey({ a: 1 }), encodeKey(new Map([["a", 1n]])));
    assert.notEqual(encodeKey({ a: 1 }), encodeKey(["a", 1]));
  });

  it("tells nested values apart that have the same parts", () => {
    const values = [
      ["ab"],
      ["a", "b"],
      [["a"], "b"],
      ["a", ["b"]],
      [["a", "b"]],
      ["s1:a"],
      [[]],
      [],
      [null],
      [undefined],
    ];
    assert.equal(new Set(values.map(encodeKey)).size, values.length);
  });

  it("takes bytes by their values, and apart from text and numbers", () => {
    assert.equal(encodeKey(Uint8Array.of(65, 66)), encodeKey(Buffer.from("xAB").subarray(1)));
    assert.notEqual(encodeKey(Uint8Array.of(65, 66)), encodeKey("AB"));
    assert.notEqual(encodeKey(Uint8Array.of(65, 66)), encodeKey([65, 66]));
  });

  it("tells dates apart", () => {
    assert.notEqual(encodeKey(new Date(1)), encodeKey(new Date(2)));
  });

  it("survives nesting that is deeper than the stack", () => {
    let nested: unknown = 1;
    for (let depth = 0; depth < 200_000; depth++) nested = [nested];
    assert.equal(encodeKey(nested).length, 200_000 * 3 + 3);
  });
});

describe("loraOf", () => {
  const event = (loraName: string | null, loraId: number | null) => stored([1n], null, tokens(1), { loraName, loraId });

  it("takes the event's name, then its id, then the pod's adapter", () => {
    assert.equal(loraOf(event("sql", 3), 9), "sql");
    assert.equal(loraOf(event(null, 3), 9), 3);
    assert.equal(loraOf(event(null, null), 9), 9);
    assert.equal(loraOf(event(null, null), -1), -1);
  });

  it("takes an empty name and ids below 1 as not said, since vLLM's ids start at 1", () => {
    assert.equal(loraOf(event("", 0), 9), 9);
    assert.equal(loraOf(event("", -1), -1), -1);
    assert.deepEqual([0, -1, -7, "", 1, "0"].map(canonicalLora), [-1, -1, -1, -1, 1, "0"]);
  });
});

describe("extraKeysOf", () => {
  it("leaves out the adapter that vLLM puts first, once", () => {
    const event = stored([1n, 2n], null, tokens(1, 2), {
      loraName: "sql",
      extraKeys: [
        ["sql", "sql"],
        ["image", "sql"],
      ],
    });
    assert.deepEqual(extraKeysOf(event, 0), ["sql"]);
    assert.deepEqual(extraKeysOf(event, 1), ["image", "sql"]);
  });

  it("leaves out the adapter's id where an older vLLM puts that", () => {
    for (const id of [3, 3n]) {
      const event = stored([1n], null, tokens(1), { loraId: 3, extraKeys: [[id, "salt"]] });
      assert.deepEqual(extraKeysOf(event, 0), ["salt"]);
    }
  });

  it("keeps all of a base model's keys", () => {
    assert.deepEqual(extraKeysOf(stored([1n], null, tokens(1), { extraKeys: [[null, 1]] }), 0), [null, 1]);
  });

  it("has none where the event has fewer entries than blocks", () => {
    const event = stored([1n, 2n], null, tokens(1, 2), { extraKeys: [["x"]] });
    assert.equal(extraKeysOf(event, 1), null);
  });
});

describe("rootKey and extraKey", () => {
  it("find the same salt in vLLM's extra keys, in SGLang's metadata and in a query", () => {
    assert.equal(rootKey(["salt"], null), rootKey(null, "salt"));
    assert.equal(rootKey(["salt"], "salt"), rootKey(null, "salt"));
    assert.equal(extraKey(["salt"], true), "");
  });

  it("find it behind multimodal keys of both forms and before prompt embeddings", () => {
    const image = ["3f", 0];
    const embeddings = Uint8Array.of(1, 2);
    assert.equal(rootKey([image, "salt", embeddings], null), rootKey([image, embeddings], "salt"));
    assert.equal(extraKey([image, "salt", embeddings], true), extraKey([image, embeddings], true));
    assert.equal(rootKey(["3f", "salt"], null), rootKey(["3f"], "salt"));
  });

  it("are empty without keys and without salt", () => {
    assert.equal(rootKey(null, null), "");
    assert.equal(rootKey([], ""), "");
    assert.equal(extraKey(null, false), "");
    assert.equal(extraKey([], false), "");
  });

  it("keep the strings of later blocks, which are no salt", () => {
    assert.notEqual(extraKey(["3f"], false), "");
  });
});
