/**
 * A prompt of 512 blocks that all of 1,000 pods hold. Usage: hot-prefix KIND with KIND ours or naive, each a process of its
 * own; prints the microseconds of CPU that a match takes.
 */
import xxhash from "xxhash-wasm";
import { encodeEventBatch } from "../../src/events/encode.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventHandler } from "../../src/sync/handler.ts";
import { timedOften } from "./clocks.ts";
import { NaiveIndex } from "./naive.ts";
import { BLOCK_SIZE, MODEL, nameOf } from "./workload.ts";

const PODS = 1_000;
const BLOCKS = 512;

/** An index, and how many pods it finds. */
interface Asked {
  handle(pod: string, payload: Uint8Array): void;
  match(tokens: Uint32Array): number;
}

function ours(): Asked {
  const index = new SyncPrefixHashTable();
  return {
    handle: (pod, payload) => {
      const subject = { model: MODEL, pod, rank: 0, loraId: -1, isForeignRank: () => false };
      new KVEventHandler(index, subject).handle(payload);
    },
    match: (tokens) => index.matchPrefix(MODEL, -1, tokens).length,
  };
}

async function naive(): Promise<Asked> {
  const index = new NaiveIndex(await xxhash(), BLOCK_SIZE);
  return {
    handle: (pod, payload) => index.handle(pod, payload),
    match: (tokens) => index.match(tokens).size,
  };
}

const tokens = Uint32Array.from({ length: BLOCKS * BLOCK_SIZE }, (_, i) => (i * 7919) % 100_000);
const index = process.argv[2] === "naive" ? await naive() : ours();
for (let pod = 0; pod < PODS; pod++) {
  const event = {
    type: "BlockStored" as const,
    blockHashes: Array.from({ length: BLOCKS }, (_, block) => nameOf(pod, block + 1)),
    parentBlockHash: null,
    tokenIds: tokens,
    blockSize: BLOCK_SIZE,
    ...{ loraId: null, loraName: null, medium: null, extraKeys: null, groupIdx: null },
    ...{ kvCacheSpecKind: null, kvCacheSpecSlidingWindow: null, cacheSalt: null },
  };
  index.handle(`pod-${pod}`, encodeEventBatch({ ts: 1.5, events: [event], dataParallelRank: 0 }, { encoding: "map" }));
}
const ask = (): void => {
  if (index.match(tokens) !== PODS) throw new Error("a pod is missing from the answer");
};
// The first time is for the compiler.
timedOften(ask);
process.stdout.write(`${1e6 * timedOften(ask).cpuSeconds}\n`);
