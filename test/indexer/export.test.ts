import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { BlockSource, ExportedBlock, PrefixIndexer } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import type { SyncPrefixHashTableOptions } from "../../src/indexer/table-options.ts";
import { type Command, command, eventOf, ids, LORAS, Naming } from "./commands.ts";
import { held, removed, source, stored, storedPlace, summary, tokens } from "./support.ts";

const SEED = 0x0123_4567_89ab_cdefn;

const SOURCES = ["m", "n"].flatMap((model) =>
  ["a", "b"].flatMap((pod) => [0, 1].map((rank) => source(pod, rank, { model }))),
);

const INDEXES: readonly [string, (options?: SyncPrefixHashTableOptions) => PrefixIndexer][] = [
  ["SyncPrefixHashTable", (options) => new SyncPrefixHashTable(options)],
];

function apply(index: PrefixIndexer, naming: Naming, command: Command): void {
  if (command.type === "clear") {
    index.processAllBlocksCleared(command.from);
    return;
  }
  const event = command.type === "nonsense" ? command.event : eventOf(naming, command);
  if (event.type === "BlockStored") index.processBlockStored(command.from, event);
  else index.processBlockRemoved(command.from, event);
}

/** Takes over all of these sources, so many blocks at a time. */
function copy(from: PrefixIndexer, into: PrefixIndexer, chunkBlocks: number): void {
  for (const each of SOURCES) {
    const blocks = [...from.exportSource(each)];
    for (let i = 0; i < blocks.length; i += chunkBlocks)
      into.importSource(each, blocks.slice(i, i + chunkBlocks), from.exportGroups(each));
  }
}

function textOf({ places, ...block }: ExportedBlock): string {
  const names = places.map(({ tier, group }) => `${tier}/${group}`).sort();
  return JSON.stringify({ ...block, places: names }, (_, value) => (typeof value === "bigint" ? `${value}n` : value));
}

/** All that the index knows of a source. */
function known(index: PrefixIndexer, of: BlockSource): string[] {
  return [...index.exportSource(of)].map(textOf).sort();
}

function checkSame(actual: PrefixIndexer, expected: PrefixIndexer, prompts: readonly (readonly number[])[]): void {
  for (const each of SOURCES) {
    assert.equal(held(actual.heldBlocks(each)), held(expected.heldBlocks(each)));
    assert.deepEqual(known(actual, each), known(expected, each));
  }
  assert.deepEqual(actual.stats(), expected.stats());
  for (const prompt of prompts) {
    for (const model of ["m", "n"]) {
      for (const lora of LORAS) {
        assert.deepEqual(actual.matchPrefix(model, lora, prompt), expected.matchPrefix(model, lora, prompt));
      }
    }
  }
}

for (const [name, make] of INDEXES) {
  describe(`${name}: export and import`, () => {
    it("gives an index that holds, answers and goes on like the first one, whatever the events before and after", () => {
      fc.assert(
        fc.property(
          fc.array(command, { maxLength: 40, size: "max" }),
          fc.array(command, { maxLength: 20, size: "max" }),
          fc.array(ids, { maxLength: 5 }),
          fc.integer({ min: 1, max: 9 }),
          (before, after, queries, chunkBlocks) => {
            const first = make({ seed: SEED });
            const second = make();
            const naming = new Naming();
            for (const command of before) apply(first, naming, command);
            second.reseed(first.seed);
            copy(first, second, chunkBlocks);
            for (const each of SOURCES) second.reveal(each);
            const asked = [...before, ...after].flatMap((step) => ("prompt" in step ? [step.prompt.ids] : []));
            checkSame(second, first, [...queries, ...asked]);
            for (const command of after) {
              apply(first, naming, command);
              apply(second, naming, command);
              checkSame(second, first, asked);
            }
          },
        ),
        { numRuns: 150 },
      );
    });

    it("hides what was imported until it is revealed, though events go on", () => {
      fc.assert(
        fc.property(
          fc.array(command, { maxLength: 40, size: "max" }),
          fc.array(command, { maxLength: 10, size: "max" }),
          (before, after) => {
            const first = make({ seed: SEED });
            const second = make({ seed: SEED });
            const naming = new Naming();
            for (const command of before) apply(first, naming, command);
            copy(first, second, 100);
            const asked = [...before, ...after].flatMap((step) => ("prompt" in step ? [step.prompt.ids] : []));
            for (const prompt of asked) {
              for (const lora of LORAS) assert.deepEqual(second.matchPrefix("m", lora, prompt), []);
            }
            const imported = SOURCES.filter((each) => known(second, each).length > 0);
            for (const command of after) if (command.type !== "clear") apply(first, naming, command);
            for (const command of after) if (command.type !== "clear") apply(second, naming, command);
            for (const each of imported) second.reveal(each);
            checkSame(second, first, asked);
          },
        ),
        { numRuns: 100 },
      );
    });

    it("shows other sources' blocks while those of one source are hidden", () => {
      const first = make({ seed: SEED });
      first.processBlockStored(source("a"), stored([1n, 2n], null, tokens(1, 2)));
      const second = make({ seed: SEED });
      second.processBlockStored(source("b"), stored([7n], null, tokens(1)));
      second.importSource(source("a"), first.exportSource(source("a")));
      assert.equal(summary(second.matchPrefix("llama", -1, tokens(1, 2))), "b 1");
      second.reveal(source("a"));
      assert.equal(summary(second.matchPrefix("llama", -1, tokens(1, 2))), "a 2, b 1");
    });

    it("does not let a belief show what is hidden", () => {
      const first = make({ seed: SEED });
      first.processBlockStored(source("a"), stored([1n, 2n], null, tokens(1, 2)));
      const second = make({ seed: SEED });
      second.importSource(source("a"), first.exportSource(source("a")));
      const hashes = second.getPrefixHashes("llama", -1, tokens(1), 4);
      second.addPrefix("llama", -1, "a", hashes, 4, 60_000);
      assert.equal(summary(second.matchPrefix("llama", -1, tokens(1, 2))), "a 1");
    });

    it("begins anew in sight after a clear", () => {
      const first = make({ seed: SEED });
      first.processBlockStored(source(), stored([1n], null, tokens(1)));
      const second = make({ seed: SEED });
      second.importSource(source(), first.exportSource(source()));
      second.processAllBlocksCleared(source());
      second.processBlockStored(source(), stored([1n], null, tokens(1)));
      assert.equal(summary(second.matchPrefix("llama", -1, tokens(1))), "a 1");
    });

    it("takes over blocks that wait for a parent or for tokens", () => {
      const first = make({ seed: SEED });
      first.processBlockStored(source(), stored([2n], 1n, tokens(2)));
      first.processBlockStored(source(), storedPlace([3n], "cpu"));
      const second = make({ seed: SEED });
      second.importSource(source(), first.exportSource(source()));
      second.reveal(source());
      assert.equal(second.stats().orphans, 2);
      second.processBlockStored(source(), stored([1n], null, tokens(1)));
      second.processBlockStored(source(), stored([3n], 2n, tokens(3)));
      assert.equal(held(second.heldBlocks(source())), "1 gpu; 2 gpu; 3 cpu gpu");
      assert.equal(summary(second.matchPrefix("llama", -1, tokens(1, 2, 3))), "a 3");
    });

    it("knows a block again that is announced anew after its parent went", () => {
      const first = make({ seed: SEED });
      first.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2)));
      first.processBlockRemoved(source(), removed([1n]));
      const second = make({ seed: SEED });
      second.importSource(source(), first.exportSource(source()));
      second.processBlockStored(source(), stored([2n], 1n, tokens(2), { medium: "cpu" }));
      assert.equal(held(second.heldBlocks(source())), "2 cpu gpu");
    });

    it("keeps the bounds of the index that imports", () => {
      const first = make({ seed: SEED });
      first.processBlockStored(source(), stored([1n, 2n, 3n], null, tokens(1, 2, 3)));
      first.processBlockStored(source(), stored([8n], 7n, tokens(8)));
      first.processBlockStored(source(), stored([9n], 7n, tokens(9)));
      const second = make({ seed: SEED, maxPrefixesPerContext: 2, maxOrphansPerSource: 1 });
      second.importSource(source(), first.exportSource(source()));
      const { blocks, orphans, evictedBlocks } = second.stats();
      assert.deepEqual({ blocks, orphans, evictedBlocks }, { blocks: 2, orphans: 1, evictedBlocks: 2 });
    });

    it("refuses a source that has told of blocks itself", () => {
      const index = make({ seed: SEED });
      index.processBlockStored(source(), stored([1n], null, tokens(1)));
      assert.throws(() => index.importSource(source(), []), { code: "not-empty" });
    });

    it("refuses another seed while anything is known or believed", () => {
      const index = make({ seed: SEED });
      index.addPrefix("llama", -1, "a", index.getPrefixHashes("llama", -1, tokens(1), 4), 4, 60_000);
      assert.throws(() => index.reseed(1n), { code: "not-empty" });
      index.removePrefix("llama", -1, "a");
      index.processBlockStored(source(), stored([2n], 1n, tokens(2)));
      assert.throws(() => index.reseed(1n), { code: "not-empty" });
      index.processBlockRemoved(source(), removed([2n]));
      index.reseed(1n);
      assert.equal(index.seed, 1n);
    });
  });
}

describe("SyncPrefixHashTable: blocks that no index exports", () => {
  const exported = (chainedHash: bigint): ExportedBlock => ({
    blockHash: 1n,
    lora: -1,
    blockSize: 4,
    chainedHash,
    proof: 5,
    places: [{ tier: "gpu", group: null }],
  });

  it("leave nothing behind when they are cleared", () => {
    const hash = fc.bigInt({ min: 1n, max: 4n });
    const named = {
      blockHash: hash,
      lora: fc.constantFrom(-1, "sql"),
      blockSize: fc.constantFrom(1, 4),
      places: fc.constantFrom([{ tier: "gpu", group: null }], [{ tier: "cpu", group: 1 }]),
    };
    const some: fc.Arbitrary<ExportedBlock> = fc.oneof(
      fc.record({ ...named, chainedHash: hash, proof: fc.nat({ max: 3 }) }),
      fc.record({
        ...named,
        blockSize: fc.constantFrom(0, 1, 4, 2 ** 31, 2 ** 32 + 4),
        places: fc.constantFrom([{ tier: "gpu", group: null }], []),
        chainedHash: fc.constant(null),
        parentBlockHash: fc.option(hash),
        localHash: hash,
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.array(some, { maxLength: 12 }), { maxLength: 4 }), (chunks) => {
        const index = new SyncPrefixHashTable();
        for (const blocks of chunks) index.importSource(source(), blocks);
        const names = [...index.exportSource(source())].map(({ blockHash, blockSize }) => `${blockSize} ${blockHash}`);
        assert.equal(new Set(names).size, names.length);
        index.processAllBlocksCleared(source());
        const { evictedBlocks: _, ...rest } = index.stats();
        assert.deepEqual(rest, { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0 });
      }),
    );
  });

  it("count once where a name comes twice: the later one", () => {
    const index = new SyncPrefixHashTable();
    index.importSource(source(), [exported(6n), exported(7n)]);
    assert.equal(index.stats().blocks, 1);
    assert.equal([...index.exportSource(source())][0]?.chainedHash, 7n);
  });
});
