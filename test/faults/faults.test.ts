import assert from "node:assert/strict";
import { test } from "node:test";
import { runScenario } from "./scenario.ts";

// `npm run simulate:faults` goes through as many as one likes.
const SEEDS = 120;

test("whatever a network and its engines do, once it is quiet the index is what the engines hold", async () => {
  const kinds = new Set<string>();
  let [live, partial, blocks] = [0, 0, 0];
  for (let seed = 0; seed < SEEDS; seed++) {
    const outcome = await runScenario(seed);
    assert.deepEqual(outcome.divergence, [], `seed ${seed}: npm run simulate:faults -- --from ${seed} --seeds 1`);
    for (const kind of Object.keys(outcome.faults)) kinds.add(kind);
    live += outcome.live;
    partial += outcome.partial;
    blocks += outcome.blocks;
  }
  // What was compared is worth it: every fault, streams of both kinds, and blocks.
  const all = [
    "announce",
    "cut",
    "drop next",
    "hand over",
    "loss",
    "move",
    "remove",
    "repair",
    "reset",
    "restart",
    "snapshot",
  ];
  assert.deepEqual([...kinds].sort(), all);
  assert.ok(live > SEEDS / 2 && partial > SEEDS / 10 && blocks > 20 * SEEDS, `${live} ${partial} ${blocks}`);
});

test("a seed decides all of it", async () => {
  assert.deepEqual(await runScenario(7), await runScenario(7));
});
