import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { BlockSource, PrefixIndexer } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { dumpLines, type StreamCaptures } from "../../src/snapshot/dump.ts";
import { restoreDump } from "../../src/snapshot/restore.ts";
import type { StreamState } from "../../src/sync/stream-state.ts";
import { command, eventOf, Naming } from "../indexer/commands.ts";
import { source, stored } from "../indexer/support.ts";

const NOTHING = { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 };

/** One stream for each pod, which speaks for both ranks. */
const STATES = ["m", "n"].flatMap((modelName) =>
  ["a", "b"].map((key): StreamState => {
    const sources = [0, 1].map((rank) => source(key, rank, { model: modelName }));
    const pod = { key, modelName, loraId: -1, topic: "" };
    return { pod, rank: 0, firstSequence: 0, lastSequence: 5, fingerprint: 9, sources };
  }),
);

const SOURCES: readonly BlockSource[] = STATES.flatMap(({ sources }) => sources);

/** As the manager's, of streams that stand still. */
function capturesOf(states: readonly StreamState[]): StreamCaptures {
  return {
    async *capture(read) {
      for (const state of states) {
        const steps = read(state);
        let step = steps.next();
        while (!step.done) step = steps.next();
        yield step.value;
      }
    },
  };
}

async function dumped(index: PrefixIndexer, states: readonly StreamState[] = STATES): Promise<Buffer> {
  const lines: string[] = [];
  for await (const line of dumpLines(capturesOf(states), index)) lines.push(line);
  return Buffer.from(lines.join(""));
}

async function* pieces(bytes: Uint8Array, size = 1_000): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function known(index: PrefixIndexer): string[] {
  return SOURCES.flatMap((each) =>
    [...index.exportSource(each)].map((block) =>
      JSON.stringify([each, block], (_, value) => (typeof value === "bigint" ? `${value}` : value)),
    ),
  ).sort();
}

/** An index after some events. */
const anyIndex = fc.array(command, { maxLength: 40, size: "max" }).map((commands) => {
  const index = new SyncPrefixHashTable();
  const naming = new Naming();
  for (const each of commands) {
    if (each.type === "clear") index.processAllBlocksCleared(each.from);
    else {
      const event = each.type === "nonsense" ? each.event : eventOf(naming, each);
      if (event.type === "BlockStored") index.processBlockStored(each.from, event);
      else index.processBlockRemoved(each.from, event);
    }
  }
  return index;
});

test("an index that takes over a dump knows what the dumped one knew, and its seed", async () => {
  await fc.assert(
    fc.asyncProperty(anyIndex, fc.integer({ min: 1, max: 3_000 }), async (first, size) => {
      const second = new SyncPrefixHashTable();
      const { streams, blocks } = await restoreDump(pieces(await dumped(first), size), second, systemClock);
      assert.deepEqual(known(second), known(first));
      assert.equal(second.seed, first.seed);
      assert.deepEqual([streams.size, blocks], [STATES.length, known(first).length]);
    }),
    { numRuns: 50 },
  );
});

test("a dump with any change or cut leaves the index as it was, with its own seed", async () => {
  const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  await fc.assert(
    fc.asyncProperty(anyIndex, share, fc.option(fc.integer({ min: 1, max: 255 })), async (first, at, change) => {
      const bytes = await dumped(first);
      const place = Math.floor(at * bytes.length);
      if (change !== null) bytes[place]! ^= change;
      const second = new SyncPrefixHashTable({ seed: 77n });
      const broken = change === null ? bytes.subarray(0, place) : bytes;
      await assert.rejects(restoreDump(pieces(broken), second, systemClock), { code: /-dump$/ });
      assert.deepEqual([second.stats(), second.seed], [NOTHING, 77n]);
    }),
    { numRuns: 100 },
  );
});

test("a source that fails in the middle leaves the index as it was", async () => {
  const first = new SyncPrefixHashTable();
  first.processBlockStored(source("a", 0, { model: "m" }), stored([1n], null, Uint32Array.of(1, 2, 3, 4)));
  const bytes = await dumped(first);
  async function* failing(): AsyncGenerator<Uint8Array, void> {
    yield bytes.subarray(0, bytes.length - 10);
    throw new Error("gone");
  }
  const second = new SyncPrefixHashTable({ seed: 77n });
  await assert.rejects(restoreDump(failing(), second, systemClock), { message: "gone" });
  assert.deepEqual([second.stats(), second.seed], [NOTHING, 77n]);
});

test("an index that knows something already takes over nothing, and keeps what it knows", async () => {
  const bytes = await dumped(new SyncPrefixHashTable());
  const index = new SyncPrefixHashTable();
  index.processBlockStored(source(), stored([1n], null, Uint32Array.of(1, 2, 3, 4)));
  await assert.rejects(restoreDump(pieces(bytes), index, systemClock), { code: "not-empty" });
  assert.equal(index.stats().blocks, 1);
});

test("others have their turn between the lines of a large dump", async () => {
  const lines = 40;
  const first = new SyncPrefixHashTable();
  const of = source("a", 0, { model: "m" });
  const hashes = Array.from({ length: lines * 1_024 }, (_, i) => BigInt(i + 1));
  first.processBlockStored(of, stored(hashes, null, Uint32Array.from(hashes, Number), { blockSize: 1 }));
  let nowMs = 0;
  const hasty: Clock = {
    ...systemClock,
    now: () => {
      nowMs += 10;
      return nowMs;
    },
  };
  const restored = restoreDump(pieces(await dumped(first), 1e9), new SyncPrefixHashTable(), hasty);
  let turns = 0;
  let isOver = false;
  void restored.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    turns++;
    await setImmediate();
  }
  assert.ok(turns >= lines, `${turns}`);
});
