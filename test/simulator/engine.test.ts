import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConfigurationError, KVEventSyncError } from "../../src/errors.ts";
import type { KVEvent } from "../../src/events/event.ts";
import { type EngineRequest, SimulatedEngine } from "../../src/simulator/engine.ts";
import { Fold, heldBy } from "./fold.ts";
import { NaiveCache } from "./naive-cache.ts";

const CAPACITY = 9;
const BLOCK_SIZE = 3;

/** Few tokens, so that prompts share prefixes; at most `CAPACITY` blocks. */
const tokens = fc.array(fc.nat(1), { maxLength: 6 * BLOCK_SIZE });
const request: fc.Arbitrary<EngineRequest> = fc.record(
  {
    tokens,
    outputTokens: fc.array(fc.nat(1), { maxLength: 3 * BLOCK_SIZE }),
    loraName: fc.constantFrom("a", "b"),
    cacheSalt: fc.constantFrom("s", "t"),
  },
  { requiredKeys: ["tokens"] },
);
const requests = fc.array(fc.option(request, { nil: "reset" as const, freq: 15 }), { maxLength: 40 });
const cpuCapacity = fc.constantFrom(0, 12);

function engine(options: { cpuCapacityBlocks?: number; hashSeed?: number } = {}): SimulatedEngine {
  return new SimulatedEngine({ blockSize: BLOCK_SIZE, capacityBlocks: CAPACITY, ...options });
}

function serve(engine: SimulatedEngine, step: EngineRequest | "reset"): readonly KVEvent[] {
  return step === "reset" ? engine.reset() : engine.run(step).events;
}

function types(events: readonly KVEvent[]): readonly string[] {
  return events.map((event) => (event.type === "AllBlocksCleared" ? event.type : `${event.type} ${event.medium}`));
}

test("the fold of its events is what the engine holds, after any requests, and every parent is known when it is named", () => {
  fc.assert(
    fc.property(requests, cpuCapacity, (steps, cpuCapacityBlocks) => {
      const simulated = engine({ cpuCapacityBlocks });
      const fold = new Fold();
      for (const step of steps) {
        fold.apply(serve(simulated, step));
        assert.deepEqual(fold.held(), heldBy(simulated.pool()));
      }
    }),
  );
});

test("capacity is never exceeded, at no event", () => {
  fc.assert(
    fc.property(requests, cpuCapacity, (steps, cpuCapacityBlocks) => {
      const simulated = engine({ cpuCapacityBlocks });
      const fold = new Fold();
      for (const event of steps.flatMap((step) => serve(simulated, step))) {
        fold.apply([event]);
        const on = (tier: string): number => [...fold.tiers.values()].filter((tiers) => tiers.has(tier)).length;
        assert.ok(on("gpu") <= CAPACITY);
        assert.ok(on("cpu") <= cpuCapacityBlocks);
      }
    }),
  );
});

test("every block that is held has its parent held, or none", () => {
  fc.assert(
    fc.property(requests, cpuCapacity, (steps, cpuCapacityBlocks) => {
      const simulated = engine({ cpuCapacityBlocks });
      for (const step of steps) {
        serve(simulated, step);
        const held = new Set([...simulated.pool()].map((block) => block.blockHash));
        for (const block of simulated.pool()) {
          assert.ok(block.parentBlockHash === null || held.has(block.parentBlockHash));
        }
      }
    }),
  );
});

test("hits and evictions are those of a naive cache", () => {
  const asked = fc.record({ tokens, lora: fc.constantFrom(undefined, "a") });
  fc.assert(
    fc.property(fc.array(asked, { maxLength: 40 }), (steps) => {
      const simulated = engine();
      const naive = new NaiveCache(BLOCK_SIZE, CAPACITY);
      for (const { tokens: prompt, lora } of steps) {
        const { cachedTokens } = simulated.run({ tokens: prompt, ...(lora && { loraName: lora }) });
        assert.equal(cachedTokens, naive.run(prompt, lora));
        const held = [...simulated.pool()].map((block) => `${block.loraName ?? ""}: ${block.prefixTokens().join(" ")}`);
        assert.deepEqual(held.sort(), naive.held());
      }
    }),
  );
});

test("the same requests give the same events", () => {
  fc.assert(
    fc.property(requests, cpuCapacity, (steps, cpuCapacityBlocks) => {
      const [first, second] = [engine({ cpuCapacityBlocks }), engine({ cpuCapacityBlocks })];
      for (const step of steps) assert.deepEqual(serve(first, step), serve(second, step));
    }),
  );
});

test("engines of different seeds name the same blocks differently", () => {
  const prompt = Array.from({ length: 27 }, (_, index) => index);
  const [first, second] = [engine({ hashSeed: 1 }), engine({ hashSeed: 2 })];
  first.run({ tokens: prompt });
  second.run({ tokens: prompt });
  const names = new Set([...first.pool(), ...second.pool()].map((block) => block.blockHash));
  assert.equal(names.size, 18);
});

test("adapters and salts have blocks of their own", () => {
  const simulated = engine();
  const prompt = { tokens: [1, 2, 3, 4] };
  const asked = [prompt, { ...prompt, loraName: "a" }, { ...prompt, cacheSalt: "a" }, { ...prompt, loraName: "b" }];
  assert.deepEqual(
    asked.map((each) => simulated.run(each).cachedTokens),
    [0, 0, 0, 0],
  );
  assert.equal([...simulated.pool()].length, 4);
});

test("extra keys name the adapter in each block and the salt in the first", () => {
  const { events } = engine().run({ tokens: [1, 2, 3, 4, 5, 6], loraName: "a", cacheSalt: "s" });
  const [stored] = events;
  assert.deepEqual(stored?.type === "BlockStored" && stored.extraKeys, [["a", "s"], ["a"]]);
});

test("new blocks of a prompt are one event that chains on the cached prefix", () => {
  const simulated = engine();
  const [first] = simulated.run({ tokens: [1, 2, 3, 4, 5, 6] }).events;
  const { cachedTokens, events } = simulated.run({ tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9, 7, 7, 7, 0] });
  assert.equal(cachedTokens, 6);
  assert.deepEqual(types(events), ["BlockStored GPU"]);
  const [second] = events;
  assert.ok(first?.type === "BlockStored" && second?.type === "BlockStored");
  assert.equal(second.parentBlockHash, first.blockHashes[1]);
  assert.deepEqual([...second.tokenIds], [7, 8, 9, 7, 7, 7]);
});

test("a hit emits nothing", () => {
  const simulated = engine();
  simulated.run({ tokens: [1, 2, 3, 4, 5, 6, 7] });
  assert.deepEqual(simulated.run({ tokens: [1, 2, 3, 4, 5, 6, 9] }), { cachedTokens: 6, events: [] });
});

test("a prompt that is cached whole computes its last block", () => {
  const simulated = engine();
  simulated.run({ tokens: [1, 2, 3, 4, 5, 6] });
  assert.deepEqual(simulated.run({ tokens: [1, 2, 3, 4, 5, 6] }), { cachedTokens: 3, events: [] });
});

test("what is generated is cached block by block", () => {
  const simulated = engine();
  const { events } = simulated.run({ tokens: [1, 2, 3, 4], outputTokens: [5, 6, 7, 8, 9, 10] });
  assert.deepEqual(
    events.map((event) => event.type === "BlockStored" && [...event.tokenIds]),
    [
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ],
  );
  assert.equal(simulated.run({ tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] }).cachedTokens, 9);
});

test("the tail of the request that was used longest ago is evicted first, one event a block", () => {
  const simulated = new SimulatedEngine({ blockSize: 1, capacityBlocks: 4 });
  const [old] = simulated.run({ tokens: [1, 2] }).events;
  simulated.run({ tokens: [8, 9] });
  const { events } = simulated.run({ tokens: [5, 6] });
  assert.ok(old?.type === "BlockStored");
  assert.deepEqual(types(events), ["BlockRemoved GPU", "BlockRemoved GPU", "BlockStored GPU"]);
  assert.deepEqual(
    events.slice(0, 2).map((event) => event.type === "BlockRemoved" && event.blockHashes),
    [[old.blockHashes[1]], [old.blockHashes[0]]],
  );
});

test("the CPU tier gets copies by hash alone and gives them back with their tokens", () => {
  const simulated = new SimulatedEngine({ blockSize: 1, capacityBlocks: 2, cpuCapacityBlocks: 9 });
  const [onGpu, onCpu] = simulated.run({ tokens: [1, 2] }).events;
  assert.ok(onGpu?.type === "BlockStored" && onCpu?.type === "BlockStored");
  assert.deepEqual([onCpu.medium, onCpu.blockHashes, onCpu.tokenIds.length], ["CPU", onGpu.blockHashes, 0]);
  simulated.run({ tokens: [3, 4] });
  const { cachedTokens, events } = simulated.run({ tokens: [1, 2] });
  assert.equal(cachedTokens, 1);
  assert.deepEqual(types(events), ["BlockRemoved GPU", "BlockRemoved GPU", "BlockStored GPU"]);
});

test("a reset drops all tiers and says so", () => {
  const simulated = engine({ cpuCapacityBlocks: 12 });
  simulated.run({ tokens: [1, 2, 3] });
  assert.deepEqual(simulated.reset(), [{ type: "AllBlocksCleared" }]);
  assert.deepEqual([...simulated.pool()], []);
});

test("a request with more blocks than fit is refused and changes nothing", () => {
  const simulated = engine();
  simulated.run({ tokens: [1, 2, 3] });
  const before = heldBy(simulated.pool());
  const tooLong = Array.from({ length: (CAPACITY + 1) * BLOCK_SIZE }, () => 1);
  assert.throws(
    () => simulated.run({ tokens: tooLong }),
    (error) => error instanceof KVEventSyncError && error.code === "request-too-long",
  );
  assert.deepEqual(heldBy(simulated.pool()), before);
});

test("a size that is no positive integer is refused", () => {
  for (const options of [{ blockSize: 0 }, { capacityBlocks: 1.5 }, { cpuCapacityBlocks: -1 }]) {
    assert.throws(() => new SimulatedEngine(options), ConfigurationError);
  }
});

test("a hundred thousand blocks have a hundred thousand names", () => {
  const simulated = new SimulatedEngine({ blockSize: 1, capacityBlocks: 100_000 });
  simulated.run({ tokens: new Uint32Array(50_000) });
  simulated.run({ tokens: Uint32Array.from({ length: 50_000 }, (_, index) => index + 1) });
  const names = new Set([...simulated.pool()].map((block) => block.blockHash & 0xffff_ffff_ffffn));
  assert.equal(names.size, 100_000);
});
