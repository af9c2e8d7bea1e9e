import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Subscriptions } from "../../../transports/zmtp/subscriptions.ts";
import { bytes, text } from "./support.ts";

/** Short topics over few bytes, so that they share prefixes, repeat, and contain one another. */
const anyTopic = fc.string({ unit: fc.constantFrom("a", "b", "\0"), maxLength: 6 });
const anySteps = fc.array(fc.record({ add: fc.boolean(), topic: anyTopic }), { maxLength: 60 });

test("zmtp 26: topics are counted, matched and listed as a plain list of them would be", () => {
  fc.assert(
    fc.property(anySteps, fc.array(anyTopic, { maxLength: 10 }), (steps, frames) => {
      const tree = new Subscriptions();
      const counts = new Map<string, number>();
      for (const { add, topic } of steps) {
        const before = counts.get(topic) ?? 0;
        const changed = add ? tree.add(bytes(topic)) : tree.remove(bytes(topic));
        const after = add ? before + 1 : Math.max(0, before - 1);
        assert.equal(changed, (before === 0) !== (after === 0));
        if (after > 0) counts.set(topic, after);
        else counts.delete(topic);
        for (const frame of frames) {
          const matches = [...counts.keys()].some((each) => frame.startsWith(each));
          assert.equal(tree.matches(bytes(frame)), matches);
        }
        assert.equal(tree.matchesAll, counts.has(""));
      }
      assert.deepEqual(
        tree
          .topics()
          .map((topic) => text(topic))
          .sort(),
        [...counts.keys()].sort(),
      );
      for (const [topic, count] of counts) for (let i = 0; i < count; i += 1) tree.remove(bytes(topic));
      assert.equal(tree.bytes, 0);
      assert.deepEqual(tree.topics(), []);
    }),
    { numRuns: 300 },
  );
});

test("zmtp 24: a topic matches a frame that begins with it, and no shorter one", () => {
  const tree = new Subscriptions();
  tree.add(bytes("kv@pod"));
  assert.equal(tree.matches(bytes("kv@pod-1@model")), true);
  assert.equal(tree.matches(bytes("kv@pod")), true);
  assert.equal(tree.matches(bytes("kv@po")), false);
  assert.equal(tree.matches(bytes("")), false);
});

test("what a topic was made of can be changed at once, in whatever buffer it came", () => {
  const tree = new Subscriptions();
  const topic = Buffer.from("kv");
  tree.add(topic);
  topic.fill(0);
  assert.equal(tree.matches(bytes("kv")), true);
});
