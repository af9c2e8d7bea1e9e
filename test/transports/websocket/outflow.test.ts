import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Outflow } from "../../../transports/websocket/outflow.ts";

test("messages are counted until their bytes are gone", () => {
  const outflow = new Outflow({ highWaterMark: 2, highWaterMarkBytes: 1_000 });
  assert.ok(outflow.hasRoom(10, 0));
  outflow.handedOver(10);
  assert.ok(outflow.hasRoom(10, 10));
  outflow.handedOver(10);
  assert.ok(!outflow.hasRoom(10, 20));
  assert.ok(!outflow.hasRoom(10, 11), "the first has only begun to go");
  assert.ok(outflow.hasRoom(10, 10));
});

test("bytes are bounded too, but one message always fits when nothing is held", () => {
  const outflow = new Outflow({ highWaterMark: 100, highWaterMarkBytes: 50 });
  assert.ok(outflow.hasRoom(10_000, 0));
  outflow.handedOver(10_000);
  assert.ok(!outflow.hasRoom(1, 10_000));
  assert.ok(outflow.hasRoom(40, 10));
  assert.ok(!outflow.hasRoom(41, 10));
});

test("what a queue of the same sizes would hold is what it counts", () => {
  const steps = fc.array(
    fc.record({ size: fc.integer({ min: 1, max: 100 }), drained: fc.integer({ min: 0, max: 150 }) }),
    {
      maxLength: 3_000,
    },
  );
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 20 }), (sequence, highWaterMark) => {
      const outflow = new Outflow({ highWaterMark, highWaterMarkBytes: 1_000_000 });
      const queue: number[] = [];
      for (const { size, drained } of sequence) {
        let left = drained;
        while (left > 0 && queue.length > 0) {
          const taken = Math.min(left, queue[0]!);
          queue[0]! -= taken;
          left -= taken;
          if (queue[0] === 0) queue.shift();
        }
        const held = queue.reduce((sum, bytes) => sum + bytes, 0);
        const hasRoom = outflow.hasRoom(size, held);
        assert.equal(hasRoom, queue.length < highWaterMark);
        if (!hasRoom) continue;
        queue.push(size);
        outflow.handedOver(size);
      }
    }),
  );
});
