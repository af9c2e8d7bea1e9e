import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeZ85, encodeZ85 } from "../../../transports/zmtp/z85.ts";

/** From RFC 32, and a key of libzmq's manual. */
const KNOWN: readonly (readonly [hex: string, text: string])[] = [
  ["864fd26fb559f75b", "HelloWorld"],
  ["bb88471d65e2659b30c55a5321cebb5aab2b70a398645c26dca2b2fcb43fc518", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"],
  ["00000000", "00000"],
  ["ffffffff", "%nSc0"],
  ["", ""],
];

for (const [hex, text] of KNOWN) {
  test(`"${text}" stands for the bytes ${hex}`, () => {
    assert.equal(encodeZ85(Buffer.from(hex, "hex")), text);
    assert.deepEqual(decodeZ85(text), new Uint8Array(Buffer.from(hex, "hex")));
  });
}

test("bytes in any place of any buffer are read as they are", () => {
  const buffer = Buffer.from("0102864fd26fb559f75b03", "hex");
  assert.equal(encodeZ85(buffer.subarray(2, 10)), "HelloWorld");
});

for (const [what, text] of [
  ["a length that is no multiple of five", "HelloWorl"],
  ["a character that is none of the 85", "Hello Worl"],
  ["a character beyond ASCII", "HelloW\u00f6rld".slice(0, 10)],
  ["a group worth 2^32", "%nSc1"],
  ["a group worth all it can", "#####"],
] as const) {
  test(`${what} is refused`, () => assert.equal(decodeZ85(text), null));
}

test("any bytes in fours come back from their text", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const even = bytes.subarray(0, bytes.length - (bytes.length % 4));
      const text = encodeZ85(even);
      assert.equal(text.length, (even.length / 4) * 5);
      assert.deepEqual(decodeZ85(text), new Uint8Array(even));
    }),
  );
});

test("any text is refused, or is the text of what it stands for", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40, unit: "binary-ascii" }), (text) => {
      const bytes = decodeZ85(text);
      if (bytes !== null) assert.equal(encodeZ85(bytes), text);
    }),
  );
});
