import { PackedBatch, PackedType } from "../../src/events/packed-batch.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { rounded } from "../transport/statistics.ts";
import { type PauseReport, Pauses } from "./pauses.ts";
import { BLOCK_SIZE, MODEL } from "./workload.ts";

const PODS = 128;
const CHAIN = 64;
const BLOCKS_PER_SECOND = 200_000;
const TURN_MS = 2;

/** Blocks that are handled between two looks at the clock. */
const STEP_BLOCKS = 8;

export interface ChurnReport extends PauseReport {
  readonly bytesPerHolder: number;
  /** Stored and removed blocks, each counted once for each pod, after the filling. Wanted are 200,000. */
  readonly blocksPerSecond: number;
}

/**
 * Fills an index with so many (block, pod) pairs, each block on two pods, and lets 200,000 blocks a second come and go over
 * it. The filling is timed, too: growth is a part of it. No turn takes in more than two milliseconds' worth, as from
 * sockets: what is late is made up for in the turns after it, and a longer one is the index's own.
 */
export async function churn(pairs: number, seconds: number): Promise<ChurnReport> {
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
    index.processEvents(sources[pod]!, batch);
  };
  // No garbage here: what is collected is the index's.
  const applyOnBoth = (type: number, chain: number, at: number): void => {
    apply(type, chain, at, chain % PODS);
    apply(type, chain, at, (7 * chain + 3) % PODS);
  };
  let newest = 0;
  let oldest = 0;
  let at = 0;
  /** Some blocks of the newest chain, on both of its pods. */
  const grow = (blocks: number): void => {
    for (let i = 0; i < blocks; i++) {
      applyOnBoth(PackedType.stored, newest, at);
      if (++at < CHAIN) continue;
      at = 0;
      newest++;
    }
  };
  let down = CHAIN - 1;
  const shrink = (blocks: number): void => {
    for (let i = 0; i < blocks; i++) {
      applyOnBoth(PackedType.removed, oldest, down);
      if (down-- > 0) continue;
      down = CHAIN - 1;
      oldest++;
    }
  };
  const pauses = new Pauses();
  const turn = async (work: () => boolean): Promise<void> => {
    const startedMs = performance.now();
    while (performance.now() - startedMs < TURN_MS && work());
    await new Promise((resolve) =>
      performance.now() - startedMs < TURN_MS ? setTimeout(resolve, 1) : setImmediate(resolve),
    );
    pauses.turn();
  };
  while (index.stats().holders < pairs) {
    await turn(() => {
      grow(STEP_BLOCKS);
      return true;
    });
  }
  const bytesPerHolder = index.bytes / index.stats().holders;
  const startedMs = performance.now();
  let blocks = 0;
  while (performance.now() - startedMs < 1_000 * seconds) {
    await turn(() => {
      if (blocks >= ((performance.now() - startedMs) * BLOCKS_PER_SECOND) / 1_000) return false;
      grow(STEP_BLOCKS);
      shrink(STEP_BLOCKS);
      blocks += 2 * 2 * STEP_BLOCKS;
      return true;
    });
  }
  const blocksPerSecond = (1_000 * blocks) / (performance.now() - startedMs);
  return { ...(await pauses.stop()), bytesPerHolder, blocksPerSecond };
}

/** What stands in the JSON beside `max_pause_ms`, so that the index and the machine can be told from each other. */
export function pauseSummary(report: ChurnReport): Readonly<Record<string, number | null>> {
  return {
    own_pause_ms: rounded(report.ownPauseMs),
    idle_pause_ms: rounded(report.idlePauseMs),
    gcs: report.gcs,
    max_gc_ms: rounded(report.maxGcMs),
    churn_blocks_per_second: Math.round(report.blocksPerSecond),
  };
}

/** The same in a sentence. */
export function pauseText(report: ChurnReport): string {
  const own = report.ownPauseMs === null ? "" : `, ${report.ownPauseMs.toFixed(1)} ms without waiting for a processor`;
  return (
    `longest gap of the event loop ${report.maxPauseMs.toFixed(1)} ms${own}; of an idle process beside it ` +
    `${report.idlePauseMs.toFixed(1)} ms; ${report.gcs} collections, the longest ${report.maxGcMs.toFixed(1)} ms; ` +
    `${(report.blocksPerSecond / 1_000).toFixed(0)},000 blocks/s`
  );
}
