import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { ConfigurationError } from "../../src/errors.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { BLOCK_SIZE, held, MODEL, match, removed, source, stored, storedPlace, summary, tokens } from "./support.ts";

describe("SyncPrefixHashTable", () => {
  let table: SyncPrefixHashTable;
  beforeEach(() => {
    table = new SyncPrefixHashTable({ seed: 1n });
  });

  describe("against the defects of the reference", () => {
    it("1: chains each block of an event on the block before it", () => {
      table.processBlockStored(source(), stored([1n, 2n, 3n], null, tokens(1, 2, 3)));
      assert.equal(match(table, tokens(1, 2, 3)), "a 3");
      assert.equal(match(table, tokens(2)), "");
      assert.equal(match(table, tokens(1, 3)), "a 1");
    });

    it("1: gives the same index whether blocks come in one event or in many", () => {
      table.processBlockStored(source("a"), stored([1n, 2n, 3n], null, tokens(1, 2, 3)));
      table.processBlockStored(source("b"), stored([1n], null, tokens(1)));
      table.processBlockStored(source("b"), stored([2n], 1n, tokens(2)));
      table.processBlockStored(source("b"), stored([3n], 2n, tokens(3)));
      assert.equal(match(table, tokens(1, 2, 3)), "a 3, b 3");
      assert.equal(table.stats().blocks, 3);
    });

    it("2: cuts blocks by tokens, with the event's block size", () => {
      const event = stored([1n, 2n], null, Uint32Array.of(70_000, 1, 2, 3, 4, 5), { blockSize: 3 });
      table.processBlockStored(source(), event);
      const [found] = table.matchPrefix(MODEL, -1, [70_000, 1, 2, 3, 4, 5, 6, 7]);
      assert.equal(found?.blockSize, 3);
      assert.equal(found?.matchedBlocks, 2);
      assert.equal(found?.matchedTokens, 6);
    });

    it("3: counts only a prefix without holes", () => {
      table.processBlockStored(source(), stored([1n, 2n, 3n], null, tokens(1, 2, 3)));
      table.processBlockRemoved(source(), removed([2n]));
      assert.equal(match(table, tokens(1, 2, 3)), "a 1");
      table.processBlockRemoved(source(), removed([1n]));
      assert.equal(match(table, tokens(1, 2, 3)), "");
    });

    it("3: does not fill one pod's hole with another's block", () => {
      table.processBlockStored(source("a"), stored([1n, 2n, 3n], null, tokens(1, 2, 3)));
      table.processBlockStored(source("b"), stored([7n, 8n, 9n], null, tokens(1, 2, 3)));
      table.processBlockRemoved(source("a"), removed([2n]));
      table.processBlockRemoved(source("b"), removed([9n]));
      assert.equal(match(table, tokens(1, 2, 3)), "b 2, a 1");
    });

    it("4: removes the sender's entry only", () => {
      table.processBlockStored(source("a"), stored([1n], null, tokens(1)));
      table.processBlockStored(source("b"), stored([1n], null, tokens(1)));
      table.processBlockStored(source("b", 1), stored([1n], null, tokens(1)));
      table.processBlockRemoved(source("b"), removed([1n]));
      assert.equal(match(table, tokens(1)), "a 1, b 1");
      assert.equal(held(table.heldBlocks(source("b"))), "");
      assert.equal(held(table.heldBlocks(source("b", 1))), "1 gpu");
    });

    it("5: lets the same engine hash mean two things on two pods, and on two ranks of one", () => {
      table.processBlockStored(source("a"), stored([1n], null, tokens(1)));
      table.processBlockStored(source("b"), stored([1n], null, tokens(2)));
      table.processBlockStored(source("b", 1), stored([1n], null, tokens(3)));
      assert.equal(match(table, tokens(1)), "a 1");
      assert.equal(match(table, tokens(2)), "b 1");
      assert.equal(match(table, tokens(3)), "b 1");
      table.processBlockStored(source("b"), stored([5n], 1n, tokens(5)));
      assert.equal(match(table, tokens(1, 5)), "a 1");
      assert.equal(match(table, tokens(2, 5)), "b 2");
    });

    it("6: never indexes a block with an unknown parent at the root", () => {
      table.processBlockStored(source(), stored([2n], 1n, tokens(2)));
      assert.equal(match(table, tokens(2)), "");
      assert.deepEqual([...table.heldBlocks(source())], []);
      assert.equal(table.stats().orphans, 1);
    });

    it("7: leaves nothing behind when everything is removed", () => {
      table.processBlockStored(source("a"), stored([1n, 2n], null, tokens(1, 2)));
      table.processBlockStored(source("a"), stored([9n], 8n, tokens(9)));
      table.processBlockStored(source("a"), storedPlace([77n], "cpu"));
      table.processBlockStored(source("b", 3), stored([1n], null, tokens(1), { loraName: "sql" }));
      table.processBlockRemoved(source("a"), removed([1n, 2n, 9n]));
      table.processBlockRemoved(source("a"), removed([77n], { medium: "cpu" }));
      table.processBlockRemoved(source("b", 3), removed([1n]));
      assert.deepEqual(table.stats(), { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 });
    });

    it("13: keeps base model and adapters apart, by name, by id and by the pod's label", () => {
      table.processBlockStored(source("base"), stored([1n], null, tokens(1)));
      table.processBlockStored(source("name"), stored([1n], null, tokens(1), { loraName: "sql", loraId: 2 }));
      table.processBlockStored(source("id"), stored([1n], null, tokens(1), { loraId: 2 }));
      table.processBlockStored(source("label", 0, { loraId: 2 }), stored([1n], null, tokens(1)));
      assert.equal(match(table, tokens(1)), "base 1");
      assert.equal(summary(table.matchPrefix(MODEL, "sql", tokens(1))), "name 1");
      assert.equal(summary(table.matchPrefix(MODEL, 2, tokens(1))), "id 1, label 1");
      assert.equal(summary(table.matchPrefix(MODEL, "2", tokens(1))), "");
    });

    it("13: lets an event's adapter win over the pod's label", () => {
      table.processBlockStored(source("a", 0, { loraId: 7 }), stored([1n], null, tokens(1), { loraName: "sql" }));
      assert.equal(summary(table.matchPrefix(MODEL, 7, tokens(1))), "");
      assert.equal(summary(table.matchPrefix(MODEL, "sql", tokens(1))), "a 1");
    });
  });

  describe("places", () => {
    it("are a set: stored twice and removed once is gone", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1)));
      table.processBlockStored(source(), stored([1n], null, tokens(1)));
      table.processBlockRemoved(source(), removed([1n]));
      assert.equal(match(table, tokens(1)), "");
      assert.equal(table.stats().blocks, 0);
    });

    it("hold the block until the last one goes", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1)));
      table.processBlockStored(source(), storedPlace([1n], "CPU"));
      table.processBlockStored(source(), storedPlace([1n], "disk"));
      assert.equal(held(table.heldBlocks(source())), "1 cpu disk gpu");
      table.processBlockRemoved(source(), removed([1n]));
      table.processBlockRemoved(source(), removed([1n], { medium: "cpu" }));
      assert.equal(match(table, tokens(1)), "a 1");
      table.processBlockRemoved(source(), removed([1n], { medium: "DISK" }));
      assert.equal(match(table, tokens(1)), "");
    });

    it("are told apart by attention group; a removal without a group takes all of its tier", () => {
      for (const groupIdx of [0, 1]) {
        table.processBlockStored(source(), stored([1n], null, tokens(1), { groupIdx }));
        table.processBlockStored(source(), stored([1n], null, tokens(1), { groupIdx, medium: "cpu" }));
      }
      assert.equal(held(table.heldBlocks(source())), "1 cpu/0 cpu/1 gpu/0 gpu/1");
      table.processBlockRemoved(source(), removed([1n], { groupIdx: 1 }));
      assert.equal(held(table.heldBlocks(source())), "1 cpu/0 cpu/1 gpu/0");
      table.processBlockRemoved(source(), removed([1n], { medium: "cpu" }));
      assert.equal(held(table.heldBlocks(source())), "1 gpu/0");
    });

    it("of an unknown tier are kept as their own", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1), { medium: "Moon" }));
      assert.equal(held(table.heldBlocks(source())), "1 moon");
      assert.equal(match(table, tokens(1)), "a 1");
    });

    it("do not grow without bound", () => {
      for (let groupIdx = 0; groupIdx < 1000; groupIdx++) {
        table.processBlockStored(source(), stored([1n], null, tokens(1), { groupIdx }));
      }
      const [block] = table.heldBlocks(source());
      assert.equal(block?.places.length, 256);
      assert.ok(block?.places.includes("gpu/999"));
    });
  });

  describe("processBlockRemoved", () => {
    it("ignores hashes and sources that it does not know", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1)));
      table.processBlockRemoved(source(), removed([2n]));
      table.processBlockRemoved(source("b"), removed([1n]));
      assert.equal(match(table, tokens(1)), "a 1");
      assert.equal(table.stats().sources, 1);
    });

    it("takes one of two names of a block and leaves the block under the other", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1)));
      table.processBlockStored(source(), stored([2n], null, tokens(1)));
      assert.equal(table.stats().holders, 1);
      table.processBlockRemoved(source(), removed([1n]));
      assert.equal(match(table, tokens(1)), "a 1");
      table.processBlockRemoved(source(), removed([2n]));
      assert.equal(match(table, tokens(1)), "");
    });
  });

  describe("processAllBlocksCleared", () => {
    it("drops all of one source, with orphans, and nothing of others", () => {
      for (const [pod, rank] of [
        ["a", 0],
        ["a", 1],
        ["b", 0],
      ] as const) {
        table.processBlockStored(source(pod, rank), stored([1n, 2n], null, tokens(1, 2)));
        table.processBlockStored(source(pod, rank), stored([9n], 8n, tokens(9)));
        table.processBlockStored(source(pod, rank), storedPlace([77n], "cpu"));
      }
      table.processBlockStored(source("a", 0, { model: "other" }), stored([1n], null, tokens(1)));
      table.processAllBlocksCleared(source("a", 0));
      assert.equal(held(table.heldBlocks(source("a", 0))), "");
      assert.equal(held(table.heldBlocks(source("a", 1))), "1 gpu; 2 gpu");
      assert.equal(summary(table.matchPrefix("other", -1, tokens(1))), "a 1");
      assert.deepEqual(
        table.matchPrefix(MODEL, -1, tokens(1, 2)).map(({ ranks }) => ranks.map(({ rank }) => rank)),
        [[1], [0]],
      );
      assert.equal(table.stats().orphans, 4);
    });

    it("drops blocks of every adapter and block size", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1)));
      table.processBlockStored(source(), stored([2n], null, tokens(1), { loraName: "sql" }));
      table.processBlockStored(source(), stored([3n], null, tokens(1), { blockSize: 2 }));
      assert.equal(table.stats().contexts, 3);
      table.processAllBlocksCleared(source("a", 0, { loraId: 5 }));
      assert.deepEqual(table.stats(), { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0, evictedBlocks: 0 });
    });

    it("forgets parents too: what chains on them afterwards waits", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1)));
      table.processAllBlocksCleared(source());
      table.processBlockStored(source(), stored([2n], 1n, tokens(2)));
      assert.equal(table.stats().orphans, 1);
    });

    it("is harmless for a source that has nothing", () => {
      table.processAllBlocksCleared(source());
      assert.equal(table.stats().sources, 0);
    });
  });

  describe("identity", () => {
    it("keeps models apart", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1)));
      assert.equal(summary(table.matchPrefix("other", -1, tokens(1))), "");
    });

    it("does not count vLLM's adapter name in extra keys as one more key", () => {
      const extraKeys = [["sql"], ["sql"]];
      table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2), { loraName: "sql", extraKeys }));
      assert.equal(summary(table.matchPrefix(MODEL, "sql", tokens(1, 2))), "a 2");
    });

    it("finds one salt wherever it was named, and only with it", () => {
      const extraKeys = [["pepper"], null];
      table.processBlockStored(source("vllm"), stored([1n, 2n], null, tokens(1, 2), { extraKeys }));
      table.processBlockStored(source("sglang"), stored([1n, 2n], null, tokens(1, 2), { cacheSalt: "pepper" }));
      const query = (identity: object) => summary(table.matchPrefix(MODEL, -1, tokens(1, 2), undefined, identity));
      assert.equal(query({ cacheSalt: "pepper" }), "sglang 2, vllm 2");
      assert.equal(query({}), "");
      assert.equal(query({ cacheSalt: "salt" }), "");
    });

    it("takes the salt of an event for the start of the prompt only", () => {
      table.processBlockStored(source(), stored([1n], null, tokens(1), { cacheSalt: "pepper" }));
      table.processBlockStored(source(), stored([2n], 1n, tokens(2), { cacheSalt: "pepper" }));
      const matches = table.matchPrefix(MODEL, -1, tokens(1, 2), undefined, { cacheSalt: "pepper" });
      assert.equal(summary(matches), "a 2");
    });

    it("never matches multimodal blocks without their keys", () => {
      const extraKeys = [null, [["3f", 2]]];
      table.processBlockStored(source(), stored([1n, 2n], null, tokens(1, 2), { extraKeys }));
      const query = (keys: unknown[][]) =>
        summary(table.matchPrefix(MODEL, -1, tokens(1, 2), undefined, { extraKeys: [null, ...keys] }));
      assert.equal(match(table, tokens(1, 2)), "a 1");
      assert.equal(query([[["3f", 2]]]), "a 2");
      assert.equal(query([[["3f", 3]]]), "a 1");
      assert.equal(query([["3f", 2]]), "a 1");
    });

    it("takes the adapter name as a salt where it stands twice", () => {
      const event = stored([1n], null, tokens(1), { loraName: "sql", extraKeys: [["sql", "sql"]] });
      table.processBlockStored(source(), event);
      assert.equal(summary(table.matchPrefix(MODEL, "sql", tokens(1))), "");
      assert.equal(summary(table.matchPrefix(MODEL, "sql", tokens(1), undefined, { cacheSalt: "sql" })), "a 1");
    });
  });

  describe("getPrefixHashes", () => {
    it("names each full block by all that is before it", () => {
      const hashes = table.getPrefixHashes(MODEL, -1, tokens(1, 2, 3).subarray(0, 11), BLOCK_SIZE);
      assert.equal(hashes.length, 2);
      assert.deepEqual(hashes.subarray(0, 1), table.getPrefixHashes(MODEL, -1, tokens(1), BLOCK_SIZE));
      assert.notEqual(hashes[1], table.getPrefixHashes(MODEL, -1, tokens(2), BLOCK_SIZE)[0]);
    });

    it("depends on salt and extra keys", () => {
      const hashes = [{}, { cacheSalt: "x" }, { extraKeys: [[["x", 0]]] }].map(
        (identity) => table.getPrefixHashes(MODEL, -1, tokens(1), BLOCK_SIZE, identity)[0],
      );
      assert.equal(new Set(hashes).size, 3);
    });

    it("differs between two tables, whose seeds are random", () => {
      const hash = () => new SyncPrefixHashTable().getPrefixHashes(MODEL, -1, tokens(1), BLOCK_SIZE)[0];
      assert.notEqual(hash(), hash());
    });

    it("refuses a block size that is no number of tokens", () => {
      for (const blockSize of [0, -1, 1.5, Number.NaN]) {
        assert.throws(() => table.getPrefixHashes(MODEL, -1, [1], blockSize), { code: "invalid-block-size" });
      }
    });
  });

  describe("sourceStats", () => {
    it("tells of each rank what it holds and what waits, and nothing of one that has gone", () => {
      table.processBlockStored(source("a"), stored([1n, 2n], null, tokens(1, 2)));
      table.processBlockStored(source("b"), stored([8n], null, tokens(1)));
      table.processBlockStored(source("b"), stored([9n], 99n, tokens(2)));
      const counts = () =>
        [...table.sourceStats()].map(({ model, pod, rank, blocks, orphans }) => [model, pod, rank, blocks, orphans]);
      assert.deepEqual(counts(), [
        [MODEL, "a", 0, 2, 0],
        [MODEL, "b", 0, 1, 1],
      ]);
      table.processAllBlocksCleared(source("a"));
      assert.deepEqual(counts(), [[MODEL, "b", 0, 1, 1]]);
    });

    it("tells of memory that grows with blocks and sources, and is none without any", () => {
      const own = () => [...table.sourceStats()].reduce((sum, { bytes }) => sum + bytes, 0);
      assert.deepEqual([table.bytes, own()], [0, 0]);
      table.processBlockStored(source("a"), stored([1n], null, tokens(1)));
      const one = [table.bytes, own()];
      assert.ok(one[0]! > one[1]! && one[1]! > 0, "what pods share is nobody's own");
      table.processBlockStored(source("b"), stored([1n], null, tokens(1)));
      assert.equal(own(), 2 * one[1]!);
      assert.ok(table.bytes > one[0]!, "a source more");
      table.processBlockStored(source("b"), stored([9n], 99n, tokens(2)));
      assert.ok(own() > 2 * one[1]!);
    });
  });

  it("refuses bounds that are no bounds", () => {
    for (const options of [{ maxContexts: 0 }, { maxPrefixesPerContext: 1.5 }, { maxOrphansPerSource: -1 }]) {
      assert.throws(() => new SyncPrefixHashTable(options), ConfigurationError);
    }
    assert.throws(() => new SyncPrefixHashTable({ entryTtlMs: -1 }), /entryTtlMs is -1/);
  });
});
