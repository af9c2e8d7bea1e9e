import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { TurnQueue } from "../../src/sync/turn-queue.ts";
import { memory } from "../../transports/memory/index.ts";
import { assertExact, chat, engine, pipeline, podOf } from "../support/pipeline.ts";

/** Each piece of work takes a millisecond of a clock that nothing else moves. */
function setUp(loops: number, pieces: number) {
  let nowMs = 0;
  const turns = new TurnQueue({ ...systemClock, now: () => nowMs });
  const worked: number[] = [];
  const work = async (loop: number): Promise<void> => {
    for (let i = 0; i < pieces; i++) {
      if (turns.isOver) await turns.next();
      turns.work(() => {
        nowMs++;
        worked.push(loop);
      });
    }
  };
  const done = Promise.all(Array.from({ length: loops }, (_, loop) => work(loop)));
  return { worked, done };
}

test("a hundred loops together work no longer in one turn of the event loop than one alone", async () => {
  const { worked, done } = setUp(100, 10);
  const byTurn: number[] = [];
  for (let before = 0; worked.length < 1_000; before = worked.length) {
    if (worked.length > before) byTurn.push(worked.length - before);
    await setImmediate();
    byTurn.push(worked.length - before);
  }
  await done;
  assert.equal(worked.length, 1_000);
  assert.ok(byTurn.length > 100, `${byTurn.length} turns`);
  assert.ok(Math.max(...byTurn) <= 8, `${Math.max(...byTurn)} pieces in one turn`);
});

test("whoever has waited longest is called first", async () => {
  const { worked, done } = setUp(5, 12);
  await done;
  const order = worked.filter((loop, at) => worked[at - 1] !== loop);
  assert.deepEqual(order, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 1, 2, 3, 4]);
});

test("many streams that all have batches apply no more in one turn than one", { timeout: 30_000 }, async (context) => {
  let nowMs = 0;
  let batches = 0;
  const transport = memory();
  const bench = pipeline(transport, {
    // Every look at it costs a millisecond, and every batch takes at least three.
    clock: { ...systemClock, now: () => nowMs++ },
    options: { quietCheckMs: 0 },
    observers: [{ onBatch: () => batches++ }],
  });
  const engines = await Promise.all(Array.from({ length: 20 }, (_, i) => engine(transport, `ns/${i}`)));
  context.after(async () => {
    await bench.manager.stop();
    for (const each of engines) await each.stop();
  });
  for (const each of engines) bench.manager.onPodAdd(podOf(each));
  for (const each of engines) await bench.caughtUp(each);
  for (const each of engines) chat(each, 6);
  const isDone = Promise.all(engines.map((each) => bench.caughtUp(each)));
  const published = engines.reduce((sum, each) => sum + each.nextSequence(), 0);
  let most = 0;
  for (let before = batches; batches < published; before = batches) {
    await setImmediate();
    most = Math.max(most, batches - before);
  }
  await isDone;
  for (const each of engines) assertExact(bench, each);
  assert.ok(most > 0 && most <= 3, `${most} batches in one turn`);
});
