import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import { encodeEventBatch } from "../../src/events/encode.ts";
import type { BlockStored } from "../../src/events/event.ts";
import { EventReader } from "../../src/events/event-reader.ts";
import { PackedBatch, unpackEvent } from "../../src/events/packed-batch.ts";
import { SimdTokens } from "../../src/events/simd-tokens.ts";
import { UsualEvent } from "../../src/events/usual-event.ts";
import { WireReader } from "../../src/events/wire-reader.ts";
import { checkSame, inTheMidst } from "./agreement.ts";
import { blockStored } from "./arbitraries.ts";

const STORED = {
  type: "BlockStored",
  blockHashes: [2n ** 64n - 5n],
  parentBlockHash: 2n ** 63n + 7n,
  tokenIds: Uint32Array.of(7, 200, 60_000, 120_000, 2 ** 32 - 1),
  blockSize: 5,
  loraId: null,
  loraName: null,
  medium: "GPU",
  extraKeys: null,
  groupIdx: null,
  kvCacheSpecKind: null,
  kvCacheSpecSlidingWindow: null,
  cacheSalt: null,
} as const;

/** Of more blocks than one. */
const LONGER = {
  ...STORED,
  blockHashes: [2n ** 64n - 6n, 2n ** 63n + 8n, 2n ** 62n + 9n],
  tokenIds: Uint32Array.from({ length: 15 }, (_, i) => STORED.tokenIds[i % 5]! - i),
};

const TOKENLESS = { ...STORED, tokenIds: new Uint32Array() };

const ENCODINGS = ["map", "array"] as const;

const batch = new PackedBatch();
/** Decodes it, so that the next one like it is what is usual. */
const decoded = (payload: Uint8Array): void => decodePackedBatch(payload, batch);

/** A batch with one event, a map of these pairs in this order. */
function mapBatch(pairs: readonly (readonly [string, unknown])[]): Uint8Array {
  const event = [Buffer.of(0x80 | pairs.length), ...pairs.flat().map((value) => encode(value, { useBigInt64: true }))];
  return Buffer.concat([Buffer.of(0x93), encode(1.5), Buffer.of(0x91), ...event, Buffer.of(0)]);
}

const PAIRS: readonly (readonly [string, unknown])[] = [
  ["type", "BlockStored"],
  ["block_hashes", [2n ** 63n + 1n]],
  ["parent_block_hash", 2n ** 63n + 2n],
  ["token_ids", [1, 300, 70_000, 9]],
  ["block_size", 4],
  ["lora_id", null],
  ["medium", "GPU"],
  ["lora_name", null],
  ["extra_keys", [["sql"]]],
];

describe("UsualEvent", () => {
  it("reads an event that ends like the last one by itself, and leaves the tail alone of any other", () => {
    for (const encoding of ENCODINGS) {
      const reader = new WireReader();
      const usual = new UsualEvent(reader);
      const events = new EventReader(reader, usual);
      const start = 11;
      const load = (medium: string): number => {
        const payload = encodeEventBatch(
          { ts: 1.5, events: [{ ...STORED, medium }], dataParallelRank: 0 },
          { encoding },
        );
        reader.load(payload);
        batch.clear();
        return payload.length - 1;
      };
      for (const medium of ["GPU", "CPU"]) {
        const end = load(medium);
        assert.equal(usual.read(start, batch), -1, `${encoding} ${medium}`);
        assert.notEqual(usual.tailAt, -1, `${encoding} ${medium}`);
        assert.equal(events.read(start, batch, 1), end);
        assert.deepEqual(unpackEvent(batch, 0), { ...STORED, medium });
        load(medium);
        assert.equal(usual.read(start, batch), end, `${encoding} ${medium}`);
        assert.equal(usual.tailAt, -1);
        assert.deepEqual(unpackEvent(batch, 0), { ...STORED, medium });
      }
    }
  });

  it("agrees with decodeEventBatch on a usual event with any byte changed, and on each beginning of it", () => {
    for (const encoding of ENCODINGS) {
      // Tails of all lengths, as far as words are concerned.
      const media = ["G", "GP", "GPU", "CPU2", "CPU_3", "DISK_4", "TIER__5", "TIER___6"];
      const events = media.map((medium) => ({ ...STORED, medium }));
      for (const event of [...events, LONGER, { ...STORED, extraKeys: [["sql"]], parentBlockHash: null }]) {
        const usual = encodeEventBatch({ ts: 1.5, events: [event, event], dataParallelRank: 0 }, { encoding });
        for (let at = 0; at < usual.length; at++) {
          for (const to of [0x00, 0x80, 0x91, 0xc0, 0xc1, 0xce, 0xdc, usual[at]! ^ 1]) {
            decoded(usual);
            const changed = Uint8Array.from(usual);
            changed[at] = to;
            checkSame(changed);
          }
          decoded(usual);
          checkSame(usual.subarray(0, at));
        }
      }
    }
  });

  it("agrees with it on keys in another order, left out or repeated, after a run of events with the same keys", () => {
    const chosen = fc.array(fc.nat(PAIRS.length - 1), { minLength: 1, maxLength: 15 });
    const anyOrder = fc.oneof(fc.shuffledSubarray([...PAIRS.keys()]), chosen);
    // What is usual itself, too, may stand in another order, as far as it is an event.
    const usualOrder = fc.oneof(
      fc.constant([...PAIRS.keys()]),
      fc.shuffledSubarray([4, 5, 6, 7, 8], { minLength: 5 }).map((tail) => [0, 1, 2, 3, ...tail]),
    );
    fc.assert(
      fc.property(usualOrder, anyOrder, (usual, order) => {
        const pairs = (places: readonly number[]): Uint8Array => mapBatch(places.map((place) => PAIRS[place]!));
        for (let i = 0; i < 3; i++) decoded(pairs(usual));
        checkSame(pairs(order));
        checkSame(pairs(usual));
      }),
      { numRuns: 1_000 },
    );
  });

  it("agrees with it on events of an engine, of any sizes, that end in the same way or nearly so", () => {
    const hash = fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, (1n << 64n) - 1n));
    const events = blockStored.chain((first) =>
      fc.array(
        fc
          .record({
            hashes: fc.array(hash, { maxLength: 20 }),
            parent: fc.option(hash),
            isSame: fc.boolean(),
            seed: fc.nat(),
          })
          .map(({ hashes, parent, isSame, seed }) => {
            // Extra keys are for as many blocks as the first one has: those of other events do not fit.
            const blockHashes = isSame ? first.blockHashes : hashes;
            const tokenIds = Uint32Array.from(
              { length: blockHashes.length * first.blockSize },
              (_, i) => Math.imul(seed, i * i) >>> (seed % 32),
            );
            return { ...first, blockHashes, parentBlockHash: parent, tokenIds };
          }),
        { minLength: 1, maxLength: 6 },
      ),
    );
    const options = fc.record({
      encoding: fc.constantFrom(...ENCODINGS),
      hashForm: fc.constantFrom("int" as const, "signed" as const, "bytes8" as const, "bytes32" as const),
      storedEntries: fc.constantFrom(6 as const, 7 as const, 8 as const, 9 as const, 10 as const, 12 as const),
    });
    const change = fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }) });
    fc.assert(
      fc.property(events, options, fc.array(change, { maxLength: 2 }), fc.nat(), (all, how, changes, cut) => {
        const payload = encodeEventBatch({ ts: 1.5, events: all, dataParallelRank: 0 }, how);
        checkSame(payload);
        checkSame(payload);
        const bytes = Uint8Array.from(payload);
        for (const { at, to } of changes) bytes[at % bytes.length] = to;
        checkSame(inTheMidst(bytes, Uint8Array.of(1), Uint8Array.of(0xc0)));
        decoded(payload);
        checkSame(payload.subarray(0, cut % payload.length));
      }),
      { numRuns: 600 },
    );
  });

  it("agrees with it on payloads that just fit in the memory, or just do not", () => {
    for (const encoding of ENCODINGS) {
      const make = (count: number, extra: number): Uint8Array => {
        const events = [{ ...STORED, cacheSalt: "s".repeat(extra) }, ...new Array<typeof STORED>(count).fill(STORED)];
        return encodeEventBatch({ ts: 1.5, events, dataParallelRank: 0 }, { encoding });
      };
      const each = (make(200, 0).length - make(100, 0).length) / 100;
      const count = Math.floor((2 ** 18 - 400) / each);
      const shortest = make(count, 40).length;
      for (let wanted = 2 ** 18 - 110; wanted < 2 ** 18 + 8; wanted++) {
        const payload = make(count, 40 + wanted - shortest);
        decoded(payload);
        assert.equal(batch.eventCount, count + 1);
        assert.deepEqual(unpackEvent(batch, count), STORED);
      }
      checkSame(make(count, 40 + 2 ** 18 - 60 - shortest));
    }
  });

  it("agrees with it on more tokens than a batch keeps room for, and on what comes behind them and next", () => {
    const counts = [20_000, 19_999, 20_001, 20_002, 5];
    const events = counts.map((blockSize) => {
      const tokenIds = Uint32Array.from({ length: blockSize }, (_, i) => i % 100);
      return { ...STORED, tokenIds, blockSize };
    });
    for (const encoding of ENCODINGS) {
      const payload = encodeEventBatch({ ts: 1.5, events, dataParallelRank: 0 }, { encoding });
      for (let i = 0; i < 3; i++) checkSame(payload);
    }
  });

  it("agrees with it on more names than are read together, cut off anywhere, and with any of them another", () => {
    for (const encoding of ENCODINGS) {
      for (const count of [SimdTokens.mostNames, SimdTokens.mostNames + 1, 25_000]) {
        const blockHashes = Array.from({ length: count }, (_, i) => 2n ** 63n + BigInt(i));
        const event = { ...STORED, blockHashes, tokenIds: new Uint32Array(), blockSize: 0 };
        const payload = Buffer.from(encodeEventBatch({ ts: 1.5, events: [event], dataParallelRank: 0 }, { encoding }));
        checkSame(payload);
        checkSame(payload.subarray(0, payload.length - 9 * 100));
        for (const name of [0, 1, count - 2, count - 1]) {
          const other = Buffer.from(payload);
          other[other.indexOf(0xcf) + 9 * name] = 0xd3;
          checkSame(other);
        }
      }
    }
  });

  it("agrees with it on a tail that does not go with the hashes or tokens before it", () => {
    const usual: readonly (readonly [string, unknown])[] = PAIRS.map(([name, value]) => [name, value]);
    const others: readonly (readonly [string, unknown])[] = [
      ["token_ids", [1, 2, 3]],
      ["token_ids", []],
      ["token_ids", [1, 2, 3, 4, 5, 6, 7, 8]],
      ["block_hashes", []],
      ["block_hashes", [1, 2]],
    ];
    for (const [name, value] of others) {
      decoded(mapBatch(usual));
      checkSame(mapBatch(usual.map((pair) => (pair[0] === name ? [name, value] : pair))));
    }
    // Twice as much of both: the extra keys alone are too few.
    const twice: Readonly<Record<string, unknown>> = { block_hashes: [1, 2], token_ids: [1, 2, 3, 4, 5, 6, 7, 8] };
    decoded(mapBatch(usual));
    checkSame(mapBatch(usual.map(([name, value]) => [name, twice[name] ?? value])));
  });

  it("leaves nothing in the batch of an event whose tail cannot be read", () => {
    const [good, bad] = [PAIRS, PAIRS.map(([name, value]) => [name, name === "medium" ? 7 : value] as const)];
    const payload = encode([1.5, [good, bad, good].map((pairs) => Object.fromEntries(pairs)), 0], {
      useBigInt64: true,
    });
    decoded(payload);
    assert.deepEqual([batch.eventCount, batch.errors.length], [2, 1]);
    // Each has a place for its parent.
    assert.deepEqual([batch.hashCount, batch.tokenCount], [4, 8]);
    checkSame(payload);
  });

  it("reads nothing behind the memory, whatever a payload claims that is cut off", () => {
    const one = (event: BlockStored, encoding: "map" | "array"): Buffer =>
      Buffer.from(encodeEventBatch({ ts: 1.5, events: [event], dataParallelRank: 0 }, { encoding }));
    // Nothing but long tokens, which stay there.
    const long = { ...STORED, tokenIds: new Uint32Array(52_000).fill(2 ** 31), blockSize: 52_000 };
    const short = one(TOKENLESS, "array");
    const head = short.subarray(0, short.indexOf(0x90, 12));
    for (let behind = 0; behind < 5; behind++) {
      decoded(one(long, "array"));
      checkSame(Buffer.concat([head, Buffer.of(0xdc, 0xff, 0xff), Buffer.alloc(behind, 0xce)]));
    }
    // The tail of an event without tokens would reach behind it.
    const make = (ones: number): Buffer => {
      const tokenIds = Uint32Array.from({ length: 52_000 + ones }, (_, i) => (i < ones ? 1 : 2 ** 31));
      const events = [{ ...STORED, tokenIds, blockSize: tokenIds.length }, TOKENLESS, TOKENLESS];
      return Buffer.from(encodeEventBatch({ ts: 1.5, events, dataParallelRank: 0 }, { encoding: "map" }));
    };
    const least = make(0).lastIndexOf("block_size");
    for (let end = 2 ** 18 - 56; end < 2 ** 18 - 40; end++) checkSame(make(end - least).subarray(0, end));
  });

  it("tells an event of another engine, and of the same one later, by its own tail", () => {
    const payload = (encoding: "map" | "array", medium: string): Uint8Array =>
      encodeEventBatch({ ts: 1.5, events: [{ ...STORED, medium }], dataParallelRank: 0 }, { encoding });
    for (const medium of ["GPU", "CPU", "GPU"]) {
      for (const encoding of ENCODINGS) {
        checkSame(payload(encoding, medium));
        checkSame(payload(encoding, medium));
      }
    }
  });
});
