import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { type DemoParts, runDemo } from "../../src/demo/run.ts";
import type { DemoFrame, Happening } from "../../src/demo/view.ts";
import { podsOf } from "../../src/discovery/static.ts";
import { type PackedBatch, PackedType } from "../../src/events/packed-batch.ts";
import type { BlockSource, PrefixIndexer } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventManager } from "../../src/sync/manager.ts";
import type { PodDirectory } from "../../src/sync/status.ts";
import { zmtp } from "../../transports/zmtp/index.ts";

/** Believes that what lies in the GPU's memory stays there. */
class ForgetfulTable extends SyncPrefixHashTable {
  override processEvents(
    source: BlockSource,
    batch: PackedBatch,
    from: number = 0,
    to: number = batch.eventCount,
  ): void {
    for (let index = from; index < to; index++) {
      const { type, medium } = batch.events[index]!;
      if (type !== PackedType.removed || medium !== "GPU") super.processEvents(source, batch, index, index + 1);
    }
  }
}

interface Recorded {
  readonly frames: DemoFrame[];
  readonly happenings: Happening[];
}

function partsWith(
  indexer: PrefixIndexer,
  changes: Partial<DemoParts> = {},
  wrap: (manager: KVEventManager) => PodDirectory = (manager) => manager,
): DemoParts & Recorded {
  const transport = zmtp();
  const recorded: Recorded = { frames: [], happenings: [] };
  return {
    ...recorded,
    transport,
    openPipeline: async (endpoints, observer) => {
      const manager = new KVEventManager({ transport, indexer, observers: [observer] });
      for (const pod of podsOf(endpoints)) manager.onPodAdd(pod);
      return { directory: wrap(manager), indexer, [Symbol.asyncDispose]: () => manager.stop() };
    },
    clock: systemClock,
    onFrame: (frame) => recorded.frames.push(frame),
    onHappening: (happening) => recorded.happenings.push(happening),
    signal: new AbortController().signal,
    ...changes,
  };
}

/** What happened to one engine, without its numbers. */
function storyOf({ happenings }: Recorded, engine: string): readonly string[] {
  return happenings.filter(({ subject }) => subject === engine).map(({ text }) => text.replaceAll(/\d+/g, "N"));
}

test("the index agrees with each engine after a restart and a cut, and the prompt goes where it is cached", async () => {
  const parts = partsWith(new SyncPrefixHashTable());
  const outcome = await runDemo({ engines: 3, seconds: 2 }, parts);
  assert.deepEqual([outcome.verdict.isGood, outcome.differences], [true, []]);
  const { restarts, divergence, blocks, routedTo } = outcome.summary;
  assert.deepEqual([restarts, divergence, routedTo], [1, 0, outcome.route.winner?.pod]);
  assert.ok(blocks > 300, `${blocks} blocks`);
  assert.equal(outcome.cachedTokens, outcome.route.winner?.matchedTokens);
  assert.equal(parts.frames.at(-1)?.phase, "done");
});

test("a restart and a cut connection are told in the order in which they happen", async () => {
  const parts = partsWith(new SyncPrefixHashTable());
  await runDemo({ engines: 3, seconds: 2 }, parts);
  assertOrder(storyOf(parts, "engine-1"), [
    "» the engine's process dies, and its cache with it",
    "connection lost (disconnected)",
    "» the engine is back: same address, sequence from N",
    "connected, the handshake is done",
    "another process answers there: its old blocks are forgotten",
    "live",
  ]);
  assertOrder(storyOf(parts, "engine-2"), [
    "» the connection is cut, the engine goes on",
    "connection lost (disconnected)",
    "» the connection is mended",
    "connected, the handshake is done",
    "live",
  ]);
});

test("an index that misses events is found out", async () => {
  const { verdict, differences, summary } = await runDemo({ engines: 1, seconds: 2 }, partsWith(new ForgetfulTable()));
  assert.equal(verdict.isGood, false);
  assert.ok(summary.divergence > 0);
  assert.ok(differences.every(({ kind }) => kind === "extra" || kind === "tiers"));
});

test("a stream that does not come where its engine is is named, and the demo ends all the same", async () => {
  const lag = (manager: KVEventManager): PodDirectory => ({
    pods: () =>
      manager.pods().map(({ pod, streams }) => ({
        pod,
        streams: streams.map((stream) => ({ ...stream, status: "catching-up" as const })),
      })),
  });
  const parts = partsWith(new SyncPrefixHashTable(), {}, lag);
  const { verdict } = await runDemo({ engines: 1, seconds: 2, quietDeadlineMs: 100 }, parts);
  assert.match(verdict.text, /^FAILED: .*after 100 ms simulation\/engine-0 rank 0 is catching-up at sequence \d+/);
});

test("aborted, it ends at once with everything closed", async () => {
  const controller = new AbortController();
  const parts = partsWith(new SyncPrefixHashTable(), { signal: controller.signal });
  const ports: number[] = [];
  const running = runDemo(
    { engines: 2, seconds: 20 },
    {
      ...parts,
      openPipeline: (endpoints, observer) => {
        ports.push(...endpoints.map(({ endpoint }) => Number(new URL(endpoint).port)));
        return parts.openPipeline(endpoints, observer);
      },
      onFrame: () => controller.abort(),
    },
  );
  await assert.rejects(running, { name: "AbortError" });
  assert.equal(ports.length, 2);
  for (const port of ports) {
    await assert.rejects(once(connect(port, "127.0.0.1"), "connect"), { code: "ECONNREFUSED" });
  }
});

/** All of these, with whatever else between them. */
function assertOrder(story: readonly string[], wanted: readonly string[]): void {
  let next = 0;
  for (const text of story) if (text === wanted[next]) next++;
  assert.equal(next, wanted.length, `"${wanted[next]}" does not follow in:\n${story.join("\n")}`);
}
