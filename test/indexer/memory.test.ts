import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PackedBatch, PackedType } from "../../src/events/packed-batch.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { runModule } from "../support/run-module.ts";
import { MODEL, source, stored } from "./support.ts";

/** Without the collector's own reserves and other threads, so that what the process takes is what is in use. */
const FLAGS = ["--expose-gc", "--max-semi-space-size=1", "--single-threaded"];

/** What objects take, beside tables, is measured on Node 20: elsewhere it need not be as exact. */
const OBJECTS = process.versions.node.startsWith("20.") ? 0.05 : 0.1;

/** What an index and the process grow by while it is filled, after another has made the process ready. */
async function filled(fill: string): Promise<{ readonly claimed: number; readonly taken: number }> {
  const program = `
    import { readFileSync } from "node:fs";
    import { PackedBatch, PackedType } from "./src/events/packed-batch.ts";
    import { SyncPrefixHashTable } from "./src/indexer/sync-prefix-hash-table.ts";
    const batch = new PackedBatch();
    batch.hashes = new Uint32Array(2);
    batch.tokens = new Uint32Array(1);
    const event = batch.nextEvent();
    Object.assign(event, { type: PackedType.stored, hashCount: 1, tokenCount: 1, blockSize: 1 });
    const source = (i) => ({ model: "m", pod: "pod-" + i, rank: 0, loraId: -1 });
    const store = (index, source, block) => {
      batch.hashes.set([Math.imul(block, 0x9e3779b1), block]);
      batch.tokens[0] = block;
      index.processEvents(source, batch);
    };
    const fill = (index, scale) => { ${fill} };
    const taken = () => {
      gc();
      gc();
      return 1024 * Number(/^RssAnon:\\s+(\\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
    };
    const options = { maxBytes: 1e9, maxContexts: 1e5, seed: 7n };
    const first = new SyncPrefixHashTable(options);
    fill(first, 0.1);
    const before = taken();
    const index = new SyncPrefixHashTable(options);
    fill(index, 1);
    console.log(JSON.stringify({ claimed: index.bytes, taken: taken() - before, held: first.stats().holders + index.stats().holders }));
  `;
  const { code, stdout, stderr } = await runModule(program, FLAGS);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

describe("an index says what memory it takes, to 5 %, on other Nodes than 20 perhaps to 10 %:", {
  skip: process.platform !== "linux" && "RssAnon is Linux's",
}, () => {
  for (const [name, tolerance, fill] of [
    [
      "2 M blocks that two ranks hold",
      0.05,
      `const sources = Array.from({ length: 128 }, (_, i) => source(i));
       for (let block = 0; block < 1e6 * scale; block++) {
         store(index, sources[block % 128], block);
         store(index, sources[(7 * block + 3) % 128], block);
       }`,
    ],
    [
      "blocks that many hold",
      OBJECTS,
      `const sources = Array.from({ length: 1_000 }, (_, i) => source(i));
       for (let block = 0; block < 40_000 * scale; block++) {
         for (let i = 0; i < 32; i++) store(index, sources[(32 * block + i) % 1_000], block);
       }`,
    ],
    [
      "adapters with hardly a block",
      OBJECTS,
      `const only = source(0);
       for (let block = 0; block < 30_000 * scale; block++) {
         event.loraName = "lora-" + block;
         store(index, only, block);
       }
       event.loraName = null;`,
    ],
  ] as const) {
    it(name, async () => {
      const { claimed, taken } = await filled(fill);
      assert.ok(Math.abs(claimed / taken - 1) <= tolerance, `says ${claimed}, takes ${taken}`);
    });
  }
});

describe("an index with a bound", () => {
  for (const maxBytes of [28_000_000, 32_000_000]) {
    it(`takes no more than ${maxBytes} bytes, and most of them, when several times as much comes`, () => {
      const index = new SyncPrefixHashTable({ maxBytes, seed: 7n });
      const batch = new PackedBatch();
      batch.hashes = new Uint32Array(2);
      batch.tokens = new Uint32Array(1);
      const event = batch.nextEvent();
      Object.assign(event, { type: PackedType.stored, hashCount: 1, tokenCount: 1, blockSize: 1 });
      const sources = Array.from({ length: 8 }, (_, i) => source(`pod-${i}`));
      for (let block = 0; block < maxBytes / 20; block++) {
        batch.hashes.set([Math.imul(block, 0x9e3779b1), block]);
        batch.tokens[0] = block;
        index.processEvents(sources[block % 8]!, batch);
        if (block % 10_000 === 0) assert.ok(index.bytes <= maxBytes, `${index.bytes}`);
      }
      // How much of it that takes depends on how many segments have just been split; how much it holds does not.
      assert.ok(index.bytes <= maxBytes && index.bytes > 0.8 * maxBytes, `${index.bytes}`);
      assert.ok(index.stats().holders > maxBytes / 88, `${index.stats().holders}`);
    });
  }

  it("takes no more when many hold what few held before, and answers as ever", () => {
    const maxBytes = 4_000_000;
    const index = new SyncPrefixHashTable({ maxBytes, seed: 7n });
    const sources = Array.from({ length: 64 }, (_, i) => source(`pod-${i}`));
    const store = (of: number, block: number): void =>
      index.processBlockStored(sources[of]!, stored([BigInt(block)], null, Uint32Array.of(block), { blockSize: 1 }));
    for (let block = 1; block < 100_000; block++) store(block % 64, block);
    for (const each of sources) index.processAllBlocksCleared(each);
    for (let block = 1; block < 2_000; block++) {
      for (let of = 0; of < 64; of++) store(of, 1_000_000 + block);
      assert.equal(index.matchPrefix(MODEL, -1, Uint32Array.of(1_000_000 + block)).length, 64);
      if (block % 100 === 0) assert.ok(index.bytes <= maxBytes, `${index.bytes}`);
    }
  });
});
