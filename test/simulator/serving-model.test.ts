import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ServingEvent, ServingModel, type ServingModelOptions } from "../../src/simulator/serving-model.ts";

interface Asked {
  readonly name: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
}

/** 1 ms for a prompt token, 10 ms for a token of the answer. */
const RATES = { prefillTokensPerSecond: 1_000, decodeTokensPerSecond: 100 };
const NEVER = Number.MAX_SAFE_INTEGER;

function model(options: ServingModelOptions = {}): ServingModel<Asked> {
  return new ServingModel({ ...RATES, ...options }, ({ cachedTokens }) => cachedTokens);
}

function asked(name: number, promptTokens: number, outputTokens: number, cachedTokens = 0): Asked {
  return { name, promptTokens, outputTokens, cachedTokens };
}

function told(events: readonly ServingEvent<Asked>[]): string[] {
  return events.map(({ type, atMs, request }) => `${request.name} ${type} ${Math.round(atMs)}`);
}

test("the first token comes when the uncached tokens are computed, the last at the rate of decoding", () => {
  const serving = model();
  const started = serving.submit(asked(1, 100, 6, 40), 1_000);
  assert.deepEqual(told([...started, ...serving.advance(NEVER)]), [
    "1 started 1000",
    "1 firstToken 1060",
    "1 finished 1110",
  ]);
});

test("a prompt waits for the prompt before it, and not for its answer", () => {
  const serving = model();
  const events = [...serving.submit(asked(1, 100, 51), 0), ...serving.submit(asked(2, 50, 1), 10)];
  assert.equal(serving.waiting, 1);
  assert.deepEqual(told([...events, ...serving.advance(NEVER)]), [
    "1 started 0",
    "1 firstToken 100",
    "2 started 100",
    "2 firstToken 150",
    "2 finished 150",
    "1 finished 600",
  ]);
});

test("a full batch lets nobody in before somebody is done", () => {
  const serving = model({ maxRunning: 1 });
  const events = [...serving.submit(asked(1, 10, 11), 0), ...serving.submit(asked(2, 10, 1), 0)];
  assert.deepEqual(told([...events, ...serving.advance(NEVER)]).slice(2, 4), ["1 finished 110", "2 started 110"]);
});

test("a cancelled request leaves its place to the next, wherever it is", () => {
  for (const [cancelMs, startMs] of [
    [4, 4],
    [50, 50],
  ] as const) {
    const serving = model({ maxRunning: 1 });
    const [first, second, third] = [asked(1, 10, 100), asked(2, 1, 1), asked(3, 1, 1)];
    for (const request of [first, second, third]) serving.submit(request, 0);
    assert.deepEqual(serving.cancel(second, 1), []);
    assert.deepEqual(told(serving.cancel(first, cancelMs)).at(-1), `3 started ${startMs}`);
    assert.deepEqual([serving.running, serving.waiting], [1, 0]);
    assert.deepEqual(serving.cancel(first, cancelMs), []);
  }
});

test("tokens come one by one", () => {
  const serving = model();
  const request = asked(1, 10, 4);
  serving.submit(request, 0);
  const counts = [9, 10, 19, 20, 30].map((atMs) => serving.tokensOut(request, atMs));
  assert.deepEqual(counts, [0, 1, 1, 2, 3]);
  serving.advance(NEVER);
  assert.equal(serving.tokensOut(request, NEVER), 0);
});

test("a queue that is full refuses", () => {
  const serving = model({ maxWaiting: 1 });
  serving.submit(asked(1, 10, 1), 0);
  serving.submit(asked(2, 10, 1), 0);
  assert.throws(() => serving.submit(asked(3, 10, 1), 0), { code: "too-many", message: /1 requests wait already/ });
});

test("rates and bounds that are not above 0 are refused", () => {
  for (const [name, value] of [
    ["prefillTokensPerSecond", 0],
    ["decodeTokensPerSecond", Number.NaN],
    ["maxRunning", 1.5],
    ["maxWaiting", -1],
  ] as const) {
    assert.throws(() => model({ [name]: value }), { code: "invalid-option", message: new RegExp(`${name} is`) });
  }
});

const request = fc.record({
  gapMs: fc.integer({ min: 0, max: 60 }),
  promptTokens: fc.integer({ min: 1, max: 50 }),
  outputTokens: fc.integer({ min: 1, max: 20 }),
  cachedShare: fc.double({ min: 0, max: 0.99, noNaN: true }),
});
const requests = fc.array(request, { maxLength: 30 }).map((all) => {
  let arrivalMs = 0;
  return all.map(({ gapMs, cachedShare, ...sizes }, name) => {
    arrivalMs += gapMs;
    return { arrivalMs, name, cachedTokens: Math.floor(sizes.promptTokens * cachedShare), ...sizes };
  });
});

test("each request starts as soon as it may: when it is there, the prompt before it is computed, and a place is free", () => {
  fc.assert(
    fc.property(requests, fc.integer({ min: 1, max: 4 }), (all, maxRunning) => {
      const expected: string[] = [];
      const finishes: number[] = [];
      let computedMs = 0;
      for (const { name, arrivalMs, promptTokens, cachedTokens, outputTokens } of all) {
        const inOrder = [...finishes].sort((a, b) => a - b);
        const placeMs = inOrder[finishes.length - maxRunning] ?? 0;
        const startMs = Math.max(arrivalMs, computedMs, placeMs);
        computedMs = startMs + promptTokens - cachedTokens;
        finishes.push(computedMs + (outputTokens - 1) * 10);
        expected.push(`${name} started ${startMs}`, `${name} firstToken ${computedMs}`);
        expected.push(`${name} finished ${finishes.at(-1)}`);
      }
      const serving = model({ maxRunning });
      const events = all.flatMap((each) => [...serving.submit(each, each.arrivalMs)]);
      assert.deepEqual(told([...events, ...serving.advance(NEVER)]).sort(), expected.sort());
      assert.deepEqual([serving.running, serving.waiting, serving.nextEventMs], [0, 0, Number.POSITIVE_INFINITY]);
    }),
  );
});

test("how often time is looked at changes nothing", () => {
  fc.assert(
    fc.property(requests, fc.integer({ min: 1, max: 4 }), (all, maxRunning) => {
      const [once, often] = [model({ maxRunning }), model({ maxRunning })];
      const seen: string[][] = [[], []];
      for (const each of all) {
        seen[0]!.push(...told(once.submit(each, each.arrivalMs)));
        while (often.nextEventMs <= each.arrivalMs) seen[1]!.push(...told(often.advance(often.nextEventMs)));
        assert.ok(often.running <= maxRunning);
        seen[1]!.push(...told(often.submit(each, each.arrivalMs)));
      }
      seen[0]!.push(...told(once.advance(NEVER)));
      while (often.nextEventMs < NEVER) seen[1]!.push(...told(often.advance(often.nextEventMs)));
      assert.deepEqual(seen[1], seen[0]);
    }),
  );
});
