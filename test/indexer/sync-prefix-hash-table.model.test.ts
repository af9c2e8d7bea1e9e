import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { type Command, command, eventOf, ids, LORAS, medium, Naming, type Prompt } from "./commands.ts";
import { MANY_BLOCKS, packed } from "./engine-steps.ts";
import { Oracle } from "./oracle.ts";
import { held, source, stored } from "./support.ts";

function apply(index: SyncPrefixHashTable, oracle: Oracle, naming: Naming, command: Command): void {
  const { from } = command;
  if (command.type === "clear") {
    index.processAllBlocksCleared(from);
    oracle.cleared(from);
    return;
  }
  const event = command.type === "nonsense" ? command.event : eventOf(naming, command);
  if (event.type === "BlockStored") {
    index.processBlockStored(from, event);
    oracle.stored(from, event);
  } else {
    index.processBlockRemoved(from, event);
    oracle.removed(from, event);
  }
}

function checkMatches(
  index: SyncPrefixHashTable,
  oracle: Oracle,
  ids: readonly number[],
  ready?: ReadonlySet<string>,
): void {
  for (const model of ["m", "n"]) {
    for (const lora of LORAS) {
      for (const salt of ["", "pepper"]) {
        const actual = index.matchPrefix(model, lora, ids, ready, salt === "" ? {} : { cacheSalt: salt });
        assert.deepEqual(actual, oracle.match(model, lora, ids, ready, salt));
      }
    }
  }
}

function checkHeld(index: SyncPrefixHashTable, oracle: Oracle): void {
  for (const model of ["m", "n"]) {
    for (const pod of ["a", "b"]) {
      for (const rank of [0, 1]) {
        const of = source(pod, rank, { model });
        assert.equal(held(index.heldBlocks(of)), held(oracle.held(of)));
      }
    }
  }
  const { evictedBlocks, ...stats } = index.stats();
  assert.deepEqual(stats, oracle.stats());
  assert.equal(evictedBlocks, 0);
}

describe("SyncPrefixHashTable against a model of full prefixes", () => {
  it("says after every event what the model says, whatever the events", () => {
    const ready = fc.option(
      fc.subarray(["a", "b"]).map((pods) => new Set(pods)),
      { nil: undefined },
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(command, ids, ready), { maxLength: 60, size: "max" }),
        fc.boolean(),
        (steps, wasLarge) => {
          const index = new SyncPrefixHashTable();
          if (wasLarge) index.processEvents(source("z"), packed(MANY_BLOCKS));
          const oracle = new Oracle();
          const naming = new Naming();
          for (const [command, query, ready] of steps) {
            apply(index, oracle, naming, command);
            checkHeld(index, oracle);
            checkMatches(index, oracle, query, ready);
            if ("prompt" in command) checkMatches(index, oracle, command.prompt.ids);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it("says of hybrid models what the model says, whatever their groups hold", () => {
    const group = (groupIdx: number) =>
      fc.record({
        groupIdx: fc.constant(groupIdx),
        blockSize: fc.constantFrom(1, 2, 2, 4),
        kvCacheSpecKind: fc.constantFrom(null, "full_attention", "sliding_window", "sliding_window", "mamba"),
        kvCacheSpecSlidingWindow: fc.constantFrom(2, 5, 7),
      });
    const step = fc.record({
      from: fc.constantFrom(source("a"), source("a"), source("b")),
      group: fc.nat(),
      prompt: fc.constantFrom(7, 8, 9),
      start: fc.nat({ max: 4 }),
      count: fc.nat({ max: 12 }),
      medium,
      isRemoval: fc.constantFrom(false, false, true),
    });
    const groups = fc.oneof(fc.tuple(group(0)), fc.tuple(group(0), group(1)), fc.tuple(group(0), group(1), group(2)));
    fc.assert(
      fc.property(groups, fc.array(step, { maxLength: 40, size: "max" }), (groups, steps) => {
        const index = new SyncPrefixHashTable();
        const oracle = new Oracle();
        const naming = new Naming();
        for (const { from, group, prompt, start, count, medium, isRemoval } of steps) {
          const place = { ...groups[group % groups.length]!, medium };
          const { blockSize } = place;
          const ids = Array.from({ length: 12 }, (_, i) => (i < 8 ? 1 : prompt));
          const asked: Prompt = { ids, blockSize, lora: -1, salt: "", image: false };
          const more = { from, prompt: asked, start, end: start + count, place };
          apply(
            index,
            oracle,
            naming,
            isRemoval ? { type: "remove", ...more } : { type: "store", bare: false, sglang: false, ...more },
          );
          checkMatches(index, oracle, ids);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("says the same when the blocks of a prompt come one by one in any order, once all are there", () => {
    const blocks = 12;
    const order = fc.shuffledSubarray(
      Array.from({ length: blocks }, (_, i) => i),
      { minLength: blocks },
    );
    fc.assert(
      fc.property(order, fc.array(fc.nat({ max: blocks - 1 })), (numbers, again) => {
        const index = new SyncPrefixHashTable();
        const oracle = new Oracle();
        for (const number of [...numbers, ...again]) {
          const parent = number === 0 ? null : BigInt(number);
          const event = stored([BigInt(number + 1)], parent, Uint32Array.of(number, number), { blockSize: 2 });
          index.processBlockStored(source(), event);
          oracle.stored(source(), event);
          assert.equal(held(index.heldBlocks(source())), held(oracle.held(source())));
        }
        const prompt = Uint32Array.from({ length: 2 * blocks }, (_, i) => i >> 1);
        assert.equal(index.matchPrefix("llama", -1, prompt)[0]?.matchedBlocks, blocks);
        assert.equal(index.stats().orphans, 0);
      }),
      { numRuns: 100 },
    );
  });

  it("is empty when all sources are cleared, whatever went before", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60, size: "max" }), (commands) => {
        const index = new SyncPrefixHashTable();
        const naming = new Naming();
        const oracle = new Oracle();
        for (const command of commands) apply(index, oracle, naming, command);
        for (const { from } of commands) index.processAllBlocksCleared(from);
        const { evictedBlocks, ...rest } = index.stats();
        assert.equal(evictedBlocks, 0);
        assert.deepEqual(rest, { contexts: 0, blocks: 0, holders: 0, orphans: 0, sources: 0 });
      }),
      { numRuns: 50 },
    );
  });
});
