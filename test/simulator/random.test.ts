import assert from "node:assert/strict";
import { test } from "node:test";
import { deriveSeed, randomInteger, seededRandom } from "../../src/simulator/random.ts";

function take(seed: number, count: number): readonly number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random());
}

test("a seed determines the sequence, and another seed another one", () => {
  assert.deepEqual(take(7, 50), take(7, 50));
  assert.equal(new Set([...take(7, 50), ...take(8, 50), ...take(7 + 2 ** 32, 50)]).size, 150);
});

test("numbers lie from 0 to below 1, evenly", () => {
  const numbers = take(1, 10_000);
  assert.ok(numbers.every((number) => number >= 0 && number < 1));
  const tenths = Array.from({ length: 10 }, (_, tenth) => numbers.filter((n) => Math.floor(n * 10) === tenth).length);
  assert.ok(
    tenths.every((count) => count > 850 && count < 1150),
    `${tenths}`,
  );
});

test("whole numbers reach both of their bounds and nothing beyond", () => {
  const random = seededRandom(3);
  const seen = new Set(Array.from({ length: 200 }, () => randomInteger(random, 2, 5)));
  assert.deepEqual([...seen].sort(), [2, 3, 4, 5]);
});

test("parts get seeds of their own", () => {
  const seeds = [
    deriveSeed(0),
    deriveSeed(0, 0),
    deriveSeed(0, 1),
    deriveSeed(0, 0, 1),
    deriveSeed(0, 1, 0),
    deriveSeed(1, 0),
  ];
  assert.equal(new Set(seeds).size, seeds.length);
});
