import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { createStore } from "../../src/container.ts";
import { localTokenizer } from "../../src/tokenizer/local.ts";
import { PipelineWatch } from "../support/pipeline.ts";
import { run } from "./support.ts";

const limit = { timeout: 60_000 };

interface Block {
  readonly pod: string;
  readonly tokens: readonly number[];
}

test("simulate tells where its engines are, and at the end what they hold", limit, async (context) => {
  const flags = ["--engines", "2", "--port", "0", "--requests-per-second", "50", "--model", "m", "--truth"];
  const simulation = run(context, ["simulate", ...flags]);
  const engines = [await simulation.line(), await simulation.line()].map((line) => JSON.parse(line));
  assert.deepEqual(
    engines.map(({ pod, model, rank }) => [pod, model, rank]),
    [
      ["simulation/engine-0", "m", 0],
      ["simulation/engine-1", "m", 0],
    ],
  );
  const watch = new PipelineWatch();
  const endpoints = engines.map(({ pod, endpoint, replayEndpoint }) => ({
    name: pod,
    endpoint,
    replayEndpoint,
    model: "m",
  }));
  await using store = await createStore({ transport: "zmtp", endpoints, observers: [watch] });
  await store.initKVEventSync();
  await watch.until(() => store.pods().every(({ streams }) => (streams[0]?.lastSequence ?? 0) > 5));
  simulation.child.kill("SIGTERM");
  const { code, lines, stderr } = await simulation.end();
  assert.deepEqual([code, stderr], [0, ""]);
  const { counters } = JSON.parse(lines.at(-1)!);
  assert.ok(counters.requests > 10);
  const blocks: Block[] = lines.slice(2, -1).map((line) => JSON.parse(line));
  assert.ok(blocks.length > 20);
  // The store has followed until the engines ended: it still holds what they held then.
  for (const { pod, tokens } of blocks) {
    const match = store.indexer.matchPrefix("m", -1, Uint32Array.from(tokens), new Set([pod]));
    assert.equal(match[0]?.matchedTokens, tokens.length);
  }
});

test("the workload's flags shape what is asked", limit, async (context) => {
  const sizes = ["--system-prompt-tokens", "16", "--turns", "1", "--turn-tokens", "1", "--answer-tokens", "1"];
  const flags = ["--engines", "1", "--port", "0", "--requests-per-second", "200", "--system-prompts", "1", ...sizes];
  const simulation = run(context, ["simulate", ...flags, "--vocabulary-tokens", "2", "--truth"]);
  const { endpoint, replayEndpoint } = JSON.parse(await simulation.line());
  const watch = new PipelineWatch();
  const endpoints = [{ endpoint, replayEndpoint, model: "simulated" }];
  await using store = await createStore({ transport: "zmtp", endpoints, observers: [watch] });
  await store.initKVEventSync();
  await watch.until(() => store.pods()[0]?.streams[0]?.lastSequence === 0);
  simulation.child.kill("SIGINT");
  const { code, lines } = await simulation.end();
  assert.equal(code, 0);
  const blocks: Block[] = lines.slice(1, -1).map((line) => JSON.parse(line));
  // Every conversation is the system prompt, a block, and too little more for another one.
  assert.equal(blocks.length, 1);
  assert.ok(blocks[0]!.tokens.length === 16 && blocks[0]!.tokens.every((token) => token < 2));
});

test("engines that speak HTTP publish what they serve", limit, async (context) => {
  const rates = ["--prefill-tokens-per-second", "1e9", "--decode-tokens-per-second", "1e9", "--max-running", "2"];
  const flags = ["--engines", "2", "--port", "0", "--http-port", "0", "--model", "m", "--block-size", "4", ...rates];
  const simulation = run(context, ["simulate", ...flags]);
  const engines = [await simulation.line(), await simulation.line()].map((line) => JSON.parse(line));
  const watch = new PipelineWatch();
  const endpoints = engines.map(({ pod: name, endpoint, replayEndpoint, model }) => ({
    ...{ name, endpoint, replayEndpoint, model },
  }));
  await using store = await createStore({ transport: "zmtp", endpoints, observers: [watch] });
  await store.initKVEventSync();
  const client = new OpenAI({ apiKey: "none", baseURL: `${engines[1].url}/v1` });
  const { usage } = await client.completions.create({ model: "m", prompt: "twelve bytes", max_tokens: 4 });
  assert.equal(usage?.total_tokens, 16);
  await watch.until(() => store.pods().some(({ streams }) => streams[0]?.lastSequence === 1));
  const tokens = Uint32Array.from(Buffer.from("twelve bytes"));
  const matches = store.indexer.matchPrefix("m", -1, tokens, new Set(engines.map(({ pod }) => pod)));
  assert.deepEqual(
    matches.map(({ pod, matchedTokens }) => [pod, matchedTokens]),
    [[engines[1].pod, 12]],
  );
  simulation.child.kill("SIGTERM");
  const { code, lines } = await simulation.end();
  // Nothing but what came over HTTP.
  assert.deepEqual([code, JSON.parse(lines.at(-1)!).counters.requests], [0, 0]);
});

test("engines speak the tokens of a model's files", limit, async (context) => {
  const path = fileURLToPath(new URL("../fixtures/tokenizer", import.meta.url));
  const flags = ["--engines", "1", "--port", "0", "--http-port", "0", "--tokenizer-path", path];
  const simulation = run(context, ["simulate", ...flags, "--decode-tokens-per-second", "1e9"]);
  const { url } = JSON.parse(await simulation.line());
  const client = new OpenAI({ apiKey: "none", baseURL: `${url}/v1` });
  const messages = [{ role: "user", content: "Where is my cache?" } as const];
  const { usage, choices } = await client.chat.completions.create({ model: "simulated", messages, max_tokens: 5 });
  await using tokenizer = localTokenizer({ path });
  assert.equal(usage?.prompt_tokens, (await tokenizer.tokenize({ messages })).tokens.length);
  const answer = { prompt: choices[0]!.message.content!, addSpecialTokens: false };
  assert.equal((await tokenizer.tokenize(answer)).tokens.length, 5);
});

test("simulate ends by itself after --seconds", limit, async (context) => {
  const { code, lines } = await run(context, ["simulate", "--engines", "1", "--port", "0", "--seconds", "0.2"]).end();
  assert.equal(code, 0);
  assert.equal(lines.length, 2);
});

for (const [name, flags, words] of [
  ["an unknown encoding", ["--encoding", "xml"], /--encoding is xml: use array or map/],
  ["engines below 1", ["--engines", "0"], /engines is 0; expected an integer from 1/],
  ["an HTTP port that is none", ["--http-port", "70000"], /HTTP port 70000 with 3 engines; use one from 0/],
  [
    "a folder without a tokenizer",
    ["--tokenizer-path", "none"],
    /none\/tokenizer.json: ENOENT.*give the folder of a model/,
  ],
  ["a rate of nothing", ["--http-port", "0", "--max-running", "0"], /engine: maxRunning is 0; expected/],
  ["a port that is none", ["--port", "x"], /option '--port <number>' argument 'x' is invalid. It is not a number/],
  ["a workload of nothing", ["--turns", "0"], /workload: turns is 0; expected an integer from 1/],
  ["an unknown flag", ["--prot", "1"], /unknown option '--prot'/],
  ["a transport that is none", ["--transport", "smtp"], /transport is "smtp": use zmtp/],
] as const) {
  test(`simulate refuses ${name} in one line that names it`, limit, async (context) => {
    const { code, stderr } = await run(context, ["simulate", ...flags]).end();
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.doesNotMatch(stderr, /\n\s+at /);
  });
}
