import assert from "node:assert/strict";
import { test } from "node:test";
import { Rate } from "../../src/demo/rate.ts";

test("a rate needs two values", () => {
  const rate = new Rate();
  assert.equal(rate.perSecond(100, 0), 0);
  assert.equal(rate.perSecond(150, 500), 100);
});

test("a rate is that of the last second, not of all time", () => {
  const rate = new Rate();
  const rates = [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000].map((atMs) =>
    rate.perSecond(Math.min(atMs, 1_000), atMs),
  );
  assert.deepEqual(rates, [0, 1_000, 1_000, 1_000, 1_000, 750, 500, 250, 0]);
});

test("two values of the same moment are no rate", () => {
  const rate = new Rate();
  rate.perSecond(0, 5);
  assert.equal(rate.perSecond(10, 5), 0);
});
