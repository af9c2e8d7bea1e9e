import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BlockRun } from "../../src/indexer/block-run.ts";
import { Blocks } from "../../src/indexer/blocks.ts";
import { Context } from "../../src/indexer/context.ts";
import { HashTable } from "../../src/indexer/hash-table.ts";
import { Holders } from "../../src/indexer/holders.ts";
import { Holdings, MAX_SOURCE, proofOf } from "../../src/indexer/holdings.ts";
import type { PodMatch } from "../../src/indexer/indexer.ts";
import { OWN_PLACES, PlaceSets, withoutPlace, withPlace } from "../../src/indexer/place-sets.ts";
import type { Place } from "../../src/indexer/places.ts";
import { Segments } from "../../src/indexer/segments.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { DEFAULT_TIER_WEIGHTS } from "../../src/indexer/tiers.ts";
import { MODEL, removed, source, stored, tokens } from "./support.ts";

const PLAIN = { noNullPrototype: true } as const;
const GPU: Place = { tier: "gpu", group: null };
const CPU: Place = { tier: "cpu", group: null };

describe("Holdings", () => {
  it("keep every part of a record apart from the others", () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const parts = fc.record({
      source: fc.integer({ min: 1, max: MAX_SOURCE }),
      low: word,
      high: word,
      proof: fc.nat({ max: 2 ** 24 - 1 }),
      block: fc.integer({ min: 1, max: 2 ** 26 - 1 }),
      places: fc.nat({ max: 63 }),
      next: fc.nat({ max: 2 ** 27 - 1 }),
      proofAfter: fc.nat({ max: 2 ** 24 - 1 }),
    });
    fc.assert(
      fc.property(parts, ({ source, low, high, proof, block, places, next, proofAfter }) => {
        const holdings = new Holdings();
        const holding = holdings.create(source, low, high, proof, block);
        assert.equal(holdings.proof(holding), proof);
        holdings.setPlaces(holding, places);
        holdings.setNext(holding, next);
        holdings.setProof(holding, proofAfter);
        const read = [
          holdings.source(holding),
          holdings.low(holding),
          holdings.high(holding),
          holdings.proof(holding),
          holdings.block(holding),
          holdings.places(holding),
          holdings.next(holding),
        ];
        assert.deepEqual(read, [source, low, high, proofAfter, block, places, next]);
      }),
    );
  });

  it("prove another parent, another block, and that there is no parent", () => {
    const proofs = [
      proofOf(false, 0, 0, 1, 2),
      proofOf(true, 0, 0, 1, 2),
      proofOf(true, 1, 0, 1, 2),
      proofOf(true, 0, 1, 1, 2),
      proofOf(true, 0, 0, 2, 2),
      proofOf(true, 0, 0, 1, 3),
    ];
    assert.equal(new Set(proofs).size, proofs.length);
    assert.ok(proofs.every((proof) => proof >= 0 && proof < 2 ** 24));
  });
});

describe("PlaceSets", () => {
  it("say what was kept, and forget what nobody uses", () => {
    const places = fc.array(
      fc.record({ tier: fc.constantFrom("gpu", "cpu", "disk"), group: fc.constantFrom(null, 0, 1, 2, 3, 4) }, PLAIN),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(fc.array(places, { maxLength: 120, size: "max" }), (sets) => {
        const kept = new PlaceSets(DEFAULT_TIER_WEIGHTS);
        const numbers = sets.map((set, holding) => kept.keep(holding + 1, set));
        for (const [at, set] of sets.entries()) {
          assert.deepEqual(kept.of(at + 1, numbers[at]!).places, set);
          assert.equal(
            kept.of(at + 1, numbers[at]!).onGpu,
            set.some(({ tier }) => tier === "gpu"),
          );
        }
        for (const [at] of sets.entries()) kept.forget(at + 1, numbers[at]!);
        assert.equal(kept.ownSize, 0);
        assert.equal(kept.keep(1, [GPU]), 0);
      }),
      { numRuns: 50 },
    );
  });

  it("keep with a holding what there is no number for", () => {
    const kept = new PlaceSets(DEFAULT_TIER_WEIGHTS);
    for (let group = 0; group < OWN_PLACES; group++) kept.keep(group + 1, [{ tier: "gpu", group }]);
    assert.equal(kept.keep(100, [CPU]), OWN_PLACES);
    assert.deepEqual(kept.of(100, OWN_PLACES).places, [CPU]);
    assert.equal(kept.ownSize, 1);
    kept.forget(1, 0);
    assert.equal(kept.keep(101, [CPU]), 0);
  });

  it("grow and shrink by places without changing the set that others have", () => {
    const both = withPlace([GPU], CPU);
    assert.deepEqual([both, withPlace(both, CPU), withoutPlace(both, GPU)], [[GPU, CPU], [GPU, CPU], [CPU]]);
  });
});

describe("Holders", () => {
  it("know each source's names, the newest first, as a list and as a crowd, whatever comes and goes", () => {
    const step = fc.record({
      source: fc.integer({ min: 1, max: 60 }),
      isAdded: fc.boolean(),
      isOfRun: fc.boolean(),
      onGpu: fc.boolean(),
      hasMemory: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const blocks = new Blocks(false);
        const holdings = new Holdings();
        const sets = new PlaceSets(DEFAULT_TIER_WEIGHTS);
        let mayGather = true;
        const holders = new Holders(blocks, holdings, sets, () => mayGather);
        const context = new Context("m", -1, 4, () => new HashTable(blocks.records, new Segments(), 1));
        context.number = 1;
        const block = blocks.create(context, 1, 2, 0, 0, 0);
        const run = new BlockRun();
        run.blocks[0] = block;
        const truth = new Map<number, number[]>();
        for (const { source, isAdded, isOfRun, onGpu, hasMemory } of steps) {
          mayGather = hasMemory;
          const names = truth.get(source) ?? [];
          if (isAdded && names.length < 3) {
            const holding = holdings.create(source, names.length, source, 0, block);
            holdings.setPlaces(holding, sets.keep(holding, [onGpu ? GPU : CPU]));
            run.holdings[0] = holding;
            const isDone = isOfRun && holders.addAll(run, source, 0, 1) === 1;
            if (isDone) assert.equal(names.length, 0);
            else assert.equal(holders.add(block, source, holding), names.length);
            truth.set(source, [holding, ...names]);
            const isShort = [...truth.values()].flat().length <= 24;
            if (hasMemory) assert.ok(isShort || holders.crowd(block) !== undefined);
          } else if (names.length > 0) {
            const gone = names[names.length >> 1]!;
            assert.equal(holders.remove(block, source, gone), names.length > 1);
            sets.forget(gone, holdings.places(gone));
            holdings.free(gone);
            truth.set(
              source,
              names.filter((name) => name !== gone),
            );
          }
          check(holders, block, truth, (holding) => sets.of(holding, holdings.places(holding)).onGpu);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("are called like those of the block before only if they are, whatever has come and gone", () => {
    const step = fc.record({
      at: fc.nat({ max: 2 }),
      source: fc.integer({ min: 1, max: 30 }),
      isAdded: fc.boolean(),
      place: fc.constantFrom(GPU, GPU, GPU, CPU),
    });
    // All blocks get most of their holders together, as those of a prompt do.
    const together = fc.record({ source: fc.integer({ min: 1, max: 30 }), onAll: fc.constant(true) });
    fc.assert(
      fc.property(fc.array(fc.oneof(step, together), { maxLength: 150, size: "max" }), (steps) => {
        const world = new HeldBlocks(3);
        for (const each of steps) {
          if ("onAll" in each) for (const at of [0, 1, 2]) world.add(at, each.source, GPU);
          else if (each.isAdded) world.add(each.at, each.source, each.place);
          else world.remove(each.at, each.source);
          for (const at of [1, 2]) {
            if (!world.isLikeBefore(at)) continue;
            assert.deepEqual(world.sources(at), world.sources(at - 1));
            assert.ok(world.isPlain(at));
          }
        }
      }),
      { numRuns: 100 },
    );
    const world = new HeldBlocks(2);
    for (const source of [1, 2, 3]) for (const at of [0, 1]) world.add(at, source, GPU);
    assert.ok(world.isLikeBefore(1));
  });
});

/** Blocks whose records follow each other, each with some holders under one name. */
class HeldBlocks {
  readonly #sets = new PlaceSets(DEFAULT_TIER_WEIGHTS);
  readonly #blocks = new Blocks(false);
  readonly #holdings = new Holdings();
  readonly #holders = new Holders(this.#blocks, this.#holdings, this.#sets, () => true);
  readonly #numbers: number[];
  readonly #names: Map<number, number>[];

  constructor(count: number) {
    const context = new Context("m", -1, 4, () => new HashTable(this.#blocks.records, new Segments(), 1));
    context.number = 1;
    this.#numbers = Array.from({ length: count }, (_, i) => this.#blocks.create(context, i, 2, 0, 0, 0));
    this.#names = this.#numbers.map(() => new Map());
  }

  add(at: number, source: number, place: Place): void {
    if (this.#names[at]!.has(source)) return;
    const holding = this.#holdings.create(source, at, source, 0, this.#numbers[at]!);
    this.#holdings.setPlaces(holding, this.#sets.keep(holding, [place]));
    this.#holders.add(this.#numbers[at]!, source, holding);
    this.#names[at]!.set(source, holding);
  }

  remove(at: number, source: number): void {
    const holding = this.#names[at]!.get(source);
    if (holding === undefined) return;
    this.#holders.remove(this.#numbers[at]!, source, holding);
    this.#sets.forget(holding, this.#holdings.places(holding));
    this.#holdings.free(holding);
    this.#names[at]!.delete(source);
  }

  isLikeBefore(at: number): boolean {
    const blocks = Int32Array.from(this.#numbers);
    return this.#blocks.isLikeBefore(blocks[at]!) || this.#holders.learnLike(blocks, at);
  }

  sources(at: number): number[] {
    return [...this.#names[at]!.keys()].sort((left, right) => left - right);
  }

  isPlain(at: number): boolean {
    return [...this.#names[at]!.values()].every(
      (holding) => this.#sets.of(holding, this.#holdings.places(holding)).isPlain,
    );
  }
}

function check(
  holders: Holders,
  block: number,
  truth: ReadonlyMap<number, readonly number[]>,
  isOnGpu: (holding: number) => boolean,
): void {
  for (const [source, names] of truth) {
    const found: number[] = [];
    for (let name = holders.name(block, source); name !== 0; name = holders.nextName(block, source, name))
      found.push(name);
    assert.deepEqual(found, names);
    const crowd = holders.crowd(block);
    if (crowd === undefined) continue;
    const bit = (words: Uint32Array): boolean => ((words[source >>> 5]! >>> (source & 31)) & 1) === 1;
    const isPlain = names.length === 1 && isOnGpu(names[0]!);
    assert.deepEqual([bit(crowd.plain), bit(crowd.odd)], [isPlain, names.length > 0 && !isPlain]);
  }
  const all = [...truth.values()].flat();
  assert.deepEqual(holders.all(block).sort(), all.sort());
}

describe("a prefix that many hold", () => {
  it("is answered like one that few hold, whoever has it in which tier, under how many names, and how far", () => {
    const pod = fc.record({
      blocks: fc.integer({ min: 0, max: 6 }),
      medium: fc.constantFrom(null, null, null, "cpu", "disk"),
      again: fc.boolean(),
      hole: fc.option(fc.nat({ max: 5 })),
    });
    fc.assert(
      fc.property(fc.array(pod, { minLength: 20, maxLength: 90, size: "max" }), (pods) => {
        const crowded = new SyncPrefixHashTable({ seed: 3n });
        const prompt = tokens(1, 2, 3, 4, 5, 6);
        const expected: PodMatch[] = [];
        for (const [i, each] of pods.entries()) {
          // The same pod alone in an index of its own has no crowd around it.
          const alone = new SyncPrefixHashTable({ seed: 3n });
          for (const index of [crowded, alone]) tell(index, `pod-${String(i).padStart(3, "0")}`, each);
          expected.push(...alone.matchPrefix(MODEL, -1, prompt));
          // Each question leaves notes for the next one.
          const found = [...crowded.matchPrefix(MODEL, -1, prompt)];
          assert.deepEqual(
            found.sort((left, right) => (left.pod < right.pod ? -1 : 1)),
            expected,
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  it("is asked for again after pods have come and gone", () => {
    const index = new SyncPrefixHashTable();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 50; i++) index.processBlockStored(source(`p${i}`), stored([1n, 2n], null, tokens(1, 2)));
      assert.equal(index.matchPrefix(MODEL, -1, tokens(1, 2)).length, 50);
      for (let i = 0; i < 50; i++) index.processAllBlocksCleared(source(`p${i}`));
      assert.equal(index.matchPrefix(MODEL, -1, tokens(1, 2)).length, 0);
    }
    assert.deepEqual(index.stats(), { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 });
  });
});

function tell(
  index: SyncPrefixHashTable,
  name: string,
  { blocks, medium, again, hole }: { blocks: number; medium: string | null; again: boolean; hole: number | null },
): void {
  if (blocks === 0) return;
  const numbers = Array.from({ length: blocks }, (_, i) => i + 1);
  const hashes = numbers.map(BigInt);
  const all = tokens(...numbers);
  index.processBlockStored(source(name), stored(hashes, null, all, { medium }));
  if (again)
    index.processBlockStored(
      source(name),
      stored(
        hashes.map((hash) => hash + 100n),
        null,
        all,
        { medium: "cpu" },
      ),
    );
  if (hole !== null) index.processBlockRemoved(source(name), removed([BigInt(hole + 1)], { medium }));
}

it("a holding is its source's under its name, and once it is given back nobody's under any", () => {
  const holdings = new Holdings();
  const holding = holdings.create(3, 5, 6, 0, 1);
  assert.ok(holdings.is(holding, 3, 5, 6));
  assert.ok(!holdings.is(holding, 4, 5, 6) && !holdings.is(holding, 3, 5, 7) && !holdings.is(holding, 3, 4, 6));
  holdings.free(holding);
  // The first word of a free record names the next free one: here none, which is what an engine may call a block, too.
  for (const low of [0, 5]) assert.ok(!holdings.is(holding, 3, low, 6));
});
