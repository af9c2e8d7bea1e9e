import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KVEventSyncError } from "../../src/errors.ts";
import { bytesToTokenIds, tokenIdsToBytes } from "../../src/events/token-ids.ts";

test("each id takes 4 bytes, big-endian", () => {
  assert.deepEqual([...tokenIdsToBytes([1, 0x01020304, 0xffffffff])], [0, 0, 0, 1, 1, 2, 3, 4, 255, 255, 255, 255]);
});

test("the inverse gives the ids back, wherever the bytes lie in their buffer", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0xffff_ffff)), fc.nat(5), (ids, offset) => {
      const padded = new Uint8Array(offset + ids.length * 4);
      padded.set(tokenIdsToBytes(ids), offset);
      assert.deepEqual([...bytesToTokenIds(padded.subarray(offset))], ids);
    }),
  );
});

test("a length that is no multiple of 4 is refused", () => {
  assert.throws(
    () => bytesToTokenIds(new Uint8Array(7)),
    (error) => error instanceof KVEventSyncError && error.code === "invalid-token-bytes",
  );
});
