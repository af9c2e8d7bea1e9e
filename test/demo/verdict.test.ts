import assert from "node:assert/strict";
import { test } from "node:test";
import { type DemoSummary, describeDifference, exitCodeOf, verdictOf } from "../../src/demo/verdict.ts";

const GOOD: DemoSummary = {
  engines: 3,
  requests: 400,
  events: 2_000,
  blocks: 1_500,
  restarts: 1,
  replays: 5,
  missed: 20,
  divergence: 0,
  routedTo: "simulation/engine-0",
  seconds: 12.5,
};

test("no difference and every restart seen is good, with exit code 0", () => {
  const verdict = verdictOf(GOOD, { restarts: 1 }, []);
  assert.equal(exitCodeOf(verdict), 0);
  assert.deepEqual(verdict, {
    isGood: true,
    text: "OK: all 1500 blocks agree, after 1 restart, 20 lost batches and 5 replays",
  });
});

test("any difference is bad, and makes the exit code 1", () => {
  const verdict = verdictOf({ ...GOOD, divergence: 1 }, { restarts: 1 }, []);
  assert.equal(exitCodeOf(verdict), 1);
  assert.deepEqual(verdict, { isGood: false, text: "FAILED: 1 of 1500 blocks differ between index and engines" });
});

test("a restart that was not seen is bad", () => {
  assert.match(verdictOf({ ...GOOD, restarts: 0 }, { restarts: 1 }, []).text, /^FAILED: 0 of 1 restarts were seen$/);
});

test("a problem is bad, and all that is bad is named", () => {
  const verdict = verdictOf({ ...GOOD, divergence: 2 }, { restarts: 1 }, ["default/a rank 0 lags"]);
  assert.equal(verdict.text, "FAILED: default/a rank 0 lags; 2 of 1500 blocks differ between index and engines");
});

test("nothing compared is no agreement", () => {
  assert.equal(verdictOf({ ...GOOD, blocks: 0 }, { restarts: 1 }, []).isGood, false);
});

test("a difference is told with pod, rank and hash", () => {
  const difference = { kind: "extra", pod: "default/a", rank: 1, blockHash: 0xabcn, detail: "only the index" } as const;
  assert.equal(describeDifference(difference), "default/a rank 1: block 0000000000000abc extra: only the index");
});
