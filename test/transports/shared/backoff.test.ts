import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { backoffMs } from "../../../transports/shared/backoff.ts";

const BOUNDS = { minMs: 100, maxMs: 30_000 };

test("zmtp 35: delays double up to the longest one and stay there", () => {
  const delays = [1, 2, 3, 8, 9, 10, 11, 5_000].map((failures) => backoffMs(failures, () => 1, BOUNDS));
  assert.deepEqual(delays, [100, 200, 400, 12_800, 25_600, 30_000, 30_000, 30_000]);
});

test("zmtp 36: a delay is between half and all of its ceiling", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, draw) => {
      const ceiling = Math.min(30_000, 100 * 2 ** (failures - 1));
      const delay = backoffMs(failures, () => draw, BOUNDS);
      assert.ok(delay >= ceiling / 2 && delay <= ceiling);
    }),
  );
});

test("zmtp 36: a thousand clients of one server spread over the whole half, also at the longest delay", () => {
  for (const failures of [1, 20]) {
    let draw = 0;
    const random = (): number => (draw++ % 1_000) / 1_000;
    const ceiling = backoffMs(failures, () => 1, BOUNDS);
    const tenths = new Map<number, number>();
    for (let client = 0; client < 1_000; client += 1) {
      const tenth = Math.floor((backoffMs(failures, random, BOUNDS) / ceiling - 0.5) * 20);
      tenths.set(tenth, (tenths.get(tenth) ?? 0) + 1);
    }
    assert.equal(tenths.size, 10);
    assert.ok([...tenths.values()].every((count) => count >= 99 && count <= 101));
  }
});
