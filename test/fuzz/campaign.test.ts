import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { runModule } from "../support/run-module.ts";
import { type CampaignResult, campaign } from "./campaign.ts";

function faulty(name: string, hangMs = 300): Promise<CampaignResult> {
  const module = new URL("faulty-targets.ts", import.meta.url).href;
  return campaign({ module, names: [name], seed: 100, seconds: 30, runs: 1_000, hangMs, heapMb: 64 });
}

for (const [name, how, words] of [
  ["throws", "fault", /wrong result/],
  ["rejects-unheard", "crash", /nobody hears this/],
  ["throws-in-a-callback", "crash", /nobody catches this/],
  ["never-ends", "hang", /no end after 300 ms/],
  ["loops", "hang", /no end after 300 ms/],
] as const) {
  test(`fuzz: a target that ${name} is a ${how}, and the run is named`, async () => {
    const { failure } = await faulty(name);
    assert.deepEqual([failure?.target, failure?.how, failure?.seed], [name, how, 109]);
    assert.match(failure!.error, words);
  });
}

test("fuzz: a target that stands still outside of JavaScript is named, and does not hold up the end", async () => {
  const { stdout, code } = await runModule(`
    import { campaign, endProcess } from "./test/fuzz/campaign.ts";
    const module = new URL("./test/fuzz/faulty-targets.ts", "${pathToFileURL(`${process.cwd()}/`)}").href;
    const order = { module, names: ["stands-still"], seed: 100, seconds: 30, runs: 1_000, hangMs: 300 };
    const result = await campaign(order);
    process.stdout.write(result.failure.how + " " + result.failure.seed, () => endProcess(result));
  `);
  assert.equal(stdout, "hang 109");
  assert.equal(code, null);
});

test("fuzz: memory that is not given back is a fault", async () => {
  const module = new URL("faulty-targets.ts", import.meta.url).href;
  // Only a second slice can be compared with a first one.
  const { failure } = await campaign({ module, names: ["sound", "keeps-buffers"], seed: 1, seconds: 20, runs: 1e9 });
  assert.deepEqual([failure?.target, failure?.how], ["keeps-buffers", "fault"]);
  assert.match(failure!.error, /memory grew by \d+ bytes/);
});

test("fuzz: a target that fills the heap ends its thread, and is named", async () => {
  const { failure } = await faulty("fills-the-heap", 60_000);
  assert.deepEqual([failure?.target, failure?.how, failure?.seed], ["fills-the-heap", "crash", 109]);
  assert.match(failure!.error, /memory/);
});

test("fuzz: a sound target runs as often as it is told to", async () => {
  assert.deepEqual(await faulty("sound"), { runs: 1_000 });
});
