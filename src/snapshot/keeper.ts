import type { Clock } from "../clock.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import { dumpLines, type StreamCaptures } from "./dump.ts";
import { writeSnapshot } from "./file.ts";
import type { SnapshotObserver } from "./observer.ts";
import { DumpWriter } from "./writer.ts";

/** What a keeper works with. */
export interface SnapshotKeeperParts {
  readonly path: string;
  /** 0: at the end alone. */
  readonly intervalMs: number;
  readonly streams: StreamCaptures;
  readonly indexer: PrefixIndexer;
  readonly clock: Clock;
  readonly observer: SnapshotObserver;
  /** Before, the index knows less than the snapshot that is there: it is kept. */
  readonly isReady: () => boolean;
}

/** A large index must not spend its time on being written: a tenth of it at most. */
const MIN_PAUSE_FACTOR = 9;

/** Writes a snapshot from time to time, and a last one. One that fails is told, and tried again later. */
export class SnapshotKeeper {
  readonly #parts: SnapshotKeeperParts;
  #isStarted = false;
  #timer: unknown;
  /** Time that the last one took. */
  #tookMs = 0;
  #writing: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | null = null;

  constructor(parts: SnapshotKeeperParts) {
    this.#parts = parts;
  }

  /** Begins to write. Idempotent. */
  start(): void {
    if (!this.#isStarted) this.#schedule();
    this.#isStarted = true;
  }

  #schedule(): void {
    const { intervalMs, clock, isReady } = this.#parts;
    if (intervalMs === 0 || this.#stopping !== null) return;
    this.#timer = clock.setTimeout(
      () => {
        // The next one only when this one is done, however long it takes.
        if (isReady()) this.#writing = this.#write();
        void this.#writing.then(() => this.#schedule());
      },
      Math.max(intervalMs, MIN_PAUSE_FACTOR * this.#tookMs),
    );
  }

  /**
   * Ends it; while the streams are still there, and know enough, with a last snapshot. Never rejects. Idempotent: the
   * first call counts.
   */
  stop(options: { readonly withLast: boolean }): Promise<void> {
    this.#stopping ??= this.#stop(options);
    return this.#stopping;
  }

  async #stop({ withLast }: { readonly withLast: boolean }): Promise<void> {
    this.#parts.clock.clearTimeout(this.#timer);
    await this.#writing;
    if (withLast) await this.#write();
  }

  async #write(): Promise<void> {
    const { path, streams, indexer, clock, observer } = this.#parts;
    const startedMs = clock.now();
    const writer = new DumpWriter();
    try {
      const bytes = await writeSnapshot(path, dumpLines(streams, indexer, writer));
      const size = { streams: writer.streams, blocks: writer.blocks, bytes };
      observer.onWritten?.(path, size, (clock.now() - startedMs) / 1_000);
    } catch (error) {
      observer.onWriteFailed?.(path, error as Error);
    }
    this.#tookMs = clock.now() - startedMs;
  }
}
