import assert from "node:assert/strict";
import { mock, test } from "node:test";
import fc from "fast-check";
import { encodeEventBatch } from "../../src/events/encode.ts";
import { eventBatch } from "./arbitraries.ts";

test("events are read where there is no WebAssembly with SIMD", async () => {
  // Before anything asks for it: there is one for the process, or none.
  const module = mock.method(Reflect.get(globalThis, "WebAssembly"), "Module", () => {
    throw new Error("no SIMD here");
  });
  const { simdTokens } = await import("../../src/events/simd-tokens.ts");
  assert.equal(simdTokens(), null);
  module.mock.restore();
  const { checkSame } = await import("./agreement.ts");
  assert.equal(simdTokens(), null);
  fc.assert(
    fc.property(eventBatch, fc.constantFrom("array", "map"), fc.nat(), (batch, encoding, cut) => {
      const payload = encodeEventBatch(batch, { encoding });
      checkSame(payload);
      checkSame(payload.subarray(0, cut % payload.length));
    }),
    { numRuns: 200 },
  );
});
