import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BatchBuffer } from "../../src/sync/batch-buffer.ts";
import { fingerprint, RecentFingerprints } from "../../src/sync/fingerprint.ts";

test("a payload that waits is a copy, whatever kind of view it came as", () => {
  const buffer = new BatchBuffer(1_000);
  for (const [sequence, payload] of [new Uint8Array([1, 2]), Buffer.from([3, 4])].entries()) {
    buffer.add(sequence, payload);
    payload.fill(0);
  }
  assert.deepEqual([...buffer.shift()!.payload, ...buffer.shift()!.payload], [1, 2, 3, 4]);
});

const anyBatch = fc.record({ sequence: fc.nat(20), content: fc.nat(1), bytes: fc.nat(60) });

test("a buffer gives its batches in order, each sequence once, as a sorted map would", () => {
  fc.assert(
    fc.property(fc.array(fc.option(anyBatch), { size: "max", maxLength: 60 }), (steps) => {
      const buffer = new BatchBuffer(1_000_000);
      const model = new Map<number, Uint8Array>();
      for (const step of steps) {
        if (step === null) {
          const first = Math.min(...model.keys());
          const expected = model.get(first);
          model.delete(first);
          const batch = buffer.shift();
          assert.deepEqual([batch?.sequence, batch?.payload], [expected && first, expected]);
        } else {
          const payload = new Uint8Array(step.bytes + 1).fill(step.content);
          const known = model.get(step.sequence);
          const outcome = buffer.add(step.sequence, payload);
          if (known === undefined) assert.equal(outcome, "added");
          else assert.equal(outcome, Buffer.compare(known, payload) === 0 ? "known" : "conflict");
          if (known === undefined) model.set(step.sequence, payload);
        }
        assert.equal(buffer.size, model.size);
        const bytes = [...model.values()].reduce((sum, payload) => sum + payload.length + 128, 0);
        assert.equal(buffer.bytes, bytes);
      }
    }),
    { numRuns: 300 },
  );
});

test("a buffer keeps copies", () => {
  const buffer = new BatchBuffer(1_000);
  const payload = Uint8Array.of(1, 2);
  buffer.add(0, payload);
  payload[0] = 9;
  assert.deepEqual(buffer.first?.payload, Uint8Array.of(1, 2));
});

test("a buffer has room up to its bytes, with what each batch takes besides", () => {
  const buffer = new BatchBuffer(300);
  assert.ok(buffer.hasRoom(172));
  assert.ok(!buffer.hasRoom(173));
  buffer.add(0, new Uint8Array(10));
  assert.ok(buffer.hasRoom(34));
  assert.ok(!buffer.hasRoom(35));
});

test("payloads that differ at either end, or in length, have different fingerprints", () => {
  const seen = new Set<number>();
  let payloads = 0;
  for (let length = 0; length < 100; length++) {
    for (let at = 0; at < Math.min(32, length); at++) {
      for (const place of new Set([at, length - 1 - at])) {
        const payload = new Uint8Array(length);
        payload[place] = 1 + at;
        seen.add(fingerprint(payload));
        payloads++;
      }
    }
  }
  // Some payloads come twice, as the places of the ends overlap in short ones.
  assert.ok(seen.size > payloads * 0.9, `${seen.size} of ${payloads}`);
  for (const print of seen) assert.ok(Number.isSafeInteger(print));
});

test("the last fingerprints of a run without holes are remembered", () => {
  const prints = new RecentFingerprints(4);
  for (let sequence = 0; sequence < 6; sequence++) prints.add(sequence, 100 + sequence);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6].map((sequence) => prints.get(sequence)),
    [undefined, undefined, 102, 103, 104, 105, undefined],
  );
  prints.add(50, 7);
  assert.deepEqual([prints.get(5), prints.get(50), prints.get(49)], [undefined, 7, undefined]);
  prints.clear();
  assert.equal(prints.get(50), undefined);
});
