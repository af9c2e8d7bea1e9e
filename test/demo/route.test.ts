import assert from "node:assert/strict";
import { test } from "node:test";
import { renderRoute, routePrompt } from "../../src/demo/route.ts";
import { printLine } from "../../src/demo/text.ts";
import type { BlockStored } from "../../src/events/event.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { SimulatedEngine } from "../../src/simulator/engine.ts";

const PODS = ["default/c", "default/b", "default/a"];
const PROMPT = Uint32Array.of(1, 2, 3, 4, 5, 6, 7);

/** What each pod served before. */
function indexOf(served: Readonly<Record<string, readonly number[]>>): SyncPrefixHashTable {
  const index = new SyncPrefixHashTable();
  for (const [pod, tokens] of Object.entries(served)) {
    for (const event of new SimulatedEngine({ blockSize: 2 }).run({ tokens }).events) {
      index.processBlockStored({ model: "m", pod, rank: 0, loraId: -1 }, event as BlockStored);
    }
  }
  return index;
}

function print(index: SyncPrefixHashTable, cachedTokens: number | null): string {
  return renderRoute(routePrompt(index, "m", PROMPT, 2, PODS), cachedTokens)
    .map((line) => printLine(line, { columns: 80, colours: false }))
    .join("\n");
}

test("the pod with the longest part of the prompt wins, and all are listed with what they hold", () => {
  const index = indexOf({ "default/a": [1, 2, 9, 9], "default/b": [1, 2, 3, 4, 9, 9] });
  const route = routePrompt(index, "m", PROMPT, 2, PODS);
  assert.deepEqual(route.candidates, [
    { pod: "default/b", matchedBlocks: 2, matchedTokens: 4 },
    { pod: "default/a", matchedBlocks: 1, matchedTokens: 2 },
    { pod: "default/c", matchedBlocks: 0, matchedTokens: 0 },
  ]);
  assert.equal(route.winner, route.candidates[0]);
});

test("the answer is shown with its reason, and with what the engine then found", () => {
  const index = indexOf({ "default/a": [1, 2, 9, 9], "default/b": [1, 2, 3, 4, 9, 9] });
  assert.equal(
    print(index, 4),
    `A conversation goes on: a prompt of 7 tokens, 3 full blocks. Who has it?
  b  █████████████░░░░░░░     2/3 blocks       4 tokens  ← here
  a  ███████░░░░░░░░░░░░░     1/3 blocks       2 tokens
  c  ░░░░░░░░░░░░░░░░░░░░     0/3 blocks       0 tokens
The longest match wins: 3 tokens left to compute, on the next best 5.
b was given the prompt and found 4 tokens in its cache.`,
  );
});

test("a prompt that nobody holds has no winner", () => {
  const index = indexOf({ "default/a": [9, 9] });
  assert.equal(routePrompt(index, "m", PROMPT, 2, PODS).winner, null);
  assert.match(print(index, null), /Nobody holds any of it/);
});

test("a pod that is not asked for is no candidate", () => {
  const index = indexOf({ "default/x": [1, 2] });
  assert.equal(routePrompt(index, "m", PROMPT, 2, PODS).winner, null);
});
