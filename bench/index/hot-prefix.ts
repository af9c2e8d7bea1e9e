import type { XXHashAPI } from "xxhash-wasm";
import { encodeEventBatch } from "../../src/events/encode.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventHandler } from "../../src/sync/handler.ts";
import { median } from "../transport/statistics.ts";
import { NaiveIndex } from "./naive.ts";
import { BLOCK_SIZE, MODEL, nameOf } from "./workload.ts";

const PODS = 1_000;
const BLOCKS = 512;
const ASKED = 20;

/** Microseconds to match a prompt of 512 blocks that all of 1,000 pods hold, medians. */
export function hotPrefix(hash: XXHashAPI, rounds: number): { readonly ours: number; readonly naive: number } {
  const tokens = Uint32Array.from({ length: BLOCKS * BLOCK_SIZE }, (_, i) => (i * 7919) % 100_000);
  const index = new SyncPrefixHashTable();
  const naive = new NaiveIndex(hash, BLOCK_SIZE);
  for (let pod = 0; pod < PODS; pod++) {
    const name = `pod-${pod}`;
    const event = {
      type: "BlockStored" as const,
      blockHashes: Array.from({ length: BLOCKS }, (_, block) => nameOf(pod, block + 1)),
      parentBlockHash: null,
      tokenIds: tokens,
      blockSize: BLOCK_SIZE,
      ...{ loraId: null, loraName: null, medium: null, extraKeys: null, groupIdx: null },
      ...{ kvCacheSpecKind: null, kvCacheSpecSlidingWindow: null, cacheSalt: null },
    };
    const payload = encodeEventBatch({ ts: 1.5, events: [event], dataParallelRank: 0 }, { encoding: "map" });
    const subject = { model: MODEL, pod: name, rank: 0, loraId: -1, isForeignRank: () => false };
    new KVEventHandler(index, subject).handle(payload);
    naive.handle(name, payload);
  }
  const time = (ask: () => { readonly size?: number; readonly length?: number }): number => {
    const answer = ask();
    if ((answer.size ?? answer.length) !== PODS) throw new Error("a pod is missing from the answer");
    const startedMs = performance.now();
    for (let i = 0; i < ASKED; i++) ask();
    return (1e3 * (performance.now() - startedMs)) / ASKED;
  };
  const own: number[] = [];
  const rival: number[] = [];
  for (let round = 0; round < rounds; round++) {
    own.push(time(() => index.matchPrefix(MODEL, -1, tokens)));
    rival.push(time(() => naive.match(tokens)));
  }
  return { ours: median(own), naive: median(rival) };
}
