import assert from "node:assert/strict";
import { inspect } from "node:util";
import { DecodeError } from "../../../src/errors.ts";
import { decodeEventBatch } from "../../../src/events/decode.ts";
import { decodePackedBatch } from "../../../src/events/decode-packed.ts";
import { type EncodeOptions, encodeEventBatch } from "../../../src/events/encode.ts";
import type { BlockStored, KVEvent } from "../../../src/events/event.ts";
import { PackedBatch, unpackEvent } from "../../../src/events/packed-batch.ts";
import type { Generator } from "../generator.ts";
import { inputOf, pureTarget, type Target } from "../target.ts";

const TEXTS = ["", "GPU", "cpu", "sql-adapter", "tenant-a", "ä", "x".repeat(65), "y".repeat(300)] as const;
const INTEGERS = [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1] as const;

function orNull<T>(generator: Generator, make: () => T): T | null {
  return generator.chance(0.4) ? null : make();
}

function anyHash(generator: Generator): bigint {
  return generator.chance(0.2) ? BigInt(generator.pick(INTEGERS)) : generator.bytes(8).readBigUInt64BE();
}

/** What stands in the keys of a block: mostly texts, sometimes whatever MessagePack holds. */
function anyKey(generator: Generator, levels = 2): unknown {
  switch (generator.below(levels === 0 ? 7 : 10)) {
    case 0:
      return generator.pick([null, true, false]);
    case 1:
      return generator.pick(INTEGERS) * generator.pick([1, -1]);
    case 2:
      return anyHash(generator);
    case 3:
      return generator.random();
    case 4:
      return generator.bytes(generator.length(300));
    case 7:
      return generator.many(0, 3, () => anyKey(generator, levels - 1));
    case 8:
      return { key: anyKey(generator, levels - 1) };
    default:
      return generator.pick(TEXTS);
  }
}

function anyExtraKeys(generator: Generator, blocks: number): BlockStored["extraKeys"] {
  const keys = generator.many(0, 2, () => anyKey(generator));
  // Often the same for all blocks, as an adapter's name is.
  const isSame = generator.chance(0.5);
  return Array.from({ length: blocks }, () =>
    orNull(generator, () => (isSame ? keys : generator.many(0, 2, () => anyKey(generator)))),
  );
}

function anyEvent(generator: Generator): KVEvent {
  const kind = generator.random();
  const text = (): string => generator.pick(TEXTS);
  const medium = orNull(generator, text);
  const groupIdx = orNull(generator, () => generator.pick(INTEGERS));
  const blockHashes = generator.many(0, 4, () => anyHash(generator));
  if (kind < 0.05) return { type: "AllBlocksCleared" };
  if (kind < 0.25) return { type: "BlockRemoved", blockHashes, medium, groupIdx };
  const blockSize = 1 + generator.below(17);
  const tokens = generator.chance(0.1) ? 0 : blockHashes.length * blockSize;
  return {
    type: "BlockStored",
    blockHashes,
    parentBlockHash: orNull(generator, () => anyHash(generator)),
    tokenIds: Uint32Array.from({ length: tokens }, () => generator.pick([generator.below(2 ** 18), ...INTEGERS])),
    blockSize,
    loraId: orNull(generator, () => generator.pick(INTEGERS)),
    loraName: orNull(generator, text),
    medium,
    extraKeys: orNull(generator, () => anyExtraKeys(generator, blockHashes.length)),
    groupIdx,
    kvCacheSpecKind: orNull(generator, text),
    kvCacheSpecSlidingWindow: orNull(generator, () => generator.pick(INTEGERS)),
    cacheSalt: orNull(generator, text),
  };
}

/** Another event of the same engine: nearly all of what it says is the same again. */
function anyLike(generator: Generator, event: KVEvent): KVEvent {
  if (event.type !== "BlockStored") return event;
  return {
    ...event,
    blockHashes: event.blockHashes.map(() => anyHash(generator)),
    parentBlockHash: orNull(generator, () => anyHash(generator)),
    tokenIds: event.tokenIds.map(() => generator.below(2 ** 18)),
  };
}

function anyPayload(generator: Generator): Buffer {
  const options: EncodeOptions = {
    encoding: generator.pick(["array", "map"] as const),
    mapBatch: generator.chance(0.2),
    hashForm: generator.pick(["int", "signed", "bytes8", "bytes32"] as const),
    storedEntries: generator.pick([6, 7, 8, 9, 10, 12] as const),
  };
  const first = anyEvent(generator);
  const isAlike = generator.chance(0.5);
  const events = generator.many(0, 4, () => (isAlike ? anyLike(generator, first) : anyEvent(generator)));
  const dataParallelRank = orNull(generator, () => generator.below(9));
  return Buffer.from(encodeEventBatch({ ts: generator.random(), events, dataParallelRank }, options));
}

/** Whatever was read, or why it was not, as a text. */
function said(read: () => readonly unknown[]): string {
  const shown = (value: unknown): string =>
    inspect(value, { depth: 12, maxArrayLength: null, maxStringLength: null, breakLength: Number.POSITIVE_INFINITY });
  try {
    return shown(read());
  } catch (error) {
    assert.ok(error instanceof DecodeError, `not a DecodeError: ${String(error)}`);
    return `${error.code} ${error.message}`;
  }
}

const plain = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? Uint8Array.from(value)
    : Array.isArray(value)
      ? value.map(plain)
      : typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
        ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]))
        : value;

const reused = new PackedBatch();

/**
 * Our decoder and the library have to say the same of every payload, wherever it stands in memory, and whatever came before:
 * often that is the same without faults, so that all but those is known already.
 */
const events = pureTarget("events", (generator, inputs) => {
  const payload = inputOf(generator, inputs, () => {
    const whole = anyPayload(generator);
    if (generator.chance(0.5)) decodePackedBatch(whole, reused);
    return whole;
  });
  const before = generator.below(9);
  const memory = Buffer.concat([generator.bytes(before), payload, generator.bytes(generator.below(9))]);
  const message = memory.subarray(before, before + payload.length);
  const packed = said(() => {
    decodePackedBatch(message, reused);
    const all = Array.from({ length: reused.eventCount }, (_, index) => plain(unpackEvent(reused, index)));
    return [reused.ts, reused.dataParallelRank, all, reused.errors.map(({ code, message: text }) => [code, text])];
  });
  const oracle = said(() => {
    const { batch, errors } = decodeEventBatch(message);
    const all = batch.events.map(plain);
    return [batch.ts, batch.dataParallelRank, all, errors.map(({ code, message: text }) => [code, text])];
  });
  assert.equal(packed, oracle);
});

export const eventTargets: readonly Target[] = [events];
