import type { Clock } from "../clock.ts";
import type { BlockSource, PrefixIndexer } from "../indexer/indexer.ts";
import { RestoredStreams } from "../sync/restored.ts";
import type { StreamState } from "../sync/stream-state.ts";
import { Turn } from "../sync/turn.ts";
import { dumpError } from "./errors.ts";
import { probeOf } from "./lines.ts";
import { type DumpItem, DumpReader } from "./reader.ts";

/** What a dump brought. */
export interface Restored {
  readonly streams: RestoredStreams;
  readonly blocks: number;
}

/**
 * Takes over a dump: its seed, and its blocks, which stay hidden until their streams have proved them. Whatever is wrong
 * with it leaves the index as it was. Others have their turn meanwhile.
 *
 * @throws KVEventSyncError `corrupt-dump`, `truncated-dump`, `foreign-dump`, and `not-empty` where the index has blocks;
 *   what the source throws.
 */
export async function restoreDump(
  bytes: AsyncIterable<Uint8Array>,
  indexer: PrefixIndexer,
  clock: Clock,
): Promise<Restored> {
  const restore = new Restore(indexer);
  const reader = new DumpReader();
  const turn = new Turn(clock);
  try {
    for await (const piece of bytes) {
      for (const item of reader.push(piece)) {
        restore.take(item);
        if (turn.isOver) await turn.next();
      }
    }
    reader.finish();
    return restore.result();
  } catch (error) {
    for (const source of restore.sources) {
      indexer.processAllBlocksCleared(source);
      if (turn.isOver) await turn.next();
    }
    restore.undoSeed();
    throw error;
  }
}

class Restore {
  readonly #indexer: PrefixIndexer;
  readonly #seed: bigint;
  readonly #states: StreamState[] = [];
  #blocks = 0;

  constructor(indexer: PrefixIndexer) {
    this.#indexer = indexer;
    this.#seed = indexer.seed;
  }

  get sources(): readonly BlockSource[] {
    return this.#states.flatMap(({ sources }) => sources);
  }

  take(item: DumpItem): void {
    if (item.type === "header") this.#adopt(item.seed, item.probe);
    else if (item.type === "stream") this.#states.push(item.state);
    else if (item.type === "blocks") {
      this.#indexer.importSource(item.source, item.blocks, item.groups);
      this.#blocks += item.blocks.length;
    }
  }

  result(): Restored {
    const streams = new RestoredStreams(this.#indexer);
    for (const state of this.#states) streams.add(state);
    return { streams, blocks: this.#blocks };
  }

  /** Who wrote what was refused may have wanted us to have its seed. */
  undoSeed(): void {
    if (this.#indexer.seed !== this.#seed) this.#indexer.reseed(this.#seed);
  }

  #adopt(seed: bigint, probe: string): void {
    this.#indexer.reseed(seed);
    const own = probeOf(this.#indexer);
    if (own === probe) return;
    throw dumpError(
      "foreign-dump",
      `its hash of the sample is ${probe}, ours is ${own}: another release; start cold once`,
    );
  }
}
