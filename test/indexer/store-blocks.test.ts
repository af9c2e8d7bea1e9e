import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { held, MODEL, match, removed, source, stored, storedPlace, summary, tokens } from "./support.ts";

const NOTHING = { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 };

describe("blocks with an unknown parent", () => {
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    table = new SyncPrefixHashTable();
  });

  it("are indexed when the parent comes", () => {
    table.processBlockStored(source(), stored([2n, 3n], 1n, tokens(2, 3)));
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2, 3)), "a 3");
    assert.equal(table.stats().orphans, 0);
  });

  it("are indexed through several generations and branches", () => {
    table.processBlockStored(source(), stored([5n], 4n, tokens(5)));
    table.processBlockStored(source(), stored([4n], 2n, tokens(4)));
    table.processBlockStored(source(), stored([3n], 2n, tokens(3)));
    table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2)));
    assert.equal(match(table, tokens(1, 2, 3)), "a 3");
    assert.equal(match(table, tokens(1, 2, 4, 5)), "a 4");
  });

  it("are indexed without recursion: a chain of 100,000", () => {
    const depth = 100_000;
    const hashes = Array.from({ length: depth }, (_, i) => BigInt(i + 1));
    const prompt = Uint32Array.from({ length: depth + 1 }, (_, i) => i);
    table.processBlockStored(source(), stored(hashes, 0n, prompt.subarray(1), { blockSize: 1 }));
    assert.equal(table.stats().orphans, depth);
    table.processBlockStored(source(), stored([0n], null, prompt.subarray(0, 1), { blockSize: 1 }));
    assert.equal(match(table, prompt), `a ${depth + 1}`);
    assert.equal(table.stats().orphans, 0);
  });

  it("wait for their own engine's parent only", () => {
    table.processBlockStored(source("a"), stored([2n], 1n, tokens(2)));
    table.processBlockStored(source("b"), stored([1n], null, tokens(1)));
    table.processBlockStored(source("a", 1), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2)), "a 1, b 1");
    assert.equal(table.stats().orphans, 1);
  });

  it("wait for a parent of their own adapter and block size only", () => {
    table.processBlockStored(source(), stored([2n], 1n, tokens(2), { loraName: "sql" }));
    table.processBlockStored(source(), stored([3n], 1n, tokens(3), { blockSize: 2 }));
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(table.stats().orphans, 2);
    table.processBlockStored(source(), stored([1n], null, tokens(1), { loraName: "sql" }));
    assert.equal(summary(table.matchPrefix(MODEL, "sql", tokens(1, 2))), "a 2");
    assert.equal(table.stats().orphans, 1);
  });

  it("are forgotten when they are removed", () => {
    table.processBlockStored(source(), stored([2n, 3n], 1n, tokens(2, 3)));
    table.processBlockRemoved(source(), removed([2n]));
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2, 3)), "a 1");
    assert.equal(table.stats().orphans, 1);
    table.processBlockRemoved(source(), removed([1n, 3n]));
    assert.deepEqual(table.stats(), NOTHING);
  });

  it("keep what is known of their places", () => {
    table.processBlockStored(source(), stored([2n], 1n, tokens(2)));
    table.processBlockStored(source(), stored([2n], 1n, tokens(2), { medium: "disk" }));
    table.processBlockStored(source(), storedPlace([2n], "cpu"));
    table.processBlockRemoved(source(), removed([2n]));
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(held(table.heldBlocks(source())), "1 gpu; 2 cpu disk");
  });

  it("take the later identity where two events differ", () => {
    table.processBlockStored(source(), stored([2n], 1n, tokens(2), { medium: "cpu" }));
    table.processBlockStored(source(), stored([2n], 1n, tokens(3)));
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2)), "a 1");
    assert.equal(match(table, tokens(1, 3)), "a 2");
    assert.equal(held(table.heldBlocks(source())), "1 gpu; 2 gpu");
  });

  it("are bounded: the oldest go, and are counted", () => {
    table = new SyncPrefixHashTable({ maxOrphansPerSource: 3 });
    for (const hash of [2, 3, 4, 5]) table.processBlockStored(source(), stored([BigInt(hash)], 1n, tokens(hash)));
    table.processBlockStored(source("b"), stored([6n], 1n, tokens(6)));
    assert.equal(table.stats().orphans, 4);
    assert.equal(table.stats().evictedBlocks, 1);
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(held(table.heldBlocks(source())), "1 gpu; 3 gpu; 4 gpu; 5 gpu");
  });

  it("do not keep the memory of the event that brought them", () => {
    const prompt = tokens(2);
    table.processBlockStored(source(), stored([2n], 1n, prompt));
    prompt.fill(0);
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2)), "a 2");
  });

  it("may wait for themselves or in a circle without harm", () => {
    table.processBlockStored(source(), stored([1n], 1n, tokens(1)));
    table.processBlockStored(source(), stored([2n], 3n, tokens(2)));
    table.processBlockStored(source(), stored([3n], 2n, tokens(3)));
    assert.equal(table.stats().orphans, 3);
    table.processBlockStored(source(), stored([3n], null, tokens(3)));
    assert.equal(match(table, tokens(3, 2)), "a 2");
    assert.equal(table.stats().orphans, 1);
  });
});

describe("a long event", () => {
  it("is what its blocks are one by one", () => {
    const numbers = Array.from({ length: 400 }, (_, i) => i + 1);
    const [whole, single] = [new SyncPrefixHashTable({ seed: 5n }), new SyncPrefixHashTable({ seed: 5n })];
    whole.processBlockStored(source(), stored(numbers.map(BigInt), null, tokens(...numbers)));
    for (const number of numbers) {
      const parent = number === 1 ? null : BigInt(number - 1);
      single.processBlockStored(source(), stored([BigInt(number)], parent, tokens(number)));
    }
    assert.equal(match(whole, tokens(...numbers)), "a 400");
    assert.deepEqual([...whole.exportSource(source())], [...single.exportSource(source())]);
  });
});

describe("blocks whose parent was removed", () => {
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    table = new SyncPrefixHashTable();
    table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2)));
    table.processBlockRemoved(source(), removed([1n]));
  });

  it("stay, and match again when the parent is back", () => {
    assert.equal(match(table, tokens(1, 2)), "");
    assert.equal(held(table.heldBlocks(source())), "2 gpu");
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2)), "a 2");
    assert.equal(table.stats().blocks, 2);
  });

  it("wait for it if they are new", () => {
    table.processBlockStored(source(), stored([3n], 1n, tokens(3)));
    assert.equal(table.stats().orphans, 1);
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 3)), "a 2");
  });

  it("keep their own children indexed", () => {
    table.processBlockStored(source(), stored([3n], 2n, tokens(3)));
    assert.equal(table.stats().orphans, 0);
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2, 3)), "a 3");
  });

  it("keep children indexed that come in one event with them", () => {
    table.processBlockStored(source(), stored([2n, 3n], 1n, tokens(2, 3)));
    assert.equal(table.stats().orphans, 0);
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2, 3)), "a 3");
  });

  it("stay as they are when they are announced again", () => {
    table.processBlockStored(source(), stored([2n], 1n, tokens(2), { medium: "cpu" }));
    assert.equal(held(table.heldBlocks(source())), "2 cpu gpu");
    assert.equal(table.stats().orphans, 0);
  });

  it("are forgotten when they are announced with other tokens, and wait with these", () => {
    table.processBlockStored(source(), stored([2n], 1n, tokens(7)));
    assert.equal(held(table.heldBlocks(source())), "");
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(match(table, tokens(1, 2)), "a 1");
    assert.equal(match(table, tokens(1, 7)), "a 2");
  });
});

describe("a known engine hash with another identity", () => {
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    table = new SyncPrefixHashTable();
    table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2), { medium: "cpu" }));
  });

  it("means the later one, and nothing is left of the earlier", () => {
    table.processBlockStored(source(), stored([1n], null, tokens(5)));
    assert.equal(match(table, tokens(1, 2)), "");
    assert.equal(match(table, tokens(5)), "a 1");
    assert.equal(held(table.heldBlocks(source())), "1 gpu; 2 cpu");
    assert.equal(table.stats().blocks, 2);
  });

  it("means the later one with another adapter too", () => {
    table.processBlockStored(source(), stored([1n], null, tokens(1), { loraName: "sql" }));
    assert.equal(match(table, tokens(1)), "");
    assert.equal(summary(table.matchPrefix(MODEL, "sql", tokens(1))), "a 1");
  });

  it("means the later one with another parent too", () => {
    table.processBlockStored(source(), stored([2n], null, tokens(2)));
    assert.equal(match(table, tokens(1, 2)), "a 1");
    assert.equal(match(table, tokens(2)), "a 1");
  });

  it("leaves other engines' meaning of the hash alone", () => {
    table.processBlockStored(source("b"), stored([1n], null, tokens(5)));
    assert.equal(match(table, tokens(1, 2)), "a 2");
  });

  it("may occur within one event", () => {
    table.processAllBlocksCleared(source());
    table.processBlockStored(source(), stored([1n, 1n], null, tokens(1, 2)));
    assert.equal(held(table.heldBlocks(source())), "1 gpu");
    table.processBlockRemoved(source(), removed([1n]));
    assert.deepEqual(table.stats(), NOTHING);
  });

  it("is two blocks at two block sizes, as hybrid models name them", () => {
    const table = new SyncPrefixHashTable();
    table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2), { groupIdx: 0 }));
    table.processBlockStored(source(), stored([2n], null, tokens(1, 2), { groupIdx: 1, blockSize: 8 }));
    assert.equal(held(table.heldBlocks(source())), "1 gpu/0; 2 gpu/0 gpu/1");
    assert.equal(match(table, tokens(1, 2)), "a 2");
    table.processBlockStored(source(), stored([3n], 2n, tokens(3), { groupIdx: 0 }));
    assert.equal(match(table, tokens(1, 2, 3)), "a 2", "the other group ends a block there");
    table.processBlockRemoved(source(), removed([2n], { groupIdx: 0 }));
    assert.equal(held(table.heldBlocks(source())), "1 gpu/0; 2 gpu/1; 3 gpu/0");
  });
});

describe("stores without tokens", () => {
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    table = new SyncPrefixHashTable();
  });

  it("add a place to a known block, whatever block size they name", () => {
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    table.processBlockStored(source(), { ...storedPlace([1n], "cpu"), blockSize: 64 });
    assert.equal(held(table.heldBlocks(source())), "1 cpu gpu");
  });

  it("wait for the tokens of an unknown block, which then has both places", () => {
    table.processBlockStored(source(), storedPlace([1n], "cpu"));
    assert.equal(held(table.heldBlocks(source())), "");
    assert.equal(table.stats().orphans, 1);
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(held(table.heldBlocks(source())), "1 cpu gpu");
    assert.equal(table.stats().orphans, 0);
  });

  it("wait with a block that waits for its parent", () => {
    table.processBlockStored(source(), storedPlace([2n], "cpu"));
    table.processBlockStored(source(), stored([2n], 1n, tokens(2)));
    assert.equal(table.stats().orphans, 1);
    table.processBlockStored(source(), stored([1n], null, tokens(1)));
    assert.equal(held(table.heldBlocks(source())), "1 gpu; 2 cpu gpu");
  });

  it("make no parent of an unknown block", () => {
    table.processBlockStored(source(), storedPlace([1n], "cpu"));
    table.processBlockStored(source(), stored([2n], 1n, tokens(2)));
    assert.equal(held(table.heldBlocks(source())), "");
    assert.equal(table.stats().orphans, 2);
  });

  it("are forgotten when the block is removed from that place", () => {
    table.processBlockStored(source(), storedPlace([1n], "cpu"));
    table.processBlockRemoved(source(), removed([1n]));
    assert.equal(table.stats().orphans, 1);
    table.processBlockRemoved(source(), removed([1n], { medium: "CPU" }));
    assert.deepEqual(table.stats(), NOTHING);
  });

  it("are what remains of an event with too few tokens", () => {
    table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2).subarray(0, 7)));
    assert.equal(held(table.heldBlocks(source())), "1 gpu");
    table.processBlockStored(source(), stored([3n], null, tokens(3), { blockSize: 0 }));
    assert.equal(table.stats().orphans, 2);
    assert.equal(match(table, tokens(1, 2)), "a 1");
  });
});
