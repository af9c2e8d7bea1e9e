import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Action, SequencerModel } from "./sequencer-model.ts";

const few = fc.integer({ min: 1, max: 3 });

const simpleAction: fc.Arbitrary<Action> = fc.oneof(
  { weight: 5, arbitrary: few.map((batches): Action => ({ do: "publish", batches })) },
  { weight: 4, arbitrary: few.map((batches): Action => ({ do: "deliver", batches })) },
  { weight: 4, arbitrary: few.map((batches): Action => ({ do: "reply", batches })) },
  { weight: 3, arbitrary: fc.constant<Action>({ do: "end-replay" }) },
  { weight: 3, arbitrary: fc.constant<Action>({ do: "connect" }) },
  {
    weight: 9,
    arbitrary: fc.constantFrom<Action>(
      { do: "lose" },
      { do: "lose-all" },
      { do: "duplicate" },
      { do: "restart" },
      { do: "cut" },
      { do: "save" },
      { do: "hand-over", from: "now" },
      { do: "hand-over", from: "saved" },
      { do: "lose-reply" },
      { do: "check" },
      { do: "rebuild" },
    ),
  },
);

const anyAction = fc.oneof(
  { weight: 9, arbitrary: simpleAction },
  { weight: 1, arbitrary: fc.constant<Action>({ do: "restart-unnoticed" }) },
);

const anyRun = (action: fc.Arbitrary<Action>) =>
  fc.record({
    actions: fc.array(action, { maxLength: 40, size: "max" }),
    bufferSteps: fc.constantFrom(3, 8, 1_000),
    maxHeldBytes: fc.constantFrom(400, 1_000_000),
  });

/** What was applied since the last purge is one process's batches, in order, without a hole. */
function assertRun(model: SequencerModel): void {
  const { applied } = model;
  for (let i = 1; i < applied.length; i++) {
    assert.equal(applied[i]!.sequence, applied[i - 1]!.sequence + 1);
    assert.equal(processOf(applied[i]!.payload), processOf(applied[i - 1]!.payload));
  }
  assert.equal(model.sequencer.lastSequence, applied.at(-1)?.sequence ?? null);
  assert.equal(model.sequencer.firstSequence, applied[0]?.sequence ?? null);
  const { status } = model.sequencer;
  assert.ok(model.isShown || status === "connecting" || status === "catching-up", `${status}, and still hidden`);
}

function processOf(payload: Uint8Array): number {
  return new DataView(payload.buffer).getUint32(0);
}

const numRuns = 3_000;

test("whatever happens, what is applied is one process's batches in order without a hole", () => {
  fc.assert(
    fc.property(anyRun(simpleAction), fc.boolean(), ({ actions, ...options }, canReplay) => {
      const model = new SequencerModel({ canReplay, ...options });
      for (const action of actions) {
        model.step(action);
        assertRun(model);
      }
    }),
    { numRuns },
  );
});

test("once it is quiet, a stream with replay holds all of this process that can be had, and says whether that is all", () => {
  fc.assert(
    fc.property(anyRun(anyAction), ({ actions, ...options }) => {
      const model = new SequencerModel({ canReplay: true, ...options });
      for (const action of actions) model.step(action);
      model.calm();
      assertRun(model);
      const { published, applied, sequencer } = model;
      assert.deepEqual(applied.at(-1)?.payload, published.at(-1)?.payload, "the last batch");
      const isAll = (applied[0]?.sequence ?? 0) <= model.bufferStart;
      assert.ok(isAll || model.lostReplies > 1, "all that the endpoint has");
      assert.equal(sequencer.request, null);
      assert.equal(sequencer.heldBytes, 0);
      assert.equal(sequencer.status, (applied[0]?.sequence ?? 0) === 0 ? "live" : "partial");
    }),
    { numRuns },
  );
});

test("once it is quiet, a stream without replay holds a run up to the last batch that was not lost, or nothing", () => {
  fc.assert(
    fc.property(anyRun(simpleAction), ({ actions, ...options }) => {
      const model = new SequencerModel({ canReplay: false, ...options });
      for (const action of actions) model.step(action);
      model.calm();
      model.step({ do: "publish", batches: 1 });
      model.step({ do: "deliver", batches: 1 });
      assertRun(model);
      assert.deepEqual(model.applied.at(-1)?.payload, model.published.at(-1)?.payload);
      assert.equal(model.sequencer.status, model.applied[0]?.sequence === 0 ? "live" : "partial");
    }),
    { numRuns },
  );
});
