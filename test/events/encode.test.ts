import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KVEventSyncError } from "../../src/errors.ts";
import { decodeEventBatch } from "../../src/events/decode.ts";
import { encodeEventBatch, type HashForm } from "../../src/events/encode.ts";
import type { BlockRemoved } from "../../src/events/event.ts";
import { eventBatch } from "./arbitraries.ts";
import { GOLDEN_ARRAY, loadFixtures, toHex } from "./fixtures.ts";

for (const { name, options, batch, payload } of loadFixtures()) {
  test(`encodes byte for byte as msgspec: ${name}`, () => {
    assert.equal(toHex(encodeEventBatch(batch, options)), toHex(payload));
  });
}

test("encodes the capture of a real engine byte for byte", () => {
  const { batch } = decodeEventBatch(GOLDEN_ARRAY);
  assert.equal(toHex(encodeEventBatch(batch, { encoding: "array", storedEntries: 7 })), toHex(GOLDEN_ARRAY));
});

for (const encoding of ["array", "map"] as const) {
  test(`any batch survives the ${encoding} form`, () => {
    const hashForms = fc.constantFrom<HashForm>("int", "signed", "bytes8", "bytes32");
    fc.assert(
      fc.property(eventBatch, fc.boolean(), hashForms, (batch, mapBatch, hashForm) => {
        const decoded = decodeEventBatch(encodeEventBatch(batch, { encoding, mapBatch, hashForm }));
        assert.deepEqual(decoded.errors, []);
        assert.deepEqual(decoded.batch, batch);
      }),
    );
  });
}

test("a hash of 32 bytes keeps the hash in its last 8 and differs before them", () => {
  const event: BlockRemoved = {
    type: "BlockRemoved",
    blockHashes: [0x0102030405060708n],
    medium: null,
    groupIdx: null,
  };
  const payload = encodeEventBatch(
    { ts: 0, events: [event], dataParallelRank: 0 },
    { encoding: "array", hashForm: "bytes32" },
  );
  const start = payload.findIndex((byte, index) => byte === 0xc4 && payload[index + 1] === 32) + 2;
  const hash = payload.subarray(start, start + 32);
  assert.equal(toHex(hash.subarray(24)), "0102030405060708");
  assert.notEqual(toHex(hash.subarray(0, 8)), "0102030405060708");
});

test("a hash outside 64 bits is refused", () => {
  const event: BlockRemoved = { type: "BlockRemoved", blockHashes: [1n << 64n], medium: null, groupIdx: null };
  assert.throws(
    () => encodeEventBatch({ ts: 0, events: [event], dataParallelRank: 0 }, { encoding: "map" }),
    (error) => error instanceof KVEventSyncError && error.code === "invalid-event",
  );
});
