import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Fleet, type FleetOptions, type FleetResult } from "../../bench/routing/fleet.ts";
import { plotOf } from "../../bench/routing/plot.ts";
import { readTrace, type TraceRequest } from "../../bench/routing/trace.ts";
import { STRATEGY_NAMES } from "../../src/routing/strategy.ts";
import { seededRandom } from "../support/random.ts";

const OPTIONS: FleetOptions = {
  engines: 3,
  blockSize: 64,
  capacityBlocks: 300,
  strategy: "cost-aware",
  isOracle: false,
  eventDelayMs: 5,
  routing: {},
};

/** Conversations whose turns begin with all that was said before. */
async function conversations(): Promise<TraceRequest[]> {
  const random = seededRandom(1);
  const lines: string[] = [];
  const talks = Array.from({ length: 12 }, (_, i) => [0, 1_000 * i]);
  for (let at = 0; at < 120; at++) {
    const talk = talks[Math.floor(random() * talks.length)]!;
    talk.push(talk.at(-1)! + 1);
    const hash_ids = talk.slice(0, 8);
    lines.push(
      JSON.stringify({ timestamp: 40 * at, input_length: 512 * hash_ids.length - 100, output_length: 20, hash_ids }),
    );
  }
  const folder = await mkdtemp(join(tmpdir(), "trace-"));
  try {
    await writeFile(join(folder, "trace.jsonl"), lines.join("\n"));
    return await readTrace(join(folder, "trace.jsonl"), Number.POSITIVE_INFINITY);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const requests = await conversations();
const run = (more: Partial<FleetOptions> = {}): FleetResult => new Fleet({ ...OPTIONS, ...more }).run(requests);

test("the routing bench: a trace gives the same tokens for the same ids, and knows what was seen before", () => {
  assert.equal(requests.length, 120);
  const [first, second] = requests as [TraceRequest, TraceRequest];
  assert.deepEqual(first.tokens.subarray(0, 512), second.tokens.subarray(0, 512));
  assert.equal(first.seenTokens, 0);
  assert.ok(second.seenTokens >= 512);
  assert.notDeepEqual(first.tokens.subarray(512, 1024), second.tokens.subarray(512, 1024));
});

test("the routing bench: every request is answered, and the same run gives the same result", () => {
  for (const strategy of STRATEGY_NAMES) {
    const result = run({ strategy });
    assert.equal(result.ttftMs.length, requests.length);
    assert.deepEqual(run({ strategy }), result);
  }
});

test("the routing bench: no strategy hits more than one infinite cache, and who looks at the prefix more than who does not", () => {
  const all = requests.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const bound = requests.reduce((sum, { seenTokens }) => sum + seenTokens, 0) / all;
  const rates = new Map(STRATEGY_NAMES.map((strategy) => [strategy, run({ strategy }).hitRate]));
  for (const [name, rate] of rates) assert.ok(rate <= bound, `${name} ${rate} of ${bound}`);
  assert.ok(rates.get("cost-aware")! > rates.get("round-robin")!);
  assert.ok(rates.get("prefix-cache")! > rates.get("random")!);
});

test("the routing bench: the index promises nothing that an engine lacks, and something", () => {
  const { promises, wrongPromises } = run();
  assert.ok(promises > 100);
  assert.equal(wrongPromises, 0);
});

test("the routing bench: a plot has a curve for each row", () => {
  const svg = plotOf([
    { name: "a", result: run() },
    { name: "a, oracle", result: run({ isOracle: true }) },
  ]);
  assert.equal(svg.match(/<polyline/g)?.length, 2);
  assert.match(svg, /a, oracle: \d+\.\d % cached/);
});
