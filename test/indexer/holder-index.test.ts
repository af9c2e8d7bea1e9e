import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import * as v8 from "node:v8";
import { Context } from "../../src/indexer/context.ts";
import { Source } from "../../src/indexer/sources.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { held, ManualClock, MODEL, match, removed, source, stored, storedPlace, summary, tokens } from "./support.ts";

describe("maxPrefixesPerContext", () => {
  let table: SyncPrefixHashTable;
  const root = (number: number) => stored([BigInt(number)], null, tokens(number));
  beforeEach(() => {
    table = new SyncPrefixHashTable({ maxPrefixesPerContext: 3 });
    for (const number of [1, 2, 3]) table.processBlockStored(source(), root(number));
  });

  it("evicts the least recently mentioned block, with its holders' names for it", () => {
    table.processBlockStored(source("b"), root(4));
    assert.equal(match(table, tokens(1)), "");
    assert.equal(held(table.heldBlocks(source())), "2 gpu; 3 gpu");
    assert.deepEqual(table.stats(), { contexts: 1, blocks: 3, holders: 3, orphans: 0, sources: 2, evictedBlocks: 1 });
  });

  it("counts an event as a mention (defect 7)", () => {
    table.processBlockStored(source("b"), root(1));
    table.processBlockStored(source(), root(4));
    assert.equal(match(table, tokens(1)), "a 1, b 1");
    assert.equal(match(table, tokens(2)), "");
  });

  it("counts a match as a mention", () => {
    match(table, tokens(1));
    table.processBlockStored(source(), root(4));
    assert.equal(match(table, tokens(1)), "a 1");
    assert.equal(match(table, tokens(2)), "");
  });

  it("does not count a query that found nobody", () => {
    table.matchPrefix(MODEL, -1, tokens(1), new Set(["x"]));
    table.processBlockStored(source(), root(4));
    assert.equal(match(table, tokens(1)), "");
  });

  it("evicts a prompt from its end", () => {
    table.processBlockStored(source(), stored([11n, 12n, 13n, 14n, 15n], null, tokens(11, 12, 13, 14, 15)));
    assert.equal(match(table, tokens(11, 12, 13, 14, 15)), "a 3");
    assert.equal(table.stats().blocks, 3);
    table.processBlockStored(source(), root(4));
    assert.equal(match(table, tokens(11, 12, 13)), "a 2");
  });

  it("counts a parent that an event names as mentioned", () => {
    table.processBlockStored(source(), stored([5n], 1n, tokens(5)));
    assert.equal(match(table, tokens(1, 5)), "a 2");
    assert.equal(match(table, tokens(2)), "");
  });

  it("makes what chains on an evicted block wait", () => {
    table.processBlockStored(source(), root(4));
    table.processBlockStored(source(), stored([5n], 1n, tokens(5)));
    assert.equal(table.stats().orphans, 1);
    table.processBlockStored(source(), root(1));
    assert.equal(match(table, tokens(1, 5)), "a 2");
  });

  it("is each context's own", () => {
    table.processBlockStored(source(), stored([9n], null, tokens(1), { loraName: "sql" }));
    assert.equal(table.stats().blocks, 4);
  });

  it("holds while orphans are adopted", () => {
    table.processBlockStored(source(), stored([12n, 13n, 14n, 15n], 11n, tokens(12, 13, 14, 15)));
    table.processBlockStored(source(), root(11));
    assert.equal(match(table, tokens(11, 12, 13, 14, 15)), "a 3");
    assert.equal(table.stats().blocks, 3);
    assert.equal(table.stats().evictedBlocks, 5);
  });
});

describe("maxBytes", () => {
  it("bounds the memory of all contexts, and keeps what was mentioned last", () => {
    const maxBytes = 8_000_000;
    const table = new SyncPrefixHashTable({ maxBytes });
    const prompt = (i: number) => Uint32Array.of(i, i >>> 8, 1, 2);
    for (let i = 1; i <= 150_000; i++) {
      const model = i % 2 === 0 ? "m1" : "m2";
      table.processBlockStored(source(`p${i % 7}`, 0, { model }), stored([BigInt(i)], null, prompt(i)));
      if (i % 10_000 === 0) assert.ok(table.bytes <= maxBytes, `${table.bytes}`);
    }
    const { holders, evictedBlocks } = table.stats();
    assert.equal(holders + evictedBlocks, 150_000);
    assert.ok(holders > 50_000, `${holders}`);
    assert.equal(summary(table.matchPrefix("m1", -1, prompt(150_000))), "p4 1");
    assert.equal(summary(table.matchPrefix("m2", -1, prompt(1))), "");
  });
});

describe("maxContexts", () => {
  let table: SyncPrefixHashTable;
  const store = (model: string) =>
    table.processBlockStored(source("a", 0, { model }), stored([1n, 2n], null, tokens(1, 2)));
  const found = (model: string) => summary(table.matchPrefix(model, -1, tokens(1, 2)));
  beforeEach(() => {
    table = new SyncPrefixHashTable({ maxContexts: 2 });
    store("m1");
    store("m2");
  });

  it("evicts the least recently used context", () => {
    store("m3");
    assert.deepEqual(["m1", "m2", "m3"].map(found), ["", "a 2", "a 2"]);
    assert.deepEqual(table.stats(), { contexts: 2, blocks: 4, holders: 4, orphans: 0, sources: 2, evictedBlocks: 2 });
  });

  it("counts events and matches as use", () => {
    found("m1");
    store("m3");
    assert.deepEqual(["m1", "m2"].map(found), ["a 2", ""]);
    store("m3");
    store("m1");
    store("m4");
    assert.deepEqual(["m1", "m3", "m4"].map(found), ["a 2", "", "a 2"]);
  });

  it("evicts contexts of beliefs too", () => {
    const hashes = table.getPrefixHashes("m3", -1, tokens(1), 4);
    table.addPrefix("m3", -1, "p", hashes, 4, 1000);
    store("m4");
    store("m5");
    assert.equal(table.stats().contexts, 2);
    assert.equal(summary(table.matchPrefix("m3", -1, tokens(1))), "");
  });
});

describe("entryTtlMs", () => {
  const clock = new ManualClock();
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    table = new SyncPrefixHashTable({ entryTtlMs: 1000, clock });
    table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2)));
  });

  it("0 means never", () => {
    const table = new SyncPrefixHashTable({ entryTtlMs: 0, clock });
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    clock.advance(1e12);
    assert.equal(match(table, tokens(1)), "a 1");
  });

  it("lets a block match until nobody mentioned it for so long", () => {
    clock.advance(999);
    assert.equal(match(table, tokens(1)), "a 1");
    clock.advance(1);
    assert.equal(match(table, tokens(1, 2)), "a 1");
    clock.advance(1000);
    assert.equal(match(table, tokens(1, 2)), "");
    assert.equal(held(table.heldBlocks(source())), "");
  });

  it("counts an event as a mention (defect 7)", () => {
    clock.advance(999);
    table.processBlockStored(source(), storedPlace([1n], "cpu"));
    clock.advance(1);
    assert.equal(match(table, tokens(1, 2)), "a 1");
  });

  it("forgets the places of an expired block", () => {
    clock.advance(1000);
    table.processBlockStored(source(), stored([1n], null, tokens(1), { medium: "cpu" }));
    assert.equal(held(table.heldBlocks(source())), "1 cpu");
  });

  it("drops expired blocks at the next change, and does not count them as evicted", () => {
    clock.advance(1000);
    table.processBlockStored(source("b"), stored([9n], null, tokens(9)));
    assert.deepEqual(table.stats(), { contexts: 1, blocks: 1, holders: 1, orphans: 0, sources: 1, evictedBlocks: 0 });
  });

  it("drops them in contexts that nobody uses any more, as the others go on", () => {
    clock.advance(1000);
    const other = source("a", 0, { model: "other" });
    for (let i = 0; i < 4; i++) table.processBlockRemoved(other, removed([1n]));
    assert.deepEqual(table.stats(), { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 });
  });

  it("spends no more than 128 blocks on that at once", () => {
    const hashes = Array.from({ length: 1000 }, (_, i) => BigInt(i + 1));
    table.processBlockStored(source("b"), stored(hashes, null, new Uint32Array(4000)));
    clock.advance(1000);
    const before = table.stats().blocks;
    table.processBlockStored(source("c"), stored([9n], null, tokens(9)));
    const dropped = before + 1 - table.stats().blocks;
    assert.ok(dropped >= 64 && dropped <= 128, `${dropped}`);
  });
});

describe("memory", () => {
  // A full garbage collection is part of `queryObjects`.
  const live = () => [Context, Source].map((kind) => v8.queryObjects(kind, { format: "count" }));

  it("is given back by removal, clearing, eviction and expiry (defect 7)", () => {
    const clock = new ManualClock();
    const before = live();
    const table = new SyncPrefixHashTable({ clock, entryTtlMs: 1000, maxPrefixesPerContext: 50, maxContexts: 3 });
    const hashes = Array.from({ length: 100 }, (_, i) => BigInt(i + 1));
    const prompt = Uint32Array.from({ length: 400 }, (_, i) => i);
    // A function of its own: the index remembers what it knows of a source object that somebody still has.
    const tell = (pod: string, model: string): void => {
      const from = source(pod, 0, { model });
      table.processBlockStored(from, stored(hashes, null, prompt));
      table.processBlockStored(from, stored([200n], 199n, tokens(1)));
      table.addPrefix(model, -1, pod, table.getPrefixHashes(model, -1, prompt, 4), 4, 1000);
      if (pod === "a") table.processBlockRemoved(from, removed([...hashes, 200n]));
      if (pod === "b") table.processAllBlocksCleared(from);
    };
    for (const model of ["m1", "m2", "m3", "m4", "m5"]) {
      for (const pod of ["a", "b", "c"]) tell(pod, model);
    }
    clock.advance(1000);
    for (let i = 0; i < 20; i++) table.processBlockRemoved(source(), removed([1n]));
    const end = (model: string): void => table.processBlockRemoved(source("c", 0, { model }), removed([200n]));
    for (const model of ["m1", "m2", "m3", "m4", "m5"]) end(model);
    assert.deepEqual(live(), before);
    const { evictedBlocks, ...rest } = table.stats();
    assert.ok(evictedBlocks > 0);
    assert.deepEqual(rest, { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0 });
  });

  it("does not grow with the names that one engine gives to one block", () => {
    const table = new SyncPrefixHashTable();
    for (let hash = 1n; hash <= 1000n; hash++) table.processBlockStored(source(), stored([hash], null, tokens(1)));
    assert.equal([...table.heldBlocks(source())].length, 16);
    assert.equal(match(table, tokens(1)), "a 1");
  });
});
