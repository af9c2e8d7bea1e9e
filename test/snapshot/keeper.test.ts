import assert from "node:assert/strict";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import type { Clock } from "../../src/clock.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { SnapshotKeeper } from "../../src/snapshot/keeper.ts";
import { deferred } from "../support/deferred.ts";
import { temporaryFolder } from "./support.ts";

interface Bench {
  readonly keeper: SnapshotKeeper;
  readonly path: string;
  /** Delays of the timers that were set, in order. */
  readonly delays: number[];
  readonly news: string[];
  /** Fires the timer; resolves when the snapshot that it began is written, or failed. */
  fire(): Promise<void>;
  isReady: boolean;
  /** Time that the next snapshot takes. */
  takesMs: number;
}

async function setUp(context: TestContext, intervalMs = 1_000): Promise<Bench> {
  let nowMs = 0;
  let timer: (() => void) | undefined;
  let told = deferred<void>();
  const delays: number[] = [];
  const news: string[] = [];
  const tell = (text: string): void => {
    news.push(text);
    told.resolve();
  };
  const clock: Clock = {
    now: () => nowMs,
    setTimeout: (callback, delayMs) => {
      delays.push(delayMs);
      timer = callback;
      return callback;
    },
    clearTimeout: () => {
      timer = undefined;
    },
  };
  const path = join(await temporaryFolder(context), "snapshot");
  const bench: Bench = {
    path,
    delays,
    news,
    isReady: true,
    takesMs: 0,
    async fire() {
      told = deferred<void>();
      const callback = timer;
      timer = undefined;
      callback?.();
      if (bench.isReady) await told.promise;
      // The next timer is set when this one's work is done.
      await new Promise((resolve) => setImmediate(resolve));
    },
    keeper: new SnapshotKeeper({
      path,
      intervalMs,
      indexer: new SyncPrefixHashTable(),
      clock,
      isReady: () => bench.isReady,
      streams: {
        capture() {
          nowMs += bench.takesMs;
          return Readable.from([]);
        },
      },
      observer: {
        onWritten: () => tell("written"),
        onWriteFailed: () => tell("failed"),
      },
    }),
  };
  return bench;
}

test("snapshots are written one after the other, and wait for a tenth of the time at most", async (context) => {
  const bench = await setUp(context);
  bench.keeper.start();
  bench.keeper.start();
  await bench.fire();
  bench.takesMs = 500;
  await bench.fire();
  bench.takesMs = 0;
  await bench.fire();
  assert.deepEqual(bench.delays, [1_000, 1_000, 4_500, 1_000]);
  assert.deepEqual(bench.news, ["written", "written", "written"]);
  await bench.keeper.stop({ withLast: false });
});

test("before the index knows enough nothing is written, and it is asked again", async (context) => {
  const bench = await setUp(context);
  bench.isReady = false;
  bench.keeper.start();
  await bench.fire();
  await assert.rejects(access(bench.path));
  bench.isReady = true;
  await bench.fire();
  assert.deepEqual([bench.news, bench.delays.length], [["written"], 3]);
  await bench.keeper.stop({ withLast: false });
});

test("after one that failed the next is tried", async (context) => {
  const bench = await setUp(context);
  await mkdir(bench.path);
  bench.keeper.start();
  await bench.fire();
  await bench.fire();
  assert.deepEqual([bench.news, bench.delays.length], [["failed", "failed"], 3]);
  await bench.keeper.stop({ withLast: false });
});

test("the last one is written once, however often it is stopped, and none after it", async (context) => {
  const bench = await setUp(context);
  bench.keeper.start();
  await Promise.all([bench.keeper.stop({ withLast: true }), bench.keeper.stop({ withLast: true })]);
  bench.keeper.start();
  assert.deepEqual([bench.news, bench.delays.length], [["written"], 1]);
});

test("without an interval the last one is the only one", async (context) => {
  const bench = await setUp(context, 0);
  bench.keeper.start();
  await bench.keeper.stop({ withLast: true });
  assert.deepEqual([bench.news, bench.delays], [["written"], []]);
});
