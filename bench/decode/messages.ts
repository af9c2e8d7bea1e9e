import { type EncodeOptions, encodeEventBatch } from "../../src/events/encode.ts";
import type { BlockStored } from "../../src/events/event.ts";
import { seededRandom } from "../../test/support/random.ts";

/** Messages of one `BlockStored` each. */
export interface Shape {
  readonly name: string;
  readonly encoding: EncodeOptions["encoding"];
  readonly hashForm: NonNullable<EncodeOptions["hashForm"]>;
  readonly blocks: number;
  /** An adapter, whose name is an extra key of each block, and a salt in the first one. */
  readonly hasKeys: boolean;
}

const ENCODINGS = ["array", "map"] as const;
const HASH_FORMS = ["int", "bytes8", "bytes32"] as const;
const BLOCK_COUNTS = [1, 32, 512];
const BLOCK_SIZE = 16;
/** As in the tokenizers of today. */
const VOCABULARY = 150_000;

/** All that are measured. */
export const SHAPES: readonly Shape[] = ENCODINGS.flatMap((encoding) => [
  ...HASH_FORMS.flatMap((hashForm) => BLOCK_COUNTS.map((blocks) => shape(encoding, hashForm, blocks, false))),
  ...BLOCK_COUNTS.map((blocks) => shape(encoding, "int", blocks, true)),
]);

function shape(encoding: Shape["encoding"], hashForm: Shape["hashForm"], blocks: number, hasKeys: boolean): Shape {
  return { name: `${encoding} ${hashForm} ${blocks}${hasKeys ? " keys" : ""}`, encoding, hashForm, blocks, hasKeys };
}

/** So many, side by side in one buffer. The same each time. */
export function makeMessages(shape: Shape, count: number): readonly Uint8Array[] {
  const random = seededRandom(20_260_101);
  const messages = Array.from({ length: count }, () => {
    const batch = { ts: 1.7e9 + random(), dataParallelRank: 0, events: [makeEvent(shape, random)] };
    return encodeEventBatch(batch, shape);
  });
  const all = Buffer.concat(messages);
  let at = 0;
  return messages.map(({ length }) => {
    at += length;
    return all.subarray(at - length, at);
  });
}

function makeEvent({ blocks, hasKeys }: Shape, random: () => number): BlockStored {
  const below = (limit: number): number => Math.floor(random() * limit);
  const hash = (): bigint => (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32));
  return {
    type: "BlockStored",
    blockHashes: Array.from({ length: blocks }, hash),
    parentBlockHash: hash(),
    // Frequent tokens have small numbers.
    tokenIds: Uint32Array.from({ length: blocks * BLOCK_SIZE }, () => Math.floor(random() ** 2 * VOCABULARY)),
    blockSize: BLOCK_SIZE,
    loraId: hasKeys ? 3 : null,
    loraName: hasKeys ? "sql-adapter" : null,
    medium: "GPU",
    extraKeys: hasKeys ? Array.from({ length: blocks }, (_, i) => keysOf(i, below(1e9))) : null,
    groupIdx: null,
    kvCacheSpecKind: null,
    kvCacheSpecSlidingWindow: null,
    cacheSalt: null,
  };
}

function keysOf(block: number, salt: number): readonly string[] {
  return block === 0 ? ["sql-adapter", `tenant-${salt}`] : ["sql-adapter"];
}
