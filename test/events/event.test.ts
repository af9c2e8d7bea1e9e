import assert from "node:assert/strict";
import { test } from "node:test";
import { tierOf } from "../../src/events/event.ts";

test("a medium is compared without case", () => {
  assert.equal(tierOf("CPU"), tierOf("cpu"));
});

test("a medium that is not said is the GPU", () => {
  assert.deepEqual([tierOf(null), tierOf(""), tierOf("GPU")], ["gpu", "gpu", "gpu"]);
});

test("an unknown medium is its own tier", () => {
  assert.equal(tierOf("CPU_PINNED"), "cpu_pinned");
});
