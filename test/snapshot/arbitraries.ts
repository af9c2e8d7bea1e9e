import fc from "fast-check";
import type { ExportedBlock } from "../../src/indexer/indexer.ts";
import type { StreamState } from "../../src/sync/stream-state.ts";

/** A stream and what an index would export of it, by rank. */
export interface AnyStream {
  readonly state: StreamState;
  readonly blocks: ReadonlyMap<number, readonly ExportedBlock[]>;
}

const hash = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

const plain = { noNullPrototype: true };

const place = fc.record(
  {
    tier: fc.oneof(fc.constantFrom("gpu", "cpu"), fc.string({ unit: "binary" })),
    group: fc.option(fc.nat({ max: 3 })),
  },
  plain,
);

const named = {
  blockHash: hash,
  lora: fc.oneof(fc.constant(-1), fc.nat(), fc.string()),
  places: fc.array(place, { minLength: 1, maxLength: 3 }),
};

const block: fc.Arbitrary<ExportedBlock> = fc.oneof(
  fc.record(
    { ...named, blockSize: fc.integer({ min: 1, max: 513 }), chainedHash: hash, proof: fc.nat({ max: 0xff_ffff }) },
    plain,
  ),
  fc.record(
    {
      ...named,
      blockSize: fc.nat({ max: 512 }),
      chainedHash: fc.constant(null),
      parentBlockHash: fc.option(hash),
      localHash: hash,
    },
    plain,
  ),
);

const sequence = fc.nat({ max: Number.MAX_SAFE_INTEGER });

/** Streams of pods that differ. */
export const anyStreams: fc.Arbitrary<AnyStream[]> = fc.uniqueArray(
  fc
    .record(
      {
        pod: fc.record(
          {
            key: fc.string({ unit: "binary" }),
            modelName: fc.constantFrom("m", "模型"),
            uid: fc.string(),
            restartCount: fc.nat(),
            loraId: fc.constantFrom(-1, 3),
            topic: fc.string(),
          },
          { ...plain, requiredKeys: ["key", "modelName", "loraId", "topic"] },
        ),
        rank: fc.nat({ max: 3 }),
        firstSequence: sequence,
        lastSequence: sequence,
        fingerprint: sequence,
        blocks: fc.array(fc.array(block, { maxLength: 5 }), { minLength: 1, maxLength: 3 }),
      },
      plain,
    )
    .map(({ blocks, ...state }) => {
      const { key: pod, modelName: model, loraId } = state.pod;
      return {
        state: { ...state, sources: blocks.map((_, rank) => ({ model, pod, rank, loraId })) },
        blocks: new Map(blocks.entries()),
      };
    }),
  { maxLength: 4, selector: ({ state: { pod } }) => `${pod.modelName} ${pod.key}` },
);
