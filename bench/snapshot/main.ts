/**
 * `npm run bench:snapshot [-- --blocks 1000000 --streams 20]`: an index of so many blocks is written to a file, and read
 * from it into another index. Tells the times, the sizes, and for how long the event loop was kept busy at a stretch.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { systemClock } from "../../src/clock.ts";
import type { BlockSource } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { dumpLines, type StreamCaptures } from "../../src/snapshot/dump.ts";
import { readSnapshot, writeSnapshot } from "../../src/snapshot/file.ts";
import { restoreDump } from "../../src/snapshot/restore.ts";
import type { StreamState } from "../../src/sync/stream-state.ts";
import { Turn } from "../../src/sync/turn.ts";

const BLOCK_SIZE = 16;
const PROMPT_BLOCKS = 100;

const { values } = parseArgs({
  options: { blocks: { type: "string", default: "1000000" }, streams: { type: "string", default: "20" } },
});
const streams = Number(values.streams);
const blocksPerStream = Math.floor(Number(values.blocks) / streams);

const states = Array.from({ length: streams }, (_, i): StreamState => {
  const source: BlockSource = { model: "llama", pod: `ns/engine-${i}`, rank: 0, loraId: -1 };
  return {
    pod: { key: source.pod, modelName: "llama", loraId: -1, topic: "" },
    rank: 0,
    firstSequence: 0,
    lastSequence: blocksPerStream,
    fingerprint: 1,
    sources: [source],
  };
});

/** As the manager's streams do, without sockets. */
const captures: StreamCaptures = {
  async *capture(read) {
    for (const state of states) {
      const turn = new Turn(systemClock);
      const steps = read(state);
      let step = steps.next();
      while (!step.done) {
        if (turn.isOver) await turn.next();
        step = steps.next();
      }
      yield step.value;
    }
  },
};

/** Prompts of which each engine has its own. */
function fill(index: SyncPrefixHashTable): void {
  for (const [at, { sources }] of states.entries()) {
    for (let start = 0; start < blocksPerStream; start += PROMPT_BLOCKS) {
      const count = Math.min(PROMPT_BLOCKS, blocksPerStream - start);
      const first = at * blocksPerStream + start;
      index.processBlockStored(sources[0]!, {
        type: "BlockStored",
        blockHashes: Array.from(
          { length: count },
          (_, i) => (BigInt(first + i) * 0x9e37_79b9_7f4a_7c15n) & 0xffff_ffff_ffff_ffffn,
        ),
        parentBlockHash: null,
        tokenIds: Uint32Array.from({ length: count * BLOCK_SIZE }, (_, i) => first * BLOCK_SIZE + i),
        blockSize: BLOCK_SIZE,
        loraId: null,
        loraName: null,
        medium: null,
        extraKeys: null,
        groupIdx: null,
        kvCacheSpecKind: null,
        kvCacheSpecSlidingWindow: null,
        cacheSalt: null,
      });
    }
  }
}

interface Measured {
  readonly seconds: number;
  /** Above what there was before. */
  readonly peakMiB: number;
  readonly longestTurnMs: number;
}

async function measured(work: () => Promise<unknown>): Promise<Measured> {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let peak = before;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  delay.enable();
  const startedMs = performance.now();
  await work();
  const seconds = (performance.now() - startedMs) / 1_000;
  delay.disable();
  clearInterval(timer);
  peak = Math.max(peak, process.memoryUsage.rss());
  return {
    seconds: round(seconds),
    peakMiB: Math.round((peak - before) / 2 ** 20),
    longestTurnMs: Math.round(delay.max / 1e6),
  };
}

function round(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}

const folder = await mkdtemp(join(tmpdir(), "kv-event-sync-bench-"));
try {
  const path = join(folder, "snapshot");
  const options = { maxPrefixesPerContext: Number.MAX_SAFE_INTEGER, seed: 1n };
  const index = new SyncPrefixHashTable(options);
  fill(index);
  let bytes = 0;
  const write = await measured(async () => {
    bytes = await writeSnapshot(path, dumpLines(captures, index));
  });
  const other = new SyncPrefixHashTable(options);
  const { signal } = new AbortController();
  const read = await measured(() => restoreDump(readSnapshot(path, signal), other, systemClock));
  if (other.stats().holders !== index.stats().holders) throw new Error("what was read is not what was written");
  const fileMiB = Math.round(bytes / 2 ** 20);
  console.log(JSON.stringify({ blocks: index.stats().holders, streams, fileMiB, write, read }));
} finally {
  await rm(folder, { recursive: true, force: true });
}
