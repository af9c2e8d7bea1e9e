import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "@msgpack/msgpack";
import { DecodeError } from "../../src/errors.ts";
import { decodeEventBatch } from "../../src/events/decode.ts";
import type { BlockRemoved, BlockStored, KVEvent } from "../../src/events/event.ts";
import { fromHex, GOLDEN_ARRAY, loadFixtures } from "./fixtures.ts";

const STORED: BlockStored = {
  type: "BlockStored",
  blockHashes: [11n, 12n],
  parentBlockHash: 10n,
  tokenIds: Uint32Array.of(1, 2, 3, 4),
  blockSize: 2,
  loraId: null,
  loraName: null,
  medium: null,
  extraKeys: null,
  groupIdx: null,
  kvCacheSpecKind: null,
  kvCacheSpecSlidingWindow: null,
  cacheSalt: null,
};
const REMOVED: BlockRemoved = { type: "BlockRemoved", blockHashes: [11n], medium: null, groupIdx: null };
const STORED_ARRAY: readonly unknown[] = ["BlockStored", [11, 12], 10, [1, 2, 3, 4], 2];
const STORED_MAP: Readonly<Record<string, unknown>> = {
  type: "BlockStored",
  block_hashes: [11, 12],
  parent_block_hash: 10,
  token_ids: [1, 2, 3, 4],
  block_size: 2,
};

function pack(value: unknown): Uint8Array {
  return encode(value, { useBigInt64: true });
}

function withoutParent({ parent_block_hash: _, ...event }: Readonly<Record<string, unknown>>): unknown {
  return event;
}

function decodeOne(event: unknown): KVEvent {
  const { batch, errors } = decodeEventBatch(pack([1.5, [event], 0]));
  assert.deepEqual(errors, []);
  assert.equal(batch.events.length, 1);
  return batch.events[0]!;
}

test("the capture of a real engine is read", () => {
  const { batch, errors } = decodeEventBatch(GOLDEN_ARRAY);
  assert.deepEqual(errors, []);
  assert.deepEqual(batch, {
    ts: 1767666073.8055613,
    events: [
      {
        ...STORED,
        blockHashes: [17536983392627827276n],
        parentBlockHash: 15722805041033817089n,
        tokenIds: Uint32Array.of(
          ...[4217, 315, 678, 882, 151645, 198, 151644, 77091, 198, 151667, 198, 32313, 11, 773, 358, 1184],
        ),
        blockSize: 16,
        medium: "GPU",
      },
    ],
    dataParallelRank: 0,
  });
});

test("a map event as vLLM 0.26 sends it is read", () => {
  const tokens = [151644, 872, 198, 9064, 374, 279, 6722, 315, 5616, 30, 151645, 198, 151644, 77091, 198, 151667];
  const event = {
    type: "BlockStored",
    block_hashes: [15760518052499183552n],
    parent_block_hash: null,
    token_ids: tokens,
    block_size: 16,
    lora_id: null,
    medium: "GPU",
    lora_name: null,
    extra_keys: [null],
    group_idx: 0,
    kv_cache_spec_kind: "full_attention",
  };
  assert.deepEqual(decodeOne(event), {
    ...STORED,
    blockHashes: [15760518052499183552n],
    parentBlockHash: null,
    tokenIds: Uint32Array.from(tokens),
    blockSize: 16,
    medium: "GPU",
    extraKeys: [null],
    groupIdx: 0,
    kvCacheSpecKind: "full_attention",
  });
});

for (const { name, payload, batch } of loadFixtures()) {
  test(`reads what msgspec wrote: ${name}`, () => {
    assert.deepEqual(decodeEventBatch(payload), { batch, errors: [] });
  });
}

const BATCHES: readonly (readonly [name: string, value: unknown, rank: number | null])[] = [
  ["an array of two", [1.5, [STORED_ARRAY]], null],
  ["an array with a rank", [1.5, [STORED_ARRAY], 3], 3],
  ["an array with nil for the rank", [1.5, [STORED_ARRAY], null], null],
  ["a longer array", [1.5, [STORED_ARRAY], 3, "more", { and: ["more"] }], 3],
  ["a map", { ts: 1.5, events: [STORED_MAP], data_parallel_rank: 3 }, 3],
  ["a map without a rank", { ts: 1.5, events: [STORED_MAP] }, null],
  [
    "a map in another order, with unknown keys",
    { 7: [], data_parallel_rank: 3, x: { y: 1 }, events: [STORED_MAP], ts: 1.5 },
    3,
  ],
];
for (const [name, value, rank] of BATCHES) {
  test(`a batch may be ${name}`, () => {
    assert.deepEqual(decodeEventBatch(pack(value)), {
      batch: { ts: 1.5, events: [STORED], dataParallelRank: rank },
      errors: [],
    });
  });
}

test("a time without a fraction may come as an integer", () => {
  assert.equal(decodeEventBatch(pack([1_789_095_808n, []])).batch.ts, 1_789_095_808);
});

test("a batch without events is a batch", () => {
  assert.deepEqual(decodeEventBatch(pack([1.5, [], 0])).batch.events, []);
});

const EVENTS: readonly (readonly [name: string, value: unknown, event: KVEvent])[] = [
  ["BlockStored as the shortest array", STORED_ARRAY, STORED],
  ["BlockStored with lora_id", [...STORED_ARRAY, 5], { ...STORED, loraId: 5 }],
  ["BlockStored with medium", [...STORED_ARRAY, null, "cpu"], { ...STORED, medium: "cpu" }],
  ["BlockStored with lora_name", [...STORED_ARRAY, null, null, "a"], { ...STORED, loraName: "a" }],
  [
    "BlockStored with extra_keys",
    [...STORED_ARRAY, null, null, null, [["k", 1], null]],
    { ...STORED, extraKeys: [["k", 1], null] },
  ],
  ["BlockStored with no extra keys in the list", [...STORED_ARRAY, null, null, null, []], STORED],
  [
    "BlockStored with a group",
    [...STORED_ARRAY, null, null, null, null, 1, "sliding_window", 128],
    { ...STORED, groupIdx: 1, kvCacheSpecKind: "sliding_window", kvCacheSpecSlidingWindow: 128 },
  ],
  [
    "BlockStored with more positions than are known",
    [...STORED_ARRAY, null, null, null, null, null, null, null, "local", ["x"]],
    STORED,
  ],
  [
    "SGLang's BlockStored with metadata in position 7",
    [...STORED_ARRAY, null, "GPU", { cache_salt: "s", session_id: "x" }],
    { ...STORED, medium: "GPU", cacheSalt: "s" },
  ],
  ["SGLang's metadata without a salt", [...STORED_ARRAY, null, null, { session_id: "x" }], STORED],
  [
    "SGLang's BlockStored with extra keys in position 7",
    [...STORED_ARRAY, null, "GPU", [["s"], null]],
    { ...STORED, medium: "GPU", extraKeys: [["s"], null] },
  ],
  ["SGLang's BlockStored as a map", { ...STORED_MAP, metadata: { cache_salt: "s" } }, { ...STORED, cacheSalt: "s" }],
  ["BlockStored as the shortest map", STORED_MAP, STORED],
  [
    "BlockStored as a map in another order, with unknown keys",
    { locality: { x: [1.5] }, ...Object.fromEntries(Object.entries(STORED_MAP).reverse()), 3: null },
    STORED,
  ],
  ["a first block as a map without a parent", withoutParent(STORED_MAP), { ...STORED, parentBlockHash: null }],
  ["BlockRemoved as the shortest array", ["BlockRemoved", [11]], REMOVED],
  ["BlockRemoved with medium and group", ["BlockRemoved", [11], "CPU", 2], { ...REMOVED, medium: "CPU", groupIdx: 2 }],
  ["BlockRemoved with more positions than are known", ["BlockRemoved", [11], null, null, "x"], REMOVED],
  ["BlockRemoved as a map", { type: "BlockRemoved", medium: "CPU", block_hashes: [11] }, { ...REMOVED, medium: "CPU" }],
  ["AllBlocksCleared as an array", ["AllBlocksCleared"], { type: "AllBlocksCleared" }],
  ["AllBlocksCleared as a longer array", ["AllBlocksCleared", 1], { type: "AllBlocksCleared" }],
  ["AllBlocksCleared as a map", { type: "AllBlocksCleared" }, { type: "AllBlocksCleared" }],
];
for (const [name, value, event] of EVENTS) {
  test(`reads ${name}`, () => {
    assert.deepEqual(decodeOne(value), event);
  });
}

const BYTES_8 = [0xff, 0xfe, 0xc3, 0x28, 0x80, 1, 2, 3];
const BYTES_32 = [...Array.from({ length: 24 }, (_, index) => 0xa0 + index), ...BYTES_8];
const HASHES: readonly (readonly [name: string, messagePack: string, hash: bigint])[] = [
  ["a small integer", "05", 5n],
  ["the largest unsigned integer", "cfffffffffffffffff", 0xffff_ffff_ffff_ffffn],
  ["a small negative integer", "ff", 0xffff_ffff_ffff_ffffn],
  ["the smallest signed integer", "d38000000000000000", 0x8000_0000_0000_0000n],
  ["8 bytes", `c408${hex(BYTES_8)}`, 0xfffe_c328_8001_0203n],
  ["8 bytes as a string that is not UTF-8", `a8${hex(BYTES_8)}`, 0xfffe_c328_8001_0203n],
  ["32 bytes, of which the last 8 count", `c420${hex(BYTES_32)}`, 0xfffe_c328_8001_0203n],
  ["32 bytes as a string that is not UTF-8", `d920${hex(BYTES_32)}`, 0xfffe_c328_8001_0203n],
];
for (const [name, messagePack, hash] of HASHES) {
  test(`a hash may be ${name}`, () => {
    const event = decodeRaw(`95${hex(pack("BlockStored"))}91${messagePack}${messagePack}910701`);
    assert.deepEqual(event, {
      ...STORED,
      blockHashes: [hash],
      parentBlockHash: hash,
      tokenIds: Uint32Array.of(7),
      blockSize: 1,
    });
  });
}

test("a hash may be a string in a map event, next to text that stays text", () => {
  const [type, removed, hashes, medium, cpu] = ["type", "BlockRemoved", "block_hashes", "medium", "CPU"].map((text) =>
    hex(pack(text)),
  );
  const event = decodeRaw(`83${type}${removed}${hashes}91a8${hex(BYTES_8)}${medium}${cpu}`);
  assert.deepEqual(event, { ...REMOVED, blockHashes: [0xfffe_c328_8001_0203n], medium: "CPU" });
});

test("extra keys tell strings from binaries, also where hashes are strings", () => {
  const event = decodeOne(["BlockStored", ["8 bytes!"], null, [7], 1, null, null, null, [["text", Uint8Array.of(1)]]]);
  assert.deepEqual(event.type === "BlockStored" && event.extraKeys, [["text", Uint8Array.of(1)]]);
});

test("a store without tokens keeps its hashes", () => {
  assert.deepEqual(decodeOne(["BlockStored", [11, 12], null, [], 16, null, "CPU"]), {
    ...STORED,
    parentBlockHash: null,
    tokenIds: new Uint32Array(),
    blockSize: 16,
    medium: "CPU",
  });
});

test("a store without tokens may have a block size of 0, as vLLM's offloading sends it", () => {
  const event = decodeOne(["BlockStored", [11], null, [], 0, null, "CPU"]);
  assert.equal(event.type === "BlockStored" && event.blockSize, 0);
});

test("the largest token id is read, in whatever width it comes", () => {
  const event = decodeOne(["BlockStored", [1], null, [0xffff_ffff, 0xffff_ffffn, 5n], 3]);
  assert.deepEqual(event.type === "BlockStored" && [...event.tokenIds], [0xffff_ffff, 0xffff_ffff, 5]);
});

test("a payload may lie anywhere in a larger chunk", () => {
  const chunk = new Uint8Array(GOLDEN_ARRAY.length + 20).fill(0xc1);
  chunk.set(GOLDEN_ARRAY, 13);
  const view = chunk.subarray(13, 13 + GOLDEN_ARRAY.length);
  assert.deepEqual(decodeEventBatch(view), decodeEventBatch(GOLDEN_ARRAY));
});

function decodeRaw(eventHex: string): KVEvent {
  const { batch, errors } = decodeEventBatch(fromHex(`92cb3ff800000000000091${eventHex}`));
  assert.deepEqual(errors, []);
  return batch.events[0]!;
}

function hex(bytes: Iterable<number>): string {
  return Buffer.from([...bytes]).toString("hex");
}

test("an error in one event costs that event alone", () => {
  const { batch, errors } = decodeEventBatch(pack([1.5, [STORED_ARRAY, ["BlockRemoved", "x"], STORED_MAP], 0]));
  assert.deepEqual(batch.events, [STORED, STORED]);
  assert.deepEqual(
    errors.map((error) => [error instanceof DecodeError, error.code]),
    [[true, "event-fields"]],
  );
});
