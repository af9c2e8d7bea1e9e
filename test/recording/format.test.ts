import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeRecord, type Recorded, RecordParser } from "../../src/recording/format.ts";

const number = fc.nat({ max: 0xffff_ffff });
const common = { socket: number, timeMs: fc.double({ noNaN: true, noDefaultInfinity: true }) };
const plain = { noNullPrototype: true };
const frames = fc.array(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  { maxLength: 5 },
);

const recorded: fc.Arbitrary<Recorded> = fc.oneof(
  fc.record({ kind: fc.constantFrom("sent", "received"), ...common, frames, connection: number }, plain),
  fc
    .record({ kind: fc.constantFrom("session", "pod", "socket", "connection"), ...common, json: fc.object() }, plain)
    .map((each) => ({
      ...each,
      // What JSON cannot hold is not what was written.
      json: JSON.parse(JSON.stringify(each.json)) as unknown,
    })),
  fc.record({ kind: fc.constant("closed" as const), ...common }, plain),
) as fc.Arbitrary<Recorded>;

function parsed(bytes: Uint8Array, sizes: readonly number[] = [bytes.length + 1]) {
  const parser = new RecordParser();
  const records: Recorded[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = at + sizes[i % sizes.length]!;
    records.push(...parser.push(bytes.subarray(at, end)));
    at = end;
  }
  return { records, stop: parser.stop() };
}

const bytesOf = (records: readonly Recorded[]): Buffer => Buffer.concat(records.map(encodeRecord));

test("records come out as they went in, in whatever pieces", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(recorded), sizes, (records, sizes) => {
      assert.deepEqual(parsed(bytesOf(records), sizes), { records, stop: null });
    }),
  );
});

test("of a recording that is cut anywhere the whole records are left, and the rest is torn", () => {
  fc.assert(
    fc.property(
      fc.array(recorded, { minLength: 1 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (records, share) => {
        const bytes = bytesOf(records);
        const cut = Math.floor(bytes.length * share);
        let whole = 0;
        let end = 0;
        while (whole < records.length && end + encodeRecord(records[whole]!).length <= cut)
          end += encodeRecord(records[whole++]!).length;
        const { records: left, stop } = parsed(bytes.subarray(0, cut));
        assert.deepEqual(left, records.slice(0, whole));
        assert.deepEqual(stop, cut === end ? null : { reason: "torn", offset: end });
      },
    ),
  );
});

test("a flipped bit anywhere is found: nothing from there on is believed", () => {
  fc.assert(
    fc.property(fc.array(recorded, { minLength: 1 }), fc.nat(), fc.nat({ max: 7 }), (records, at, bit) => {
      const bytes = bytesOf(records);
      const flipped = at % bytes.length;
      bytes[flipped]! ^= 1 << bit;
      const { records: left, stop } = parsed(bytes);
      assert.equal(stop?.reason, "corrupt");
      assert.ok(stop.offset <= flipped);
      assert.deepEqual(left, records.slice(0, left.length));
    }),
  );
});

test("bytes that are no recording give no record, and throw nothing", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 12, maxLength: 500 }), (bytes) => void parsed(bytes)));
});
