import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { HashTable } from "../../src/indexer/hash-table.ts";
import type { Lora } from "../../src/indexer/indexer.ts";
import { OrphanRecords } from "../../src/indexer/orphan-records.ts";
import { type AnnouncedBlock, Orphans, placeOnly } from "../../src/indexer/orphans.ts";
import { type Place, placeName } from "../../src/indexer/places.ts";
import type { Records } from "../../src/indexer/records.ts";
import { Segments } from "../../src/indexer/segments.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { DEFAULT_TIER_WEIGHTS } from "../../src/indexer/tiers.ts";
import { describeOrphan, OrphansTwin, type TwinBlock } from "./orphans-twin.ts";
import { MODEL, match, removed, source, stored, storedPlace, tokens } from "./support.ts";

const GPU: Place = { tier: "gpu", group: null };
const CPU: Place = { tier: "cpu", group: null };

// Hashes of small numbers whose words have every sign; 0 for no hash, too.
const lowOf = (number: number): number => Math.imul(number, 0x9e3779b1);
const highOf = (number: number): number => ~number;

function announced({ name, parent, local, lora, blockSize }: TwinBlock): AnnouncedBlock {
  return {
    low: lowOf(name),
    high: highOf(name),
    hasParent: parent !== null,
    parentLow: lowOf(parent ?? 0),
    parentHigh: highOf(parent ?? 0),
    localLow: local,
    localHigh: local << 30,
    lora,
    blockSize,
  };
}

/** The orphans of some sources, which share records. */
class Waiting {
  readonly records: OrphanRecords = new OrphanRecords(DEFAULT_TIER_WEIGHTS);
  readonly segments: Segments = new Segments();

  newSource(): Orphans {
    return new Orphans(this.records, (records: Records) => new HashTable(records, this.segments, 77));
  }
}

function describeAll(orphans: Orphans): string[] {
  const { records } = orphans;
  return [...orphans.byAge()].map((orphan) => {
    const name = ~records.high(orphan);
    assert.equal(records.low(orphan), lowOf(name));
    const parent = records.hasParent(orphan) ? ~records.parentHigh(orphan) : null;
    const local = records.localLow(orphan);
    assert.equal(records.localHigh(orphan), local << 30);
    const blockSize = records.blockSize(orphan);
    assert.equal(orphans.get(blockSize, lowOf(name), highOf(name)), orphan);
    return describeOrphan(name, parent, local, records.lora(orphan), blockSize, records.places(orphan));
  });
}

/** As the index does it; the names. */
function claimChildren(orphans: Orphans, parent: number, blockSize: number, lora: Lora): number[] {
  const names: number[] = [];
  for (let child = orphans.firstChild(lowOf(parent), highOf(parent)); child !== 0; ) {
    const next = orphans.records.next(child);
    if (orphans.isOf(child, blockSize, lora)) {
      names.push(~orphans.records.high(child));
      orphans.remove(child);
    }
    child = next;
  }
  return names;
}

const name = fc.nat({ max: 6 });
const lora: fc.Arbitrary<Lora> = fc.constantFrom(-1, -1, 2, "2");
const blockSize = fc.constantFrom(1, 1, 2);
const place: fc.Arbitrary<Place> = fc.record({
  tier: fc.constantFrom("gpu", "cpu"),
  group: fc.constantFrom(null, 0, 1, 2, 3, 4),
});
const block: fc.Arbitrary<TwinBlock> = fc.record({
  name,
  parent: fc.option(name, { freq: 6 }),
  local: fc.nat({ max: 2 }),
  lora,
  blockSize,
});
const step = fc.record({ source: fc.nat({ max: 1 }), place }).chain((of) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ ...constants(of), type: fc.constant("wait" as const), block }) },
    { weight: 1, arbitrary: fc.record({ ...constants(of), type: fc.constant("claim" as const), block }) },
    { weight: 1, arbitrary: fc.record({ ...constants(of), type: fc.constant("place" as const), name }) },
    { weight: 1, arbitrary: fc.record({ ...constants(of), type: fc.constant("end" as const), name, blockSize }) },
    { weight: 2, arbitrary: fc.record({ ...constants(of), type: fc.constant("addPlace" as const), name }) },
    { weight: 2, arbitrary: fc.record({ ...constants(of), type: fc.constant("removePlace" as const), name }) },
    {
      weight: 2,
      arbitrary: fc.record({ ...constants(of), type: fc.constant("adopt" as const), name, blockSize, lora }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ ...constants(of), type: fc.constant("shrink" as const), limit: fc.nat({ max: 8 }) }),
    },
  ),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function constants(of: { readonly source: number; readonly place: Place }) {
  return { source: fc.constant(of.source), place: fc.constant(of.place) };
}

function apply(orphans: Orphans, twin: OrphansTwin, step: Step): void {
  if (step.type === "wait") {
    const block = announced(step.block);
    assert.ok(orphans.add(block, orphans.claim(block, [step.place])));
    twin.wait(step.block, step.place);
  } else if (step.type === "claim") {
    const places = orphans.claim(announced(step.block), []);
    assert.deepEqual(places.map(placeName), twin.claim(step.block).map(placeName));
  } else if (step.type === "place") {
    const block = placeOnly(lowOf(step.name), highOf(step.name));
    assert.ok(orphans.add(block, orphans.claim(block, [step.place])));
    twin.wait({ name: step.name, parent: null, local: 0, lora: -1, blockSize: 0 }, step.place);
  } else if (step.type === "end") {
    orphans.end(step.blockSize, lowOf(step.name), highOf(step.name));
    twin.end(step.blockSize, step.name);
  } else if (step.type === "addPlace") {
    for (const orphan of orphans.all(lowOf(step.name), highOf(step.name))) orphans.addPlace(orphan, step.place);
    twin.addPlace(step.name, step.place);
  } else if (step.type === "removePlace") {
    for (const orphan of orphans.all(lowOf(step.name), highOf(step.name))) orphans.removePlace(orphan, step.place);
    twin.removePlace(step.name, step.place);
  } else if (step.type === "adopt") {
    const { name, blockSize, lora } = step;
    assert.deepEqual(claimChildren(orphans, name, blockSize, lora), twin.claimChildren(name, blockSize, lora));
  } else {
    assert.equal(orphans.shrinkTo(step.limit), twin.shrinkTo(step.limit));
  }
}

describe("Orphans", () => {
  it("are what the same in a plain list would be, whatever comes and goes, and leave nothing behind", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
        const waiting = new Waiting();
        const sources = [0, 1].map(() => ({ orphans: waiting.newSource(), twin: new OrphansTwin() }));
        for (const step of steps) {
          const { orphans, twin } = sources[step.source]!;
          apply(orphans, twin, step);
          assert.deepEqual(describeAll(orphans), twin.describe());
          assert.deepEqual([orphans.size, orphans.parents], [twin.orphans.length, twin.parents()]);
        }
        for (const { orphans } of sources) orphans.shrinkTo(0);
        const { size, loras, ownPlaceSets } = waiting.records;
        assert.deepEqual([size, loras, ownPlaceSets], [0, 0, 0]);
        assert.equal(waiting.segments.directoryBytes, 0);
      }),
      { numRuns: 200 },
    );
  });

  it("take the memory of those before them", () => {
    const waiting = new Waiting();
    const orphans = waiting.newSource();
    const fill = (): number => {
      for (let name = 1; name <= 3_000; name++) {
        const block = announced({ name, parent: name % 700, local: name, lora: -1, blockSize: 1 + (name % 3) });
        assert.ok(orphans.add(block, [GPU]));
      }
      const bytes = waiting.records.bytes + waiting.segments.bytes;
      orphans.shrinkTo(0);
      return bytes;
    };
    const first = fill();
    for (let round = 0; round < 20; round++) assert.equal(fill(), first);
  });

  it("keep places that no number is left for, each its own", () => {
    const waiting = new Waiting();
    const orphans = waiting.newSource();
    for (let name = 1; name <= 100; name++) {
      orphans.add(announced({ name, parent: null, local: 0, lora: -1, blockSize: 1 }), [{ tier: "gpu", group: name }]);
    }
    assert.equal(waiting.records.ownPlaceSets, 37);
    for (let name = 1; name <= 100; name++) {
      const orphan = orphans.get(1, lowOf(name), highOf(name));
      assert.deepEqual(waiting.records.places(orphan), [{ tier: "gpu", group: name }]);
      orphans.addPlace(orphan, CPU);
      assert.deepEqual(waiting.records.places(orphan), [{ tier: "gpu", group: name }, CPU]);
    }
    orphans.shrinkTo(0);
    for (let name = 1; name <= 63; name++) {
      orphans.add(announced({ name, parent: null, local: 0, lora: -1, blockSize: 1 }), [{ tier: "cpu", group: name }]);
    }
    assert.equal(waiting.records.ownPlaceSets, 0, "all numbers are free again");
  });
});

describe("the memory of blocks that wait", () => {
  const orphan = (i: number) => stored([BigInt(i)], BigInt(i + 1_000_000), tokens(1));

  it("is told by source: 48 bytes each, and the slots for its name and its parent's", () => {
    const table = new SyncPrefixHashTable();
    for (let i = 1; i <= 1000; i++) table.processBlockStored(source(), orphan(i));
    assert.deepEqual(
      [...table.sourceStats()],
      [{ model: MODEL, pod: "a", rank: 0, blocks: 0, orphans: 1000, bytes: 74_000 }],
    );
  });

  it("is within maxBytes, however many sources have blocks that wait, and what goes is counted", () => {
    const maxBytes = 8_000_000;
    const table = new SyncPrefixHashTable({ maxBytes });
    const last = 150_004;
    for (let i = 1; i <= last; i++) {
      table.processBlockStored(source(`p${i % 7}`), orphan(i));
      if (i % 10_000 === 0) assert.ok(table.bytes <= maxBytes, `${table.bytes}`);
    }
    const { orphans, evictedBlocks } = table.stats();
    assert.equal(orphans + evictedBlocks, last);
    assert.ok(orphans > 50_000, `${orphans}`);
    table.processBlockStored(source("q"), orphan(1));
    assert.deepEqual(table.stats(), { ...table.stats(), orphans, sources: 7, evictedBlocks: evictedBlocks + 1 });
    table.processBlockStored(source("p1"), stored([BigInt(last + 1_000_000)], null, tokens(7)));
    assert.equal(match(table, tokens(7, 1)), "p1 2", "the oldest of a source go first");
  });

  it("is kept free for them in an index that is full of blocks", () => {
    // Here nothing but what is kept for them is left.
    const maxBytes = 6_000_000;
    const table = new SyncPrefixHashTable({ maxBytes });
    for (let i = 1; i <= 100_000; i++) {
      table.processBlockStored(source(), stored([BigInt(i)], null, Uint32Array.of(i, i, 1, 2)));
    }
    assert.ok(table.stats().evictedBlocks > 0);
    for (let i = 1; i <= 2_000; i++) table.processBlockStored(source("b"), orphan(i));
    assert.equal(table.stats().orphans, 2_000);
    assert.ok(table.bytes <= maxBytes, `${table.bytes}`);
    table.processBlockStored(source("b"), stored([1_000_001n], null, tokens(7)));
    assert.equal(match(table, tokens(7, 1)), "b 2");
  });

  it("is given back by removal, adoption and clearing", () => {
    const table = new SyncPrefixHashTable();
    const wait = (): void => {
      for (let i = 1; i <= 100; i++) table.processBlockStored(source(), orphan(i));
      table.processBlockStored(source(), storedPlace([500n], "cpu"));
    };
    wait();
    const before = table.bytes;
    for (let round = 0; round < 50; round++) {
      table.processBlockRemoved(source(), removed(Array.from({ length: 100 }, (_, i) => BigInt(i + 1))));
      table.processBlockRemoved(source(), removed([500n], { medium: "cpu" }));
      assert.equal(table.stats().sources, 0);
      wait();
      table.processAllBlocksCleared(source());
      wait();
      assert.equal(table.bytes, before);
    }
  });
});
