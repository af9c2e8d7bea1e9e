import { monitorEventLoopDelay } from "node:perf_hooks";
import { PackedBatch, PackedType } from "../../src/events/packed-batch.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { BLOCK_SIZE, MODEL } from "./workload.ts";

const PODS = 128;
const CHAIN = 64;
const BLOCKS_PER_SECOND = 200_000;
const TICK_MS = 2;

/**
 * Fills an index with so many (block, pod) pairs, each block on two pods, and lets 200,000 blocks a second come and go over
 * it. The filling is timed, too: growth is a part of it.
 */
export async function churn(
  pairs: number,
  seconds: number,
): Promise<{ readonly maxPauseMs: number; readonly bytesPerHolder: number }> {
  const index = new SyncPrefixHashTable({ maxBytes: 16e9 });
  const sources = Array.from({ length: PODS }, (_, i) => ({ model: MODEL, pod: `pod-${i}`, rank: 0, loraId: -1 }));
  const batch = new PackedBatch();
  batch.hashes = new Uint32Array(4);
  batch.tokens = new Uint32Array(BLOCK_SIZE);
  const event = Object.assign(batch.nextEvent(), {
    hashStart: 1,
    hashCount: 1,
    tokenCount: BLOCK_SIZE,
    blockSize: BLOCK_SIZE,
  });
  const apply = (type: number, chain: number, at: number, pod: number): void => {
    const block = chain * CHAIN + at;
    event.type = type;
    event.hasParent = at > 0;
    batch.hashes[0] = Math.imul(block, 0x9e3779b1) ^ pod;
    batch.hashes[1] = block;
    batch.hashes[2] = Math.imul(block + 1, 0x9e3779b1) ^ pod;
    batch.hashes[3] = block + 1;
    for (let token = 0; token < BLOCK_SIZE; token++) batch.tokens[token] = (Math.imul(block, 0x85ebca6b) + token) >>> 8;
    index.processEvent(sources[pod]!, batch, 0);
  };
  const podsOf = (chain: number): readonly [number, number] => [chain % PODS, (7 * chain + 3) % PODS];
  let newest = 0;
  let oldest = 0;
  let at = 0;
  /** Some blocks of the newest chain, on both of its pods. */
  const grow = (blocks: number): void => {
    for (let i = 0; i < blocks; i++) {
      for (const pod of podsOf(newest)) apply(PackedType.stored, newest, at, pod);
      if (++at < CHAIN) continue;
      at = 0;
      newest++;
    }
  };
  let down = CHAIN - 1;
  const shrink = (blocks: number): void => {
    for (let i = 0; i < blocks; i++) {
      for (const pod of podsOf(oldest)) apply(PackedType.removed, oldest, down, pod);
      if (down-- > 0) continue;
      down = CHAIN - 1;
      oldest++;
    }
  };
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, TICK_MS));
  const perTick = (BLOCKS_PER_SECOND * TICK_MS) / 1_000 / 2;
  // In turns of two milliseconds, so that a longer one is the index's own.
  delay.enable();
  while (index.stats().holders < pairs) {
    const startedMs = performance.now();
    while (performance.now() - startedMs < TICK_MS) grow(16);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const bytesPerHolder = index.bytes / index.stats().holders;
  const endMs = performance.now() + 1_000 * seconds;
  let dueMs = performance.now();
  while (performance.now() < endMs) {
    for (; dueMs < performance.now(); dueMs += TICK_MS) {
      grow(perTick / 2);
      shrink(perTick / 2);
    }
    await turn();
  }
  delay.disable();
  return { maxPauseMs: delay.max / 1e6, bytesPerHolder };
}
