import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { podInfo, type ServerBench, serverBench, stored } from "./support.ts";

const PROMPT = [1, 2, 3, 4, 5, 6];

async function bench(): Promise<ServerBench & { readonly hashes: BigUint64Array }> {
  const indexer = new SyncPrefixHashTable({ hash: "xxh3", seed: 7n });
  const made = await serverBench({ indexer });
  made.pods.push(podInfo("a"), podInfo("b"));
  indexer.processBlockStored({ model: "m", pod: "a", rank: 0, loraId: -1 }, stored([1n, 2n], [1, 2, 3, 4]));
  return Object.assign(made, { hashes: indexer.getPrefixHashes("m", -1, PROMPT, 2) });
}

describe("POST /query_by_hash", () => {
  it("answers as /query does, by hashes as decimal and hexadecimal texts", async () => {
    await using server = await bench();
    const byTokens = await server.post("/query", { model_name: "m", token_ids: PROMPT });
    for (const radix of [10, 16]) {
      const seq_hashes = [...server.hashes].map((hash) => (radix === 16 ? "0x" : "") + hash.toString(radix));
      const byHash = await server.post("/query_by_hash", { model_name: "m", seq_hashes, block_size: 2 });
      assert.deepEqual([byHash.status, byHash.body], [200, byTokens.body]);
    }
    assert.equal(byTokens.body.instances.a.longest_matched, 4);
  });

  it("refuses numbers that JSON does not keep, and says how to send them", async () => {
    await using server = await bench();
    const ask = async (body: object) => {
      const { status, body: answer } = await server.post("/query_by_hash", { model_name: "m", block_size: 2, ...body });
      return `${status} ${answer.error}`;
    };
    assert.match(
      await ask({ seq_hashes: [2 ** 60] }),
      /^400 seq_hashes\[0\] is 1152921504606847000: .*a text of decimal digits/,
    );
    assert.match(await ask({ seq_hashes: ["x"] }), /^400 seq_hashes\[0\] is "x"/);
    assert.match(await ask({ seq_hashes: [], block_size: 0 }), /^400 block_size is 0/);
    assert.match(await ask({ seq_hashes: [], model_name: "x" }), /^404 /);
  });
});
