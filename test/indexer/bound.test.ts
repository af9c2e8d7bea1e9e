import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { BlockSource } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { MODEL, match, removed, source, stored, tokens } from "./support.ts";

/** Blocks of one token, of numbers that come once each, as if many engines had gone on for long. */
class Engines {
  readonly #index: SyncPrefixHashTable;
  readonly #sources: BlockSource[] = [];
  #next = 1;

  constructor(index: SyncPrefixHashTable) {
    this.#index = index;
  }

  source(number: number): BlockSource {
    this.#sources[number] ??= source(`p${number}`);
    return this.#sources[number];
  }

  /** The source stores so many blocks, each the first of a prompt. */
  store(number: number, blocks: number, adapter: string | null = null): void {
    for (let i = 0; i < blocks; i++) this.#say(number, this.#next++, null, adapter);
  }

  /** Blocks whose parents nobody knows: a parent of its own for each, or one for all. */
  wait(number: number, blocks: number, ownParent: boolean): void {
    for (let i = 0; i < blocks; i++) {
      const name = this.#next++;
      this.#say(number, name, ownParent ? -name : -1);
    }
  }

  /** One of few blocks, which many may come to hold. */
  share(number: number, block: number): void {
    this.#say(number, 10_000_000 + block, null);
  }

  clear(number: number): void {
    this.#index.processAllBlocksCleared(this.source(number));
  }

  /** What was stored last. */
  remove(number: number, blocks: number): void {
    const names = Array.from({ length: Math.min(blocks, this.#next - 1) }, (_, i) => BigInt(this.#next - 1 - i));
    this.#index.processBlockRemoved(this.source(number), removed(names));
  }

  #say(number: number, name: number, parent: number | null, loraName: string | null = null): void {
    const parentHash = parent === null ? null : BigInt.asUintN(64, BigInt(parent));
    const event = stored([BigInt(name)], parentHash, Uint32Array.of(name), { blockSize: 1, loraName });
    this.#index.processBlockStored(this.source(number), event);
  }
}

const common = { first: fc.nat({ max: 400 }), sources: fc.integer({ min: 1, max: 250 }) };
const phase = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      ...common,
      type: fc.constant("store" as const),
      blocks: fc.integer({ min: 1, max: 12 }),
      rounds: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ ...common, type: fc.constant("fill" as const), blocks: fc.integer({ min: 1, max: 4_000 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      ...common,
      type: fc.constant("wait" as const),
      blocks: fc.integer({ min: 1, max: 40 }),
      ownParent: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ ...common, type: fc.constant("share" as const), blocks: fc.integer({ min: 1, max: 30 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ ...common, type: fc.constant("adapt" as const), blocks: fc.integer({ min: 1, max: 300 }) }),
  },
  { weight: 1, arbitrary: fc.record({ ...common, type: fc.constant("clear" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ ...common, type: fc.constant("remove" as const), blocks: fc.integer({ min: 1, max: 500 }) }),
  },
);
type Phase = typeof phase extends fc.Arbitrary<infer T> ? T : never;

/** `check` comes after each step of it. */
function run(engines: Engines, phase: Phase, check: () => void): void {
  const { type, first, sources } = phase;
  if (type === "fill") {
    engines.store(first, phase.blocks);
    check();
  } else if (type === "share") {
    for (let number = first; number < first + sources; number++) {
      for (let block = 0; block < phase.blocks; block++) engines.share(number, block);
      check();
    }
  } else if (type === "adapt") {
    for (let i = 0; i < phase.blocks; i++) {
      engines.store(first, 1, `adapter-${i}`);
      check();
    }
  } else {
    for (let round = 0; round < (type === "store" ? phase.rounds : 1); round++) {
      for (let number = first; number < first + sources; number++) {
        if (type === "store") engines.store(number, phase.blocks);
        else if (type === "wait") engines.wait(number, phase.blocks, phase.ownParent);
        else if (type === "clear") engines.clear(number);
        else engines.remove(number, phase.blocks);
        check();
      }
    }
  }
}

describe("an index with a small bound", () => {
  it("is within it at any time, whoever holds what, and whatever waits", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 20_000, 100_000, 400_000, 1_000_000),
        fc.array(phase, { minLength: 2, maxLength: 8 }),
        (maxBytes, phases) => {
          const index = new SyncPrefixHashTable({ maxBytes, seed: 7n });
          const engines = new Engines(index);
          const check = (): void => {
            if (index.bytes > maxBytes) assert.fail(`${index.bytes} bytes of ${maxBytes}`);
          };
          for (const phase of phases) run(engines, phase, check);
        },
      ),
      { numRuns: 60 },
    );
  });

  for (const maxBytes of [100_000, 400_000, 4_000_000]) {
    it(`still takes what is new, and lets some wait, when it is full: ${maxBytes} bytes`, () => {
      const index = new SyncPrefixHashTable({ maxBytes, seed: 7n });
      const engines = new Engines(index);
      for (let round = 0; round < maxBytes / 1_000; round++) {
        for (let number = 0; number < 16; number++) {
          engines.store(number, 2);
          engines.wait(number, 2, true);
        }
      }
      const { blocks, orphans, evictedBlocks } = index.stats();
      assert.ok(evictedBlocks > blocks + orphans, "it is full");
      for (let number = 0; number < 16; number++) {
        const parent = 2_000_000 + 10 * number;
        const [child, block] = [parent + 1, parent + 2];
        const of = engines.source(number);
        index.processBlockStored(of, stored([BigInt(block)], null, tokens(block)));
        assert.equal(match(index, tokens(block)), `p${number} 1`);
        index.processBlockStored(of, stored([BigInt(child)], BigInt(parent), tokens(child)));
        index.processBlockStored(of, stored([BigInt(parent)], null, tokens(parent)));
        assert.equal(match(index, tokens(parent, child)), `p${number} 2`);
        assert.ok(index.bytes <= maxBytes, `${index.bytes}`);
      }
    });
  }

  it("holds as much as before while more sources speak than there is room for", () => {
    const index = new SyncPrefixHashTable({ maxBytes: 450_000, seed: 7n });
    const engines = new Engines(index);
    engines.store(0, 20_000);
    const { blocks } = index.stats();
    for (let round = 0; round < 50; round++) for (let number = 1; number < 200; number++) engines.store(number, 1);
    const { blocks: after, sources } = index.stats();
    assert.ok(after > 0.9 * blocks && sources > 10, `${after} blocks, ${blocks} before, of ${sources} sources`);
  });

  it("is within it while ever more sources come to hold the same blocks", () => {
    const maxBytes = 1_300_000;
    const index = new SyncPrefixHashTable({ maxBytes, seed: 7n });
    const engines = new Engines(index);
    engines.store(0, 20_000);
    for (let number = 0; number < 150; number++) {
      for (let block = 0; block < 100; block++) {
        engines.share(number, block);
        assert.ok(index.bytes <= maxBytes, `${index.bytes} bytes with ${number} sources`);
      }
    }
    assert.ok(index.stats().holders > 5_000, `${index.stats().holders}`);
  });

  for (const maxBytes of [1_060_447, 1_378_581, 2_329_801]) {
    it(`is within it while every second block of prompts goes, when it is full of prompts and more: ${maxBytes} bytes`, () => {
      const index = new SyncPrefixHashTable({ maxBytes, seed: 7n });
      let next = 1;
      const store = (blocks: number, groupIdx: number | null): bigint[] => {
        const ids = Uint32Array.from({ length: blocks }, () => next++);
        const names = [...ids].map(BigInt);
        index.processBlockStored(source("a"), stored(names, null, ids, { blockSize: 1, groupIdx }));
        return names;
      };
      const remove = (names: readonly bigint[]): void => {
        index.processBlockRemoved(source("a"), removed(names));
        assert.ok(index.bytes <= maxBytes, `${index.bytes}`);
      };
      const prompts: bigint[][] = [];
      while (index.stats().evictedBlocks === 0) prompts.push(store(16, null));
      for (const names of prompts.splice(0, prompts.length / 5)) remove(names.reverse());
      // Each in places of its own, which take memory beside records and tables.
      const { evictedBlocks } = index.stats();
      for (let group = 0; index.stats().evictedBlocks === evictedBlocks; group++) store(1, group);
      for (const names of prompts) for (let i = 0; i < names.length; i += 2) remove([names[i]!]);
      assert.ok(index.stats().blocks > maxBytes / 300);
    });
  }

  it("has room for what is held after nothing but blocks that wait has come, and the other way round", () => {
    const index = new SyncPrefixHashTable({ maxBytes: 1_000_000, seed: 7n });
    const engines = new Engines(index);
    engines.wait(0, 30_000, true);
    const { orphans } = index.stats();
    engines.store(1, 30_000);
    assert.ok(orphans > 5_000 && index.stats().blocks > 2_000, `${orphans} wait, ${index.stats().blocks} are held`);
    const other = new SyncPrefixHashTable({ maxBytes: 1_000_000, seed: 7n });
    const others = new Engines(other);
    others.store(1, 30_000);
    others.wait(0, 30_000, true);
    assert.ok(other.stats().orphans > 400, `${other.stats().orphans}`);
  });

  it("holds nothing where its sources alone are more than it, and something again when it is empty", () => {
    const index = new SyncPrefixHashTable({ maxBytes: 50_000, seed: 7n });
    const engines = new Engines(index);
    for (let number = 0; number < 200; number++) {
      engines.store(number, 20);
      engines.wait(number, 20, true);
      assert.ok(index.bytes <= 50_000);
    }
    for (let number = 0; number < 200; number++) engines.clear(number);
    index.processBlockStored(source("a"), stored([1n], null, tokens(1)));
    assert.deepEqual(index.matchPrefix(MODEL, -1, tokens(1)).length, 1);
  });
});
