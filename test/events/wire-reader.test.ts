import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PackedBatch } from "../../src/events/packed-batch.ts";
import { WireReader } from "../../src/events/wire-reader.ts";

describe("WireReader", () => {
  it("reads nothing behind the end of a payload, whatever stood there before", () => {
    const reader = new WireReader();
    const batch = new PackedBatch();
    for (const before of [0x00, 0x90, 0xa0, 0xcb, 0xcc]) {
      reader.load(new Uint8Array(1_000).fill(before));
      reader.load(Uint8Array.of(1));
      const { end } = reader;
      const read = [
        reader.timestamp(end, batch),
        reader.integer(end),
        reader.arrayHead(end),
        reader.text(end),
        reader.hash(end, batch.hashes, 0),
        reader.hashes(end, batch),
        reader.tokens(end, batch),
      ];
      assert.deepEqual(new Set(read), new Set([-1]), `0x${before.toString(16)}`);
    }
  });
});
