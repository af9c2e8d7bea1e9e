import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualClock } from "./virtual-clock.ts";

test("timers fire in order of time, those of one moment in the order in which they were set", async () => {
  const clock = virtualClock();
  const fired: string[] = [];
  const at = (name: string, delayMs: number): unknown =>
    clock.setTimeout(() => fired.push(`${name} ${clock.now()}`), delayMs);
  at("c", 20);
  at("a", 10);
  at("b", 10);
  clock.clearTimeout(at("never", 5));
  clock.clearTimeout("no handle");
  await clock.advance(15);
  assert.deepEqual(fired, ["a 10", "b 10"]);
  assert.equal(clock.now(), 15);
  assert.equal(clock.pending, 1);
  await clock.advance(5);
  assert.deepEqual(fired, ["a 10", "b 10", "c 20"]);
});

test("what a timer sets off is done before the next fires, new timers too", async () => {
  const clock = virtualClock();
  const seen: string[] = [];
  clock.setTimeout(() => {
    clock.setTimeout(() => seen.push(`inner ${clock.now()}`), 1);
    Promise.resolve()
      .then(() => {})
      .then(() => seen.push("microtask"));
  }, 1);
  clock.setTimeout(() => seen.push("second"), 1);
  await clock.advance(2);
  assert.deepEqual(seen, ["microtask", "second", "inner 2"]);
});

test("run lets just as much time pass as a promise needs", async () => {
  const clock = virtualClock();
  const slow = new Promise<string>((resolve) => {
    clock.setTimeout(() => clock.setTimeout(() => resolve("done"), 70), 30);
  });
  clock.setTimeout(() => {}, 1_000);
  assert.equal(await clock.run(slow), "done");
  assert.equal(clock.now(), 100);
  const failing = Promise.reject(new Error("its own"));
  await assert.rejects(clock.run(failing), /its own/);
});

test("run tells when nothing will ever happen, or not in time", async () => {
  const clock = virtualClock();
  const never = new Promise(() => {});
  await assert.rejects(clock.run(never), /no timer is left/);
  clock.setTimeout(() => {}, 100);
  await assert.rejects(clock.run(never, 50), /nothing has happened in 50 ms/);
});
