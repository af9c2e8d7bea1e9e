import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import { encodeEventBatch } from "../../src/events/encode.ts";
import type { EventBatch } from "../../src/events/event.ts";
import { FastDecoder } from "../../src/events/fast-decoder.ts";
import { PackedBatch, unpackEvent } from "../../src/events/packed-batch.ts";
import { checkSame, inTheMidst } from "./agreement.ts";
import { eventBatch } from "./arbitraries.ts";
import { GOLDEN_ARRAY, loadFixtures } from "./fixtures.ts";

/** Batches as engines send them, and bytes that look like them. */
const encoded = fc
  .record({
    batch: eventBatch,
    encoding: fc.constantFrom("array" as const, "map" as const),
    mapBatch: fc.boolean(),
    hashForm: fc.constantFrom("int" as const, "signed" as const, "bytes8" as const, "bytes32" as const),
    storedEntries: fc.constantFrom(6 as const, 7 as const, 8 as const, 9 as const, 10 as const, 12 as const),
  })
  .map(({ batch, ...options }) => encodeEventBatch(batch, options));

const noise = fc.uint8Array({ maxLength: 12 });

describe("decodePackedBatch", () => {
  it("agrees with decodeEventBatch on whatever an engine encodes, wherever it stands in memory", () => {
    fc.assert(
      fc.property(encoded, noise, noise, (payload, before, after) => checkSame(inTheMidst(payload, before, after))),
      { numRuns: 400 },
    );
  });

  it("agrees with it on every prefix of that, and with any bytes changed", () => {
    const change = fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }) });
    fc.assert(
      fc.property(encoded, fc.array(change, { maxLength: 3 }), fc.nat(), noise, (payload, changes, cut, after) => {
        const bytes = Uint8Array.from(payload);
        for (const { at, to } of changes) bytes[at % bytes.length] = to;
        checkSame(inTheMidst(bytes, new Uint8Array(), after));
        checkSame(inTheMidst(bytes.subarray(0, cut % bytes.length), new Uint8Array(), after));
      }),
      { numRuns: 1500 },
    );
  });

  it("agrees with it on any value of MessagePack, and on any bytes", () => {
    fc.assert(
      fc.property(fc.anything({ maxDepth: 3, withBigInt: false, withDate: false }), (value) => {
        try {
          checkSame(encode(value));
        } catch (error) {
          if (!(error instanceof Error) || !/Unrecognized|Too deep/.test(error.message)) throw error;
        }
      }),
      { numRuns: 300 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), checkSame), { numRuns: 500 });
  });

  it("agrees with it on what real encoders made", () => {
    for (const { payload } of loadFixtures()) checkSame(payload);
    checkSame(GOLDEN_ARRAY);
  });

  it("agrees with it on shapes at the edge of what is read fast", () => {
    const stored = (more: object = {}): object => ({
      type: "BlockStored",
      block_hashes: [2 ** 32 - 1, 2 ** 40],
      parent_block_hash: null,
      token_ids: [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1],
      block_size: 4,
      ...more,
    });
    const values: unknown[] = [
      [1.5, [stored()]],
      [1.5, [stored({ extra_keys: [null, null] })], 3],
      [1.5, [stored({ extra_keys: [null] })]],
      [1.5, [stored({ extra_keys: [] })]],
      [1.5, [stored({ extra_keys: [["salt"], null] })]],
      [1.5, [stored({ token_ids: [] })]],
      [1.5, [stored({ token_ids: [], block_size: 0 })]],
      [1.5, [stored({ block_size: 0 })]],
      [1.5, [stored({ block_size: 2 ** 20 + 1, token_ids: [] })]],
      [1.5, [stored({ token_ids: [-1, 1, 1, 1, 1, 1, 1, 1] })]],
      [1.5, [stored({ lora_id: -1 })]],
      [1.5, [stored({ lora_name: "ä" })]],
      [1.5, [stored({ medium: "x".repeat(65) })]],
      [1.5, [{ block_hashes: [1], type: "BlockRemoved" }]],
      [1.5, [{ type: "BlockRemoved", block_hashes: [new Uint8Array(32).fill(7), new Uint8Array(8).fill(9)] }]],
      [1.5, [{ type: "BlockRemoved", block_hashes: [new Uint8Array(9)] }]],
      [1.5, [["AllBlocksCleared"], ["AllBlocksCleared", 1], { type: "AllBlocksCleared" }]],
      [1.5, [["BlockStored", [1], null, [1], 1, null, null, null, null, 0, "full_attention", 9]]],
      [1.5, [["BlockStored", [1], null, [1], 1, null, null, [["x"]]]]],
      [1, [stored()]],
      [1.5, [stored({ extra_keys: [["x"], ["x"]] })]],
      [
        1.5,
        [
          stored({
            extra_keys: [
              ["x", ["y", 1]],
              ["x", ["z", 1]],
            ],
          }),
        ],
      ],
      [1.5, [stored({ extra_keys: [[[[[["deep"]]]]], [{ key: 1 }]] })]],
      [1.5, [stored({ extra_keys: [["x"], "x"] })]],
      [1.5, [stored({ extra_keys: [["x"]] })]],
      [1.5, [stored({ extra_keys: [[new Uint8Array(300)], ["ä"]] })]],
      [1.5, [stored({ extra_keys: [[-1, -200, 2 ** 40, 1.5, true, false, null], []] })]],
      [1.5, [stored({ metadata: { cache_salt: "s" } })]],
      [1.5, [stored({ metadata: { cache_salt: null } }), stored({ metadata: {} }), stored({ metadata: null })]],
      [1.5, [stored({ metadata: { cache_salt: 1 } }), stored({ metadata: { cache_salt: "s", more: 1 } })]],
      [1.5, [["BlockStored", [1], null, [1], 1, null, null, { cache_salt: "s" }]]],
      [1.5, [["BlockStored", [1], null, [1], 1, null, null, "sql", null, 0, null, null, { cache_salt: "s" }]]],
      [1.5, [["BlockStored", [1], null, [1], 1, null, null, {}, { cache_salt: "s" }]]],
      [1.5, [["BlockStored", [1], null, [1], 1, null, { cache_salt: "s" }]]],
      [1.5, [["BlockStored", [1], null, [1], 1, null, null, null, null, null, null, null, "more"]]],
      [1.5, [["BlockRemoved", [1], null, 2, 3]]],
      [
        1.5,
        [stored({ block_hashes: ["8 bytes.", "thirty-two bytes of a SHA-256 ..."], parent_block_hash: "7 bytes" })],
      ],
      [1.5, [stored({ block_hashes: ["8 bytes.", "thirty-two bytes of a SHA-256..."] })]],
      [1.5, [stored({ lora_name: "x".repeat(255) }), stored({ lora_name: "x".repeat(256) })]],
      { ts: 1.5, events: [stored()], data_parallel_rank: 2 },
      { events: [stored()], ts: 1.5 },
      { ts: 1.5 },
      { ts: 1.5, events: [], more: 1 },
    ];
    for (const value of values) checkSame(encode(value));
  });

  it("reads what engines send nearly always by itself", () => {
    const batch = new PackedBatch();
    const fast = new FastDecoder();
    for (const encoding of ["array", "map"] as const) {
      for (const hashForm of ["int", "signed", "bytes8", "bytes32"] as const) {
        const events: EventBatch["events"] = [
          {
            type: "BlockStored",
            blockHashes: [1n, 2n ** 63n + 5n],
            parentBlockHash: 3n,
            tokenIds: Uint32Array.of(1, 200, 70_000, 2 ** 31),
            blockSize: 2,
            loraId: 4,
            loraName: "sql",
            medium: "GPU",
            extraKeys: [["sql", ["image", 7]], null],
            groupIdx: 0,
            kvCacheSpecKind: "full_attention",
            kvCacheSpecSlidingWindow: 128,
            cacheSalt: "tenant",
          },
          { type: "BlockRemoved", blockHashes: [2n ** 63n], medium: "CPU", groupIdx: null },
          { type: "AllBlocksCleared" },
        ];
        const payload = encodeEventBatch({ ts: 1.25, events, dataParallelRank: 1 }, { encoding, hashForm });
        batch.clear();
        assert.equal(fast.decode(payload, batch), true, `${encoding} ${hashForm}`);
        assert.equal(fast.otherEvents, 0, `${encoding} ${hashForm}`);
        assert.deepEqual(
          Array.from({ length: batch.eventCount }, (_, i) => unpackEvent(batch, i)),
          events,
        );
      }
    }
    batch.clear();
    assert.equal(fast.decode(GOLDEN_ARRAY, batch), true);
  });

  it("leaves an event that it does not know to the library, and that event alone", () => {
    const known = ["BlockRemoved", [1, 2]];
    const more = { type: "BlockRemoved", block_hashes: [3], more: { of: ["what", "nobody knows"] } };
    const payload = encode([1.5, [known, more, ["BlockMoved"], known]]);
    const batch = new PackedBatch();
    const fast = new FastDecoder();
    assert.equal(fast.decode(payload, batch), true);
    assert.deepEqual([fast.otherEvents, batch.eventCount, batch.errors.length], [2, 3, 1]);
    assert.deepEqual([...batch.hashes.subarray(0, 2 * batch.hashCount)], [1, 0, 2, 0, 3, 0, 1, 0, 2, 0]);
    checkSame(payload);
  });

  it("agrees with it on removals that follow each other, whatever stands between them, cut off anywhere", () => {
    const hash = fc.bigInt(0n, 2n ** 64n - 1n);
    const usual = fc.tuple(hash, fc.constantFrom("GPU", "GPU", "CPU"));
    const other = fc.constantFrom<readonly unknown[]>(
      ["BlockRemoved", [1]],
      ["BlockRemoved", [2n ** 63n, 2n ** 62n], "GPU"],
      ["BlockRemoved", 7],
      ["BlockMoved"],
      ["AllBlocksCleared"],
      ["BlockStored", [2n ** 63n], null, [1, 2], 2],
    );
    const asArray = ([of, medium]: [bigint, string]): unknown => ["BlockRemoved", [of], medium];
    const asMap = ([of, medium]: [bigint, string]): unknown => ({ type: "BlockRemoved", block_hashes: [of], medium });
    const event = fc.oneof({ weight: 6, arbitrary: usual.map(asArray) }, usual.map(asMap), other);
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.nat(), fc.nat(), (events, cut, claimed) => {
        const payload = encode([1.5, events, 0], { useBigInt64: true });
        checkSame(payload);
        checkSame(payload.subarray(0, cut % (payload.length + 1)));
        // Of an array of up to 15 events the head says how many; more or fewer follow then.
        if (events.length > 15) return;
        payload[10] = 0x90 | (claimed % 16);
        checkSame(payload);
      }),
      { numRuns: 2_000 },
    );
  });

  it("agrees with it where many events cannot be read", () => {
    for (const bad of [63, 64, 65, 200]) {
      const events = Array.from({ length: bad }, (_, i) => ["BlockStored", [i], null, [1, 2, 3], 2]);
      checkSame(encode([1.5, [["AllBlocksCleared"], ...events, ["BlockRemoved", [1]]]]));
    }
  });

  it("reads each payload as if it were the first, however long the one before", () => {
    const short = encode([1.5, [["BlockRemoved", [1]]]]);
    const tokenIds = [...new Uint32Array(150_000).fill(2 ** 20)];
    const long = encode([1.5, [["BlockStored", [1], null, tokenIds, 150_000]]]);
    for (const payload of [short, long, short, short.subarray(0, -1), long.subarray(0, -3), short]) checkSame(payload);
  });

  it("shares no memory with what comes next", () => {
    const stored = (key: number): Uint8Array =>
      encode([1.5, [["BlockStored", [1], null, [1], 1, null, null, null, [[new Uint8Array(9).fill(key)]]]]]);
    const batch = new PackedBatch();
    decodePackedBatch(stored(7), batch);
    const { extraKeys } = batch.events[0]!;
    decodePackedBatch(stored(8), batch);
    assert.deepEqual(extraKeys, [[new Uint8Array(9).fill(7)]]);
  });

  it("gives back the room that an outlier took", () => {
    const batch = new PackedBatch();
    const tokenIds = new Uint32Array(200_000);
    const event = { type: "BlockStored", block_hashes: [1], token_ids: [...tokenIds], block_size: 200_000 };
    decodePackedBatch(encode([1.5, [event]]), batch);
    assert.ok(batch.tokens.length >= 200_000);
    decodePackedBatch(encode([1.5, []]), batch);
    assert.ok(batch.tokens.length <= 65_536);
  });

  it("agrees with it on a batch that costs just too much", () => {
    const blocks = 1_024;
    const hash = Uint8Array.of(0xc4, 8, 1, 2, 3, 4, 5, 6, 7, 8);
    const event = Buffer.concat([
      Buffer.of(0x99),
      encode("BlockStored"),
      ...arrayOf(blocks, hash),
      Buffer.of(0xc0, 0x90, 0, 0xc0, 0xc0, 0xc0),
      ...arrayOf(blocks, Uint8Array.of(0xc0)),
    ]);
    checkSame(batchOf(1_950, event));
  });

  it("makes no more room than a batch may cost, whatever a payload asks for", () => {
    const fast = new FastDecoder();
    const removed = Buffer.concat([Buffer.of(0x92), encode("BlockRemoved"), Buffer.of(0x90)]);
    const many = new PackedBatch();
    assert.equal(fast.decode(batchOf(200_000, removed), many), false);
    assert.ok(many.events.length <= 65_536, `${many.events.length} events`);
    const tokens = Buffer.concat(arrayOf(17_000_000, Uint8Array.of(7)));
    const stored = Buffer.concat([
      Buffer.of(0x95),
      encode("BlockStored"),
      Buffer.of(0x91, 1, 0xc0),
      tokens,
      Buffer.of(1),
    ]);
    const wide = new PackedBatch();
    assert.equal(fast.decode(batchOf(1, stored), wide), false);
    assert.ok(wide.tokens.length <= 65_536, `${wide.tokens.length} tokens`);
  });

  it("keeps nothing of a payload once it is cleared", () => {
    const batch = new PackedBatch();
    const more = [4, "cpu", "sql", [[new Uint8Array(100)]], null, "mamba"];
    decodePackedBatch(encode([1.5, [["BlockStored", [1], null, [1], 1, ...more]]]), batch);
    const event = batch.events[0]!;
    assert.notEqual(event.extraKeys, null);
    batch.clear();
    const { extraKeys, loraName, medium, kvCacheSpecKind, cacheSalt } = event;
    assert.deepEqual([extraKeys, loraName, medium, kvCacheSpecKind, cacheSalt], [null, null, null, null, null]);
  });
});

/** An array of the same bytes again and again. */
function arrayOf(count: number, entry: Uint8Array): [Buffer, Buffer] {
  const head = Buffer.of(0xdd, 0, 0, 0, 0);
  head.writeUInt32BE(count, 1);
  return [head, Buffer.alloc(entry.length * count, entry)];
}

function batchOf(count: number, event: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0x92), encode(1.5), ...arrayOf(count, event)]);
}
