import fc from "fast-check";
import type { AllBlocksCleared, BlockRemoved, BlockStored, EventBatch, KVEvent } from "../../src/events/event.ts";

/** What the decoder gives are plain objects too. */
const PLAIN = { noNullPrototype: true } as const;
const hash = fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, (1n << 64n) - 1n));
const tokenId = fc.oneof(fc.nat(300), fc.nat(0xffff_ffff));
const text = fc.string({ maxLength: 40, unit: "grapheme" });
const index = fc.oneof(fc.nat(3), fc.integer({ min: 0, max: 0xffff_ffff }));
const orNull = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null });

/** What survives a round trip: the library gives integers above 32 bits as bigint, and others as number. */
const extraKey = fc.oneof(
  text,
  fc.boolean(),
  fc.constant(null),
  fc.integer(),
  fc.bigInt(1n << 33n, (1n << 64n) - 1n),
  fc.double({ noNaN: true }).filter((value) => !Number.isSafeInteger(value) || Object.is(value, -0)),
  fc.uint8Array({ maxLength: 40 }),
  fc.tuple(text, fc.nat(9)),
  fc.record({ key: text }, PLAIN),
);

export const blockStored: fc.Arbitrary<BlockStored> = fc
  .record({ blocks: fc.nat(4), blockSize: fc.integer({ min: 1, max: 20 }), tokenless: fc.boolean() })
  .chain(({ blocks, blockSize, tokenless }) => {
    const tokens = tokenless ? 0 : blocks * blockSize;
    const keys = fc.array(orNull(fc.array(extraKey, { maxLength: 4 })), { minLength: blocks, maxLength: blocks });
    return fc.record(
      {
        type: fc.constant("BlockStored" as const),
        blockHashes: fc.array(hash, { minLength: blocks, maxLength: blocks }),
        parentBlockHash: orNull(hash),
        tokenIds: fc.array(tokenId, { minLength: tokens, maxLength: tokens }).map((ids) => Uint32Array.from(ids)),
        blockSize: fc.constant(blockSize),
        loraId: orNull(index),
        loraName: orNull(text),
        medium: orNull(text),
        extraKeys: blocks === 0 ? fc.constant(null) : orNull(keys),
        groupIdx: orNull(index),
        kvCacheSpecKind: orNull(text),
        kvCacheSpecSlidingWindow: orNull(index),
        cacheSalt: orNull(text),
      },
      PLAIN,
    );
  });

export const blockRemoved: fc.Arbitrary<BlockRemoved> = fc.record(
  {
    type: fc.constant("BlockRemoved" as const),
    blockHashes: fc.array(hash, { maxLength: 5 }),
    medium: orNull(text),
    groupIdx: orNull(index),
  },
  PLAIN,
);

export const allBlocksCleared: fc.Arbitrary<AllBlocksCleared> = fc.constant({ type: "AllBlocksCleared" as const });

export const event: fc.Arbitrary<KVEvent> = fc.oneof(blockStored, blockRemoved, allBlocksCleared);

export const eventBatch: fc.Arbitrary<EventBatch> = fc.record(
  {
    ts: fc.double({ noNaN: true }),
    events: fc.array(event, { maxLength: 20 }),
    dataParallelRank: orNull(fc.nat(100_000)),
  },
  PLAIN,
);
