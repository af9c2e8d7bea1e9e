import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { HolderIndex } from "../../src/indexer/holder-index.ts";
import { MAX_SOURCE } from "../../src/indexer/holdings.ts";
import type { BlockSource } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable, type SyncPrefixHashTableOptions } from "../../src/indexer/sync-prefix-hash-table.ts";
import { resolveTableOptions } from "../../src/indexer/table-options.ts";
import { held, ManualClock, MODEL, match, removed, source, stored, storedPlace, tokens } from "./support.ts";

/** Takes all out at once. */
const atOnce = (step: () => void): void => step();

const NOTHING = { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 };

/** Blocks of one token each: more than one step takes out. */
const MANY = 5_000;

function hashes(count: number, first = 1): bigint[] {
  return Array.from({ length: count }, (_, i) => BigInt(first + i));
}

/** A prompt of so many blocks; prompts of different numbers have no block in common. */
function prompt(count: number, number = 0): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => 1_000_000 * number + i);
}

function storeMany(index: SyncPrefixHashTable, of: BlockSource, count = MANY, number = 0): void {
  index.processBlockStored(of, stored(hashes(count), null, prompt(count, number), { blockSize: 1 }));
}

/** An event of nothing. */
function step(index: SyncPrefixHashTable): void {
  index.processBlockRemoved(source("nobody"), removed([]));
}

describe("a large source that is cleared", () => {
  it("is forgotten at once, and taken out some at a time", () => {
    const index = new SyncPrefixHashTable();
    storeMany(index, source("a"));
    storeMany(index, source("b"), 10);
    index.processAllBlocksCleared(source("a"));
    const { blocks, ...rest } = index.stats();
    assert.deepEqual(rest, { contexts: 1, holders: 10, orphans: 0, sources: 1, evictedBlocks: 0 });
    assert.deepEqual([...index.heldBlocks(source("a")), ...index.exportSource(source("a"))], []);
    assert.deepEqual(
      [...index.sourceStats()].map(({ pod }) => pod),
      ["b"],
    );
    assert.equal(match(index, prompt(MANY)), "b 10");
    assert.ok(blocks > MANY - 600 && blocks < MANY - 100, `${blocks}`);
    let before = index.stats().blocks;
    for (let steps = 0; before > 10; steps++) {
      step(index);
      const after = index.stats().blocks;
      assert.ok(before - after <= 128 && steps < 200, `${before} ${after} ${steps}`);
      before = after;
    }
    assert.equal(match(index, prompt(MANY)), "b 10");
  });

  it("may tell of blocks again before the earlier ones are taken out", () => {
    const index = new SyncPrefixHashTable();
    for (let round = 1; round <= 5; round++) {
      storeMany(index, source(), 3_000 + round);
      assert.equal(match(index, prompt(MANY)), `a ${3_000 + round}`);
      assert.equal([...index.heldBlocks(source())].length, 3_000 + round);
      assert.equal(index.stats().holders, 3_000 + round);
      index.processAllBlocksCleared(source());
    }
    for (let steps = 0; steps < 300; steps++) step(index);
    assert.deepEqual(index.stats(), NOTHING);
  });

  it("is taken out by queries where no events come", () => {
    const index = new SyncPrefixHashTable();
    storeMany(index, source());
    index.processAllBlocksCleared(source());
    for (let steps = 0; steps < 100; steps++) assert.equal(match(index, prompt(10)), "");
    assert.deepEqual(index.stats(), NOTHING);
  });

  it("is taken out in later turns of the event loop, by who offers them", () => {
    const later: (() => void)[] = [];
    const index = new SyncPrefixHashTable({ defer: (step) => later.push(step) });
    storeMany(index, source("small"), 200);
    index.processAllBlocksCleared(source("small"));
    assert.equal(later.length, 0);
    for (const pod of ["a", "b"]) storeMany(index, source(pod));
    for (const pod of ["a", "b"]) index.processAllBlocksCleared(source(pod));
    let turns = 0;
    for (let next = later.pop(); next !== undefined; next = later.pop()) {
      assert.equal(later.length, 0);
      next();
      turns++;
    }
    assert.ok(turns >= 20 && turns < 100, `${turns}`);
    assert.deepEqual(index.stats(), NOTHING);
  });

  it("takes what waits with it", () => {
    const index = new SyncPrefixHashTable();
    index.processBlockStored(source(), stored(hashes(MANY), 99_999n, prompt(MANY), { blockSize: 1 }));
    assert.equal(index.stats().orphans, MANY);
    const { bytes } = index;
    index.processAllBlocksCleared(source());
    assert.deepEqual(index.stats(), NOTHING);
    for (let steps = 0; steps < 100; steps++) step(index);
    index.processBlockStored(source(), stored(hashes(MANY), 99_999n, prompt(MANY), { blockSize: 1 }));
    assert.equal(index.bytes, bytes);
  });

  it("leaves its records in order for who stores next", () => {
    const index = new HolderIndex(resolveTableOptions({ seed: 7n }));
    const prompts = Array.from({ length: 40 }, (_, number) => Array.from({ length: 100 }, (_, i) => 100 * number + i));
    const store = (pod: string, blocks: readonly number[]): void => {
      const context = index.contexts.open(MODEL, -1, 1);
      const from = index.sources.open(source(pod));
      index.begin();
      let parent = 0;
      for (const block of blocks) {
        const holding = index.hold(from, context, block, 0, 0, block, 1, [{ tier: "gpu", group: null }], parent);
        parent = index.holdings.block(holding);
      }
      index.bounds.settle(context);
      index.sources.settle(from);
    };
    const following = (): number => {
      const context = index.contexts.open(MODEL, -1, 1);
      const found = new Int32Array(100);
      const next = (i: number): boolean => found[i] !== 0 && found[i + 1] === found[i]! + 1;
      return prompts.flatMap((blocks) => {
        const hashes = Int32Array.from(blocks.flatMap((block) => [block, 1]));
        index.findAll(context, { hashes, blocks: found, wasm: null }, 0, blocks.length);
        return blocks.slice(0, -1).filter((_, i) => next(i));
      }).length;
    };
    for (let round = 0; round < 4; round++) {
      for (const [number, blocks] of prompts.entries()) store(number % 3 === 0 ? "a" : "b", blocks);
      assert.ok(following() > 0.95 * 40 * 99, `${following()}`);
      for (const pod of ["a", "b"]) index.leave(index.sources.open(source(pod)));
      while (index.work());
    }
  });

  it("is not counted twice where its blocks expire meanwhile", () => {
    const clock = new ManualClock();
    const index = new SyncPrefixHashTable({ clock, entryTtlMs: 1_000 });
    for (const pod of ["a", "b"]) storeMany(index, source(pod));
    index.processAllBlocksCleared(source("a"));
    clock.advance(1_000);
    storeMany(index, source("c"), 10, 1);
    for (let steps = 0; steps < 200; steps++) step(index);
    assert.deepEqual(index.stats(), { ...NOTHING, contexts: 1, blocks: 10, holders: 10, sources: 1 });
  });

  it("ends an export that has begun", () => {
    const index = new SyncPrefixHashTable();
    storeMany(index, source());
    index.processBlockStored(source(), storedPlace([99_999n], "cpu"));
    for (const iteration of [index.exportSource(source()), index.heldBlocks(source())]) {
      assert.equal(iteration.next().done, false);
      index.processAllBlocksCleared(source());
      assert.equal(iteration.next().done, true);
      storeMany(index, source());
    }
  });

  it("leaves an index that can be given another seed", () => {
    const index = new SyncPrefixHashTable();
    storeMany(index, source());
    index.processAllBlocksCleared(source());
    index.reseed(5n);
    assert.equal(index.seed, 5n);
  });
});

describe("before anything is evicted, what has left goes:", () => {
  const check = (name: string, options: SyncPrefixHashTableOptions, model: (round: number) => string): void => {
    it(name, () => {
      const index = new SyncPrefixHashTable({ seed: 7n, ...options });
      for (let round = 0; round < 12; round++) {
        const of = source("a", 0, { model: model(round) });
        storeMany(index, of, MANY, round);
        const { holders, evictedBlocks } = index.stats();
        assert.deepEqual({ holders, evictedBlocks }, { holders: MANY, evictedBlocks: 0 });
        const { maxBytes } = options;
        if (maxBytes !== undefined) assert.ok(index.bytes <= maxBytes, `${index.bytes}`);
        index.processAllBlocksCleared(of);
      }
    });
  };
  check("maxBytes", { maxBytes: 800_000 }, () => MODEL);
  check("maxPrefixesPerContext", { maxPrefixesPerContext: MANY + 100 }, () => MODEL);
  check("maxContexts", { maxContexts: 1 }, (round) => `m${round}`);

  it("but not all of it for one event, where others hold the same", () => {
    const later: (() => void)[] = [];
    const index = new SyncPrefixHashTable({ seed: 7n, maxBytes: 3_600_000, defer: (step) => later.push(step) });
    for (let number = 0; index.stats().evictedBlocks === 0; number++) {
      for (const pod of ["a", "b"]) {
        const ids = prompt(1_000, number);
        index.processBlockStored(source(pod), stored(hashes(1_000, 1_000 * number), null, ids, { blockSize: 1 }));
      }
    }
    const { blocks, evictedBlocks } = index.stats();
    assert.ok(blocks > 25_000, `${blocks}`);
    index.processAllBlocksCleared(source("a"));
    index.processBlockStored(source("b"), stored(hashes(2_000, 10_000_000), null, prompt(2_000, 99), { blockSize: 1 }));
    assert.ok(index.stats().evictedBlocks > evictedBlocks);
    let turns = 0;
    for (let next = later.pop(); next !== undefined; next = later.pop()) {
      next();
      turns++;
    }
    assert.ok(turns > 30, `${turns}`);
    assert.equal(index.stats().holders, index.stats().blocks);
  });

  it("blocks that wait", () => {
    const index = new SyncPrefixHashTable({ maxBytes: 800_000 });
    const wait = (pod: string): void =>
      index.processBlockStored(source(pod), stored(hashes(3_000), 99_999n, prompt(3_000), { blockSize: 1 }));
    for (let round = 0; round < 12; round++) {
      wait(`p${round}`);
      assert.deepEqual(index.stats(), { ...NOTHING, orphans: 3_000, sources: 1 });
      index.processAllBlocksCleared(source(`p${round}`));
    }
  });

  it("numbers of sources", () => {
    const index = new SyncPrefixHashTable();
    storeMany(index, source("first"), 3_000);
    for (let i = 1; i < MAX_SOURCE; i++) index.processBlockStored(source(`p${i}`), stored([1n], null, tokens(1)));
    storeMany(index, source("next"), 10);
    assert.deepEqual([...index.heldBlocks(source("next"))], []);
    index.processAllBlocksCleared(source("first"));
    storeMany(index, source("next"), 10);
    assert.equal([...index.heldBlocks(source("next"))].length, 10);
  });
});

/** What engines do, some hundreds of blocks at a time. */
type Command =
  | {
      readonly type: "store" | "remove";
      readonly pods: readonly string[];
      readonly prompt: number;
      /** Of the prompt. */
      readonly parts: readonly number[];
      readonly medium: string | null;
      readonly groupIdx: number | null;
    }
  | { readonly type: "clear"; readonly pods: readonly string[] }
  | { readonly type: "wait"; readonly ms: number };

const PART = 500;
const ALL = [0, 1, 2];
const PROMPT = PART * ALL.length;
const PROMPTS = 3;
/** So many that a block which all hold has a crowd. */
const FLEET = Array.from({ length: 28 }, (_, i) => `pod-${i}`);

const onePod = fc.constantFrom(...FLEET.slice(0, 4)).map((pod) => [pod]);
const somePart = fc.constantFrom(...ALL).map((part) => [part]);
const wholeFleet = fc.constant(FLEET);
const pods = fc.oneof({ weight: 5, arbitrary: onePod }, { weight: 1, arbitrary: wholeFleet });
const part = {
  prompt: fc.nat({ max: PROMPTS - 1 }),
  medium: fc.constantFrom(null, null, null, "cpu"),
  groupIdx: fc.constantFrom(null, null, null, null, null, 0),
};
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constant("store" as const), pods: onePod, parts: fc.constant(ALL), ...part }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("store" as const), pods, parts: somePart, ...part }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("remove" as const), pods, parts: somePart, ...part }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("clear" as const), pods }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("wait" as const), ms: fc.constantFrom(300, 1_000) }) },
);

function apply(index: SyncPrefixHashTable, command: Command): void {
  if (command.type === "wait") return;
  for (const pod of command.pods) {
    if (command.type === "clear") {
      index.processAllBlocksCleared(source(pod));
      continue;
    }
    const { prompt: number, parts, medium, groupIdx } = command;
    for (const part of parts) {
      const first = 10_000 * (number + 1) + PART * part;
      const place = { medium, groupIdx };
      if (command.type === "remove") {
        index.processBlockRemoved(source(pod), removed(hashes(PART, first), place));
        continue;
      }
      const ids = prompt(PROMPT, number).subarray(PART * part, PART * (part + 1));
      const parent = part === 0 ? null : BigInt(first - 1);
      index.processBlockStored(source(pod), stored(hashes(PART, first), parent, ids, { ...place, blockSize: 1 }));
    }
  }
}

function checkSame(actual: SyncPrefixHashTable, expected: SyncPrefixHashTable): void {
  for (let number = 0; number < PROMPTS; number++) {
    const asked = prompt(PROMPT, number);
    assert.deepEqual(actual.matchPrefix(MODEL, -1, asked), expected.matchPrefix(MODEL, -1, asked));
  }
  for (const pod of FLEET.slice(0, 2)) {
    assert.equal(held(actual.heldBlocks(source(pod))), held(expected.heldBlocks(source(pod))));
  }
}

function visible(index: SyncPrefixHashTable): Record<string, number> {
  const { holders, orphans, sources, evictedBlocks } = index.stats();
  return { holders, orphans, sources, evictedBlocks };
}

describe("sources that leave some at a time", () => {
  it("change nothing that anybody sees, and leave nothing, whatever comes meanwhile", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 25, size: "max" }), (commands) => {
        const index = new SyncPrefixHashTable({ seed: 3n });
        const eager = new SyncPrefixHashTable({ seed: 3n, defer: atOnce });
        for (const command of commands) {
          for (const each of [index, eager]) apply(each, command);
          checkSame(index, eager);
          assert.deepEqual(visible(index), visible(eager));
          assert.ok(index.stats().blocks >= eager.stats().blocks);
        }
        for (let steps = 0; steps < 1_000 && index.stats().blocks > eager.stats().blocks; steps++) step(index);
        assert.deepEqual(index.stats(), eager.stats());
        checkSame(index, eager);
        for (const pod of FLEET) for (const each of [index, eager]) each.processAllBlocksCleared(source(pod));
        for (let steps = 0; steps < 1_000; steps++) step(index);
        assert.deepEqual(index.stats(), NOTHING);
      }),
      { numRuns: 30 },
    );
  });

  it("keep the bound of memory, and nothing false is told of what was evicted", () => {
    // An index this small exceeds its bound where blocks have many holders, or have waited.
    const few = (command: Command): Command => {
      if (command.type === "wait") return command;
      const some = command.pods.slice(0, 4);
      return command.type === "clear" ? { ...command, pods: some } : { ...command, pods: some, parts: ALL };
    };
    fc.assert(
      fc.property(fc.array(command.map(few), { maxLength: 25, size: "max" }), (commands) => {
        const maxBytes = 150_000;
        const index = new SyncPrefixHashTable({ seed: 3n, maxBytes });
        const unbounded = new SyncPrefixHashTable({ seed: 3n });
        for (const command of commands) {
          for (const each of [index, unbounded]) apply(each, command);
          assert.ok(index.bytes <= maxBytes, `${index.bytes}`);
          const told = unbounded.stats().holders - index.stats().holders;
          assert.ok(told >= 0 && (told === 0 || index.stats().evictedBlocks > 0), `${told}`);
          for (let number = 0; number < PROMPTS; number++) {
            const asked = prompt(PROMPT, number);
            const all = new Map(unbounded.matchPrefix(MODEL, -1, asked).map((each) => [each.pod, each.matchedBlocks]));
            for (const { pod, matchedBlocks } of index.matchPrefix(MODEL, -1, asked)) {
              assert.ok(matchedBlocks <= (all.get(pod) ?? 0));
            }
          }
        }
        for (const pod of FLEET) index.processAllBlocksCleared(source(pod));
        for (let steps = 0; steps < 1_000; steps++) step(index);
        assert.deepEqual({ ...index.stats(), evictedBlocks: 0 }, NOTHING);
      }),
      { numRuns: 30 },
    );
  });

  it("are no longer there for blocks that expire", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 25, size: "max" }), (commands) => {
        const clock = new ManualClock();
        const index = new SyncPrefixHashTable({ seed: 3n, clock, entryTtlMs: 1_000 });
        const eager = new SyncPrefixHashTable({ seed: 3n, clock, entryTtlMs: 1_000, defer: atOnce });
        for (const command of commands) {
          if (command.type === "wait") clock.advance(command.ms);
          for (const each of [index, eager]) apply(each, command);
          checkSame(index, eager);
        }
        clock.advance(1_000);
        for (let steps = 0; steps < 2_000; steps++) for (const each of [index, eager]) step(each);
        const { orphans } = eager.stats();
        for (const each of [index, eager]) {
          const { sources, ...rest } = each.stats();
          assert.deepEqual({ ...rest, sources: 0 }, { ...NOTHING, orphans });
        }
      }),
      { numRuns: 20 },
    );
  });
});
