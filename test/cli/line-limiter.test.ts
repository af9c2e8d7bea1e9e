import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Burst, LineLimiter } from "../../src/cli/line-limiter.ts";
import { type VirtualClock, virtualClock } from "../support/virtual-clock.ts";

interface Bench {
  readonly clock: VirtualClock;
  readonly limiter: LineLimiter;
  readonly bursts: Burst[];
  /** How many of so many lines are admitted. */
  admitted(kind: string, subject: string, lines: number): number;
}

function bench(): Bench {
  const clock = virtualClock();
  const bursts: Burst[] = [];
  const limiter = new LineLimiter(clock, (burst) => bursts.push(burst));
  return {
    clock,
    limiter,
    bursts,
    admitted: (kind, subject, lines) =>
      Array.from({ length: lines }, () => limiter.admit(kind, subject)).filter((isAdmitted) => isAdmitted).length,
  };
}

test("one subject has six lines of a kind in a minute, and what was left out is told at its end", async () => {
  const { clock, bursts, admitted } = bench();
  assert.equal(admitted("lost", "ns/a", 10), 6);
  assert.equal(admitted("lost", "ns/b", 2), 2, "another subject is heard");
  assert.equal(admitted("errors", "ns/a", 1), 1, "another kind is heard");
  await clock.advance(59_999);
  assert.deepEqual(bursts, []);
  await clock.advance(1);
  assert.deepEqual(bursts, [{ kind: "lost", lines: 4, subjects: 1, named: ["ns/a"] }]);
  assert.equal(admitted("lost", "ns/a", 10), 6, "the next minute begins");
});

test("a thousand subjects at once are sixty lines and a sum that names the first of the others", async () => {
  const { clock, bursts, limiter } = bench();
  let logged = 0;
  for (let pod = 0; pod < 1_000; pod++) if (limiter.admit("lost", `ns/${pod}`)) logged++;
  await clock.advance(60_000);
  assert.equal(logged, 60);
  assert.deepEqual(bursts, [
    { kind: "lost", lines: 940, subjects: 940, named: ["ns/60", "ns/61", "ns/62", "ns/63", "ns/64"] },
  ]);
});

test("where nothing was left out nothing is told, and without lines there is no timer", async () => {
  const { clock, bursts, admitted } = bench();
  assert.equal(clock.pending, 0);
  admitted("lost", "ns/a", 3);
  assert.equal(clock.pending, 1);
  await clock.advance(60_000);
  assert.deepEqual([bursts, clock.pending], [[], 0]);
});

test("its end tells what is left to tell, once, and leaves no timer", () => {
  const { clock, bursts, admitted, limiter } = bench();
  admitted("lost", "ns/a", 7);
  limiter[Symbol.dispose]();
  limiter[Symbol.dispose]();
  assert.deepEqual([bursts.length, clock.pending], [1, 0]);
});

test("made-up subjects are counted up to a bound, their lines all the same", () => {
  const { bursts, limiter } = bench();
  for (let pod = 0; pod < 5_000; pod++) limiter.admit("opened", `made-up-${pod}`);
  limiter[Symbol.dispose]();
  assert.deepEqual([bursts[0]?.lines, bursts[0]?.subjects], [4_940, 1_000]);
});

test("every line is either logged or in a sum", async () => {
  const line = fc.tuple(fc.constantFrom("lost", "errors"), fc.constantFrom("a", "b", "c"), fc.nat(20_000));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 200 }), async (lines) => {
      const { clock, bursts, limiter } = bench();
      let logged = 0;
      for (const [kind, subject, waitMs] of lines) {
        if (limiter.admit(kind, subject)) logged++;
        await clock.advance(waitMs % 2_000);
      }
      limiter[Symbol.dispose]();
      assert.equal(
        bursts.reduce((sum, burst) => sum + burst.lines, logged),
        lines.length,
      );
    }),
    { numRuns: 50 },
  );
});
