import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import { PackedBatch, tokensOf } from "../../src/events/packed-batch.ts";
import { SimdTokens, simdTokens } from "../../src/events/simd-tokens.ts";
import { tokenIds } from "../../src/events/usual-event.ts";
import { MEMORY } from "../../src/events/wire-reader.ts";

const simd = simdTokens()!;
const plain = new Uint32Array(simd.tokens.length);

/** Bytes that are token ids, in any form, not the shortest one only. */
const integer = fc.oneof(
  fc.integer({ min: 0, max: 0x7f }).map((byte) => [byte]),
  fc.tuple(fc.constant(0xcc), byte()),
  fc.tuple(fc.constant(0xcd), byte(), byte()),
  fc.tuple(fc.constant(0xce), byte(), byte(), byte(), byte()),
);
const integers = fc.array(integer, { maxLength: 60 });

function byte(): fc.Arbitrary<number> {
  // Those that look like a head or like none, among all others.
  return fc.oneof(
    fc.integer({ min: 0, max: 0xff }),
    fc.constantFrom(0, 0x7f, 0x80, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xff),
  );
}

/** Reads so many token ids by both, from where these bytes are put in memory, to words from `first` on. */
function read(bytes: readonly number[], at: number, first: number, count: number): Uint32Array | null {
  MEMORY.fill(0xc1, at, at + bytes.length + 300);
  MEMORY.set(bytes, at);
  simd.tokens.fill(7, 0, 200);
  plain.fill(7, 0, 200);
  const [after, position] = [simd.tokens, plain].map((tokens) => tokenIds(at, tokens, first, first + count));
  assert.equal(after, position);
  if (after === -1) return null;
  assert.deepEqual(simd.tokens.subarray(0, 200), plain.subarray(0, 200));
  return plain.slice(first, first + count);
}

/** What `readNames` reads of these, put in memory from `at` on. */
function readNames(names: readonly bigint[], at: number, heads: readonly number[]): Uint32Array | null {
  MEMORY.fill(0xc1, at, at + 9 * names.length + 20);
  for (const [i, name] of names.entries()) {
    MEMORY[at + 9 * i] = heads[i]!;
    MEMORY.writeBigUInt64BE(name, at + 9 * i + 1);
  }
  const words = new Uint32Array(2 * names.length + 6).fill(7);
  const end = simd.readNames(at, names.length, words, 3);
  assert.ok(words.subarray(0, 3).every((word) => word === 7));
  assert.ok(words.subarray(3 + 2 * names.length).every((word) => word === 7));
  if (end < 0) {
    assert.ok(words.every((word) => word === 7));
    return null;
  }
  assert.equal(end, at + 9 * names.length);
  return words.subarray(3, 3 + 2 * names.length);
}

describe("SimdTokens", () => {
  it("reads token ids in any form, to any place, and leaves all other words alone", () => {
    fc.assert(
      fc.property(integers, fc.integer({ min: 4, max: 40 }), fc.nat({ max: 20 }), (some, at, first) => {
        const values = some.map((bytes) =>
          bytes.slice(bytes.length > 1 ? 1 : 0).reduce((sum, each) => 256 * sum + each),
        );
        assert.deepEqual(read(some.flat(), at, first, some.length), Uint32Array.from(values));
      }),
      { numRuns: 2_000 },
    );
  });

  it("reads what plain JavaScript reads of any bytes, cut off anywhere", () => {
    const bytes = fc.oneof(
      fc.array(byte(), { maxLength: 120 }),
      fc.tuple(integers, fc.nat(), byte()).map(([some, at, to]) => {
        const all = some.flat();
        if (all.length > 0) all[at % all.length] = to;
        return all;
      }),
    );
    let refused = 0;
    let accepted = 0;
    fc.assert(
      fc.property(bytes, fc.nat({ max: 40 }), fc.nat(), (all, count, cut) => {
        if (read(all, 10, 3, count) === null) refused++;
        else accepted++;
        read(all.slice(0, cut % (all.length + 1)), 10, 3, count);
      }),
      { numRuns: 4_000 },
    );

    assert.ok(refused > 200 && accepted > 200, `${refused} refused, ${accepted} accepted`);
  });

  it("refuses each head that begins no unsigned integer up to 32 bits, in each place", () => {
    for (let head = 0; head < 256; head++) {
      const isToken = head < 0x80 || (head >= 0xcc && head <= 0xce);
      for (let place = 0; place < 17; place++) {
        const bytes = [...new Array<number>(place).fill(1), head, ...new Array<number>(20).fill(2)];
        assert.equal(read(bytes, 4, 0, 17) !== null, isToken, `${head} at ${place}`);
      }
    }
  });

  it("reads to the last of its words, and from the last bytes of a payload", () => {
    const last = simd.tokens.length;
    const bytes = [1, 2, 3, 0xce, 0, 1, 0, 0, 4, 5, 6, 0xcc, 7];
    const tokens = Uint32Array.of(1, 2, 3, 65_536, 4, 5, 6, 7);
    assert.deepEqual(read(bytes, simd.payload.length - 400, last - 8, 8), tokens);
    MEMORY.set(bytes, MEMORY.length - bytes.length);
    assert.equal(simd.read(MEMORY.length - bytes.length, 8, 16), MEMORY.length);
    assert.deepEqual(simd.tokens.slice(8, 16), tokens);
  });

  it("has the tokens of the first batch, and of that one only", () => {
    const payload = (token: number): Uint8Array =>
      encode([1.5, [["BlockStored", [1], null, new Array(16).fill(token), 16]], 0]);
    assert.ok(simd.isFree);
    const [one, other] = [new PackedBatch(), new PackedBatch()];
    for (const token of [100_000, 200_000]) {
      decodePackedBatch(payload(token), one);
      decodePackedBatch(payload(7), other);
      assert.deepEqual(tokensOf(one, one.events[0]!), new Uint32Array(16).fill(token));
      assert.deepEqual(tokensOf(other, other.events[0]!), new Uint32Array(16).fill(7));
    }
    assert.ok(!simd.isFree);
    assert.equal(one.tokens, simd.tokens);
    assert.notEqual(other.tokens, simd.tokens);
  });

  it("has them again once they fit again", () => {
    const batch = new PackedBatch();
    batch.keepTokensIn(plain);
    batch.clear();
    assert.equal(batch.tokens, plain);
    batch.reserveTokens(65_536);
    assert.equal(batch.tokens, plain);
    batch.tokens.set([5, 6]);
    batch.tokenCount = 2;
    batch.reserveTokens(65_535);
    assert.notEqual(batch.tokens, plain);
    assert.deepEqual(batch.tokens.slice(0, 2), Uint32Array.of(5, 6));
    batch.clear();
    assert.equal(batch.tokens, plain);
  });

  it("reads names, the lower word first, and refuses what is none, in each place", () => {
    const pairs = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 80 });
    fc.assert(
      fc.property(pairs, fc.nat({ max: 40 }), fc.nat(), byte(), (all, at, place, head) => {
        const names = all.slice(0, all.length & ~1);
        const heads = names.map(() => 0xcf);
        const words = names.flatMap((name) => [Number(name & 0xffff_ffffn), Number(name >> 32n)]);
        assert.deepEqual(readNames(names, at, heads), Uint32Array.from(words));
        if (names.length === 0) return;
        heads[place % names.length] = head;
        assert.equal(readNames(names, at, heads) === null, head !== 0xcf);
      }),
      { numRuns: 500 },
    );
  });

  it("reads as many names as it has room for, up to the end of the payload", () => {
    const names = Array.from({ length: SimdTokens.mostNames }, (_, i) => 2n ** 63n + BigInt(i));
    const words = readNames(
      names,
      MEMORY.length - 9 * names.length - 20,
      names.map(() => 0xcf),
    );
    assert.deepEqual(words?.subarray(-2), Uint32Array.of(names.length - 1, 2 ** 31));
  });
});
