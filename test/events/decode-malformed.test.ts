import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { DecodeError, type DecodeErrorCode } from "../../src/errors.ts";
import { decodeEventBatch } from "../../src/events/decode.ts";
import { encodeEventBatch } from "../../src/events/encode.ts";
import { eventBatch } from "./arbitraries.ts";
import { fromHex, GOLDEN_ARRAY, loadFixtures } from "./fixtures.ts";

const STORED: readonly unknown[] = [
  "BlockStored",
  [11, 12],
  10,
  [1, 2, 3, 4],
  2,
  null,
  null,
  null,
  null,
  null,
  null,
  null,
];
/** `[0.0,`: what a batch begins with, up to its events. */
const TS = "92cb0000000000000000";

function pack(value: unknown): Uint8Array {
  return encode(value, { useBigInt64: true });
}

/** `STORED` with another value in one position. */
function stored(position: number, value: unknown): readonly unknown[] {
  return STORED.map((entry, index) => (index === position ? value : entry));
}

function payloadError(payload: Uint8Array): DecodeError {
  try {
    decodeEventBatch(payload);
  } catch (error) {
    assert.ok(error instanceof DecodeError, `threw ${error}`);
    return error;
  }
  assert.fail("the payload was read");
}

const PAYLOADS: readonly (readonly [name: string, payload: Uint8Array, code: DecodeErrorCode, message: RegExp])[] = [
  ["an empty payload", new Uint8Array(), "msgpack", /payload of 0 bytes is cut off/],
  ["a payload that is cut off", GOLDEN_ARRAY.subarray(0, 60), "msgpack", /payload of 60 bytes is cut off/],
  [
    "a payload with bytes after its batch",
    fromHex("92cb00000000000000009000"),
    "msgpack",
    /12 bytes ends its batch after 11/,
  ],
  ["the byte that MessagePack never uses", fromHex(`${TS}91c1`), "msgpack", /byte 11 is 0xc1/],
  ["a string instead of a batch", pack("hello"), "batch", /payload is "hello"/],
  ["nil instead of a batch", pack(null), "batch", /payload is nil/],
  ["an empty batch", pack([]), "batch", /batch has no ts/],
  ["a batch without events", pack([1.5]), "batch", /batch has no events/],
  ["a map batch without events", pack({ ts: 1.5, event: [] }), "batch", /batch has no events/],
  ["a map batch without a time", pack({ events: [] }), "batch", /batch has no ts/],
  ["a batch whose events are no array", pack([1.5, { a: 1 }]), "batch", /events is a value of 4 bytes/],
  ["a batch whose time is no number", pack(["now", []]), "batch", /ts is "now"/],
  ["a batch with a negative rank", pack([1.5, [], -1]), "batch", /data_parallel_rank is -1/],
  ["a batch whose rank is a string", pack([1.5, [], "0"]), "batch", /data_parallel_rank is "0"/],
  [
    "a batch whose rank is a float",
    fromHex(`93${TS.slice(2)}90cb3ff0000000000000`),
    "batch",
    /data_parallel_rank is 1;/,
  ],
  ["2^32 − 1 events in 15 bytes", fromHex(`${TS}ddffffffff`), "msgpack", /cut off/],
  ["2^32 − 1 entries in an event of 6 bytes", fromHex(`${TS}91ddffffffff01`), "msgpack", /cut off/],
  ["2^32 − 1 pairs in an event of 6 bytes", fromHex(`${TS}91dfffffffff01`), "msgpack", /cut off/],
  ["a string of 2^32 − 1 bytes", fromHex(`${TS}91dbffffffff01`), "msgpack", /cut off/],
  ["a binary of 2^32 − 1 bytes", fromHex(`${TS}91c6ffffffff01`), "msgpack", /cut off/],
  ["an extension of 2^32 − 1 bytes", fromHex(`${TS}91c9ffffffff01`), "msgpack", /cut off/],
];
for (const [name, payload, code, message] of PAYLOADS) {
  test(`${name} is refused as ${code}`, () => {
    const error = payloadError(payload);
    assert.equal(error.code, code);
    assert.match(error.message, message);
  });
}

test("a capture cut off anywhere is refused as msgpack", () => {
  for (let length = 0; length < GOLDEN_ARRAY.length; length++) {
    assert.equal(payloadError(GOLDEN_ARRAY.subarray(0, length)).code, "msgpack");
  }
});

const LONG = "x".repeat(500);
const EVENTS: readonly (readonly [name: string, event: unknown, code: DecodeErrorCode, message: RegExp])[] = [
  ["an unknown type", ["BlockMoved", [1]], "event-type", /^event 1 is of type "BlockMoved"/],
  ["an unknown type in a map", { type: "BlockMoved" }, "event-type", /^event 1 is of type "BlockMoved"/],
  ["a type of another case", ["blockstored"], "event-type", /"blockstored"/],
  ["a long type, which is cut", [LONG], "event-type", /of type "x{40}…"/],
  ["a map without a type", { block_hashes: [1] }, "event-type", /^event 1 is a map with keys block_hashes/],
  ["an array without a type", [[1], 2], "event-type", /^event 1 is an array of 2/],
  ["an empty array", [], "event-type", /^event 1 is an array of 0/],
  ["an integer", 7, "event-type", /^event 1 is 7;/],
  ["nil", null, "event-type", /^event 1 is nil;/],
  [
    "too short an array",
    STORED.slice(0, 4),
    "event-fields",
    /^event 1 \(BlockStored\) has 4 entries; expected at least 5/,
  ],
  ["too short a BlockRemoved", ["BlockRemoved"], "event-fields", /^event 1 \(BlockRemoved\) has 1 entries/],
  ["hashes that are no array", stored(1, 11), "event-fields", /^event 1 \(BlockStored\): block_hashes is 11;/],
  ["no hashes", { type: "BlockRemoved" }, "event-fields", /block_hashes is missing/],
  [
    "a hash of 7 bytes",
    stored(1, [1, new Uint8Array(7)]),
    "event-fields",
    /block_hashes\[1\] is 7 bytes 0x00000000000000;/,
  ],
  ["a hash of 33 bytes", stored(1, [1, new Uint8Array(33)]), "event-fields", /block_hashes\[1\] is 33 bytes 0x0{40}…/],
  ["a hash that is a short string", stored(1, ["ab", 1]), "event-fields", /block_hashes\[0\] is 2 bytes 0x6162/],
  ["a hash with a fraction", stored(1, [1, 1.5]), "event-fields", /block_hashes .*float/],
  ["a hash that is nil", stored(1, [1, null]), "event-fields", /block_hashes\[1\] is nil/],
  ["a hash that is a boolean", stored(1, [1, true]), "event-fields", /block_hashes\[1\] is true/],
  ["a parent that is an array", stored(2, [1]), "event-fields", /parent_block_hash is an array of 1/],
  ["tokens that are no array", stored(3, "abcd"), "event-fields", /token_ids is "abcd"/],
  ["tokens that are nil", stored(3, null), "event-fields", /token_ids is nil/],
  [
    "a token too few",
    stored(3, [1, 2, 3]),
    "event-fields",
    /token_ids is an array of 3; expected none, or 2 blocks × 2 = 4 ids/,
  ],
  ["a token too many", stored(3, [1, 2, 3, 4, 5]), "event-fields", /token_ids is an array of 5/],
  [
    "a negative token",
    stored(3, [1, 2, -3, 4]),
    "event-fields",
    /token_ids\[2\] is -3; expected an integer from 0 to 4294967295/,
  ],
  ["a token of 2^32", stored(3, [1, 2, 3, 4294967296n]), "event-fields", /token_ids\[3\] is 4294967296/],
  [
    "a token of 2^64 − 1",
    stored(3, [1, 2, 3, 18446744073709551615n]),
    "event-fields",
    /token_ids\[3\] is 18446744073709551615/,
  ],
  ["a token with a fraction", stored(3, [1, 2, 3, 4.5]), "event-fields", /token_ids .*float/],
  ["a token that is a string", stored(3, [1, 2, 3, "4"]), "event-fields", /token_ids\[3\] is "4"/],
  ["tokens in pairs", stored(3, [[1, 2], 2, 3, 4]), "event-fields", /token_ids\[0\] is an array of 2/],
  [
    "a block size of 0 with tokens",
    stored(4, 0),
    "event-fields",
    /block_size is 0; expected an integer from 1 to 1048576/,
  ],
  ["a negative block size", stored(4, -2), "event-fields", /block_size is -2/],
  ["a block size above 2^20", ["BlockStored", [], null, [], 1048577], "event-fields", /block_size is 1048577/],
  ["a block size that is nil", stored(4, null), "event-fields", /block_size is nil/],
  ["a lora_id that is a string", stored(5, "a"), "event-fields", /lora_id is "a"/],
  ["a medium that is a number", stored(6, 1), "event-fields", /medium is 1; expected a string or nil/],
  ["a lora_name that is a number", stored(7, 1), "event-fields", /lora_name is 1/],
  ["extra keys that are a string", stored(8, "k"), "event-fields", /extra_keys is "k"/],
  [
    "extra keys for fewer blocks",
    stored(8, [null]),
    "event-fields",
    /extra_keys is an array of 1; expected an entry for each of 2/,
  ],
  ["extra keys of a block that are a string", stored(8, [null, "k"]), "event-fields", /extra_keys\[1\] is "k"/],
  ["a group that is a string", stored(9, "0"), "event-fields", /group_idx is "0"/],
  [
    "metadata that is a string",
    { type: "BlockStored", block_hashes: [], token_ids: [], block_size: 1, metadata: "s" },
    "event-fields",
    /metadata is "s"/,
  ],
  ["a salt that is a number", [...STORED.slice(0, 7), { cache_salt: 5 }], "event-fields", /metadata.cache_salt is 5/],
];
for (const [name, event, code, message] of EVENTS) {
  test(`an event with ${name} is an ${code} error and costs itself alone`, () => {
    const { batch, errors } = decodeEventBatch(pack([1.5, [["AllBlocksCleared"], event, STORED], 0]));
    assert.deepEqual(
      batch.events.map(({ type }) => type),
      ["AllBlocksCleared", "BlockStored"],
    );
    assert.deepEqual(
      errors.map((error) => error.code),
      [code],
    );
    assert.match(errors[0]!.message, message);
  });
}

const RAW_EVENTS: readonly (readonly [name: string, hex: string, message: RegExp])[] = [
  ["a token that is the float 1.0", "95ab426c6f636b53746f726564 9101 c0 91cb3ff0000000000000 01", /token_ids .*float/],
  ["a hash that is the float 1.0", "92ac426c6f636b52656d6f766564 91ca3f800000", /block_hashes .*float/],
  ["a key __proto__", "81a95f5f70726f746f5f5f 01", /cannot be decoded: .*__proto__/],
  ["a key that is a binary", "81c40101 01", /cannot be decoded/],
  ["a timestamp of 3 bytes", "91c703ff000000", /cannot be decoded/],
];
for (const [name, hex, message] of RAW_EVENTS) {
  test(`an event with ${name} costs itself alone`, () => {
    const { batch, errors } = decodeEventBatch(
      fromHex(`${TS}92${hex.replaceAll(" ", "")}91b0416c6c426c6f636b73436c6561726564`),
    );
    assert.deepEqual(batch.events, [{ type: "AllBlocksCleared" }]);
    assert.equal(errors.length, 1);
    assert.equal(errors[0]!.code, "event-fields");
    assert.match(errors[0]!.message, message);
  });
}

test("an event nested a million deep is an error of that event alone", () => {
  const deep = Buffer.concat([fromHex(`${TS}92`), Buffer.alloc(1_000_000, 0x91), fromHex("c090")]);
  const { errors } = decodeEventBatch(deep);
  assert.deepEqual(
    errors.map((error) => error.message),
    [
      "event 0 is nested deeper than 32 levels",
      "event 1 is an array of 0; expected an array that begins with its type, or a map with a type",
    ],
  );
});

test("a batch nested a million deep is refused", () => {
  assert.equal(payloadError(Buffer.concat([Buffer.alloc(1_000_000, 0x91), fromHex("c0")])).code, "batch");
});

test("array headers that each claim what is left of the payload are refused before anything is built", () => {
  const claims = Buffer.alloc(1_000_000, fromHex("dd000f0000"));
  assert.equal(payloadError(Buffer.concat([fromHex(TS), claims])).code, "msgpack");
});

test("a payload of empty strings that would take gigabytes is refused", () => {
  const head = fromHex(`${TS}91dd00300000`);
  const error = payloadError(Buffer.concat([head, Buffer.alloc(0x300000, 0xa0)]));
  assert.equal(error.code, "batch");
  assert.match(error.message, /payload of 3145744 bytes would take more than 268435456 bytes/);
});

test("a batch with over 10,000 unreadable events is refused", () => {
  const head = fromHex(`${TS}dc2711`);
  const error = payloadError(Buffer.concat([head, Buffer.alloc(10_001, 0xc0)]));
  assert.equal(error.code, "batch");
  assert.match(error.message, /more than 10000 of the batch's 10001 events cannot be read/);
});

function readOrRefuse(payload: Uint8Array): void {
  try {
    const { errors } = decodeEventBatch(payload);
    assert.ok(errors.every((error) => error instanceof DecodeError));
  } catch (error) {
    assert.ok(error instanceof DecodeError, `threw ${error}`);
  }
}

test("random bytes are read or refused, nothing else", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), readOrRefuse), { numRuns: 2000 });
});

test("a random event in a sound batch is read or refused, nothing else", () => {
  const anything = fc.anything({ withBigInt: false, withObjectString: true }).map((value) => {
    try {
      return encode([1.5, [value, ["BlockStored", value, value, value, value, value]], 0]);
    } catch {
      return new Uint8Array();
    }
  });
  fc.assert(fc.property(anything, readOrRefuse), { numRuns: 1000 });
});

test("mutated payloads are read or refused, nothing else", () => {
  const payloads = [GOLDEN_ARRAY, ...loadFixtures().map(({ payload }) => payload)];
  const mutation = fc.record({
    at: fc.nat(),
    byte: fc.nat(255),
    cut: fc.nat(3),
    insert: fc.uint8Array({ maxLength: 3 }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...payloads),
      fc.array(mutation, { minLength: 1, maxLength: 8 }),
      (payload, mutations) => {
        let mutated = [...payload];
        for (const { at, byte, cut, insert } of mutations) {
          const index = at % (mutated.length + 1);
          mutated = [...mutated.slice(0, index), byte, ...insert, ...mutated.slice(index + cut)];
        }
        readOrRefuse(Uint8Array.from(mutated));
      },
    ),
    { numRuns: 3000 },
  );
});

test("any batch with one byte changed is read or refused, nothing else", () => {
  fc.assert(
    fc.property(eventBatch, fc.boolean(), fc.nat(), fc.nat(255), (batch, map, at, byte) => {
      const payload = encodeEventBatch(batch, { encoding: map ? "map" : "array", mapBatch: map });
      payload[at % payload.length] = byte;
      readOrRefuse(payload);
    }),
    { numRuns: 500 },
  );
});
