import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { registerTokenizerSeries } from "../../src/metrics/tokenizer.ts";
import { characterTokenizer } from "../../src/tokenizer/character.ts";
import { TokenizerPool, type TokenizerPoolOptions } from "../../src/tokenizer/pool.ts";
import { remoteTokenizer } from "../../src/tokenizer/remote.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { settled, virtualClock } from "../support/virtual-clock.ts";
import { type Answer, type EngineServer, engineServer, json } from "./support.ts";

const limit = { timeout: 20_000 };

const connect = (endpoint: string) => remoteTokenizer({ endpoint, retries: 0 });
const saying =
  (token: number): Answer =>
  (response) =>
    json(response, { tokens: [token] });

async function bench(answers: readonly Answer[], options: Partial<TokenizerPoolOptions> = {}) {
  const clock = virtualClock();
  const engines: EngineServer[] = [];
  for (const answer of answers) engines.push(await engineServer(answer));
  const urls = engines.map(({ url }) => url);
  const pool = new TokenizerPool({ endpointsOf: () => urls, connect, clock, ...options });
  return {
    clock,
    engines,
    pool,
    async ask(prompt = "Hi", model = "m") {
      const { tokens, servedBy } = await pool.tokenize({ prompt }, { model });
      return [tokens[0], servedBy] as const;
    },
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      for (const engine of engines) await engine[Symbol.asyncDispose]();
      assert.equal(clock.pending, 0);
    },
  };
}

test("the first engine of the model serves, and is named", limit, async () => {
  await using parts = await bench([saying(1), saying(2)]);
  assert.deepEqual(await parts.ask(), [1, `remote ${parts.engines[0]!.url}`]);
  assert.equal(parts.engines[0]!.asked[0]!.body.model, "m");
});

test("where one engine fails the next serves, and the first is left out until it is well", limit, async () => {
  let isDown = true;
  const first: Answer = (response) => json(response, { tokens: [1] }, isDown ? 500 : 200);
  await using parts = await bench([first, saying(2)], { healthCheckMs: 1_000 });
  assert.equal((await parts.ask("a"))[0], 2);
  assert.equal((await parts.ask("b"))[0], 2);
  assert.equal(parts.engines[0]!.asked.length, 1);
  assert.deepEqual([parts.pool.stats.active, parts.pool.stats.unhealthy], [2, 1]);
  isDown = false;
  await parts.clock.advance(1_000);
  while (parts.pool.stats.unhealthy > 0) await settled();
  assert.equal((await parts.ask("c"))[0], 1);
});

test("what a single prompt can do is not held against an engine", limit, async () => {
  const first: Answer = (response, { body }) => {
    if (body?.model === "nonsense") json(response, {}, 404);
    else if (body?.prompt !== "slow") json(response, { tokens: [1] });
  };
  const slow = { connect: (endpoint: string) => remoteTokenizer({ endpoint, retries: 0, timeoutMs: 100 }) };
  await using parts = await bench([first, saying(2)], slow);
  assert.equal((await parts.ask("a", "nonsense"))[0], 2);
  assert.equal((await parts.ask("slow"))[0], 2);
  assert.equal((await parts.ask("b"))[0], 1);
});

test("of many engines that fail a prompt tries few", limit, async () => {
  const failing: Answer = (response) => json(response, {}, 500);
  await using parts = await bench([failing, failing, failing, failing]);
  await assert.rejects(parts.ask(), { code: "http-status" });
  assert.deepEqual(
    parts.engines.map(({ asked }) => asked.length),
    [1, 1, 1, 0],
  );
});

test("a look that finds an engine unwell leaves it out", limit, async () => {
  const first: Answer = (response, { path }) => json(response, { tokens: [1] }, path === "/health" ? 503 : 200);
  await using parts = await bench([first, saying(2)], { healthCheckMs: 1_000 });
  assert.equal((await parts.ask("a"))[0], 1);
  await parts.clock.advance(1_000);
  while (parts.pool.stats.unhealthy === 0) await settled();
  assert.equal((await parts.ask("b"))[0], 2);
});

test("where no engine can, the fallbacks serve in their order, and are not believed for longer", limit, async () => {
  let isDown = true;
  const engine: Answer = (response) => json(response, { tokens: [1] }, isDown ? 500 : 200);
  const options = { fallbacks: [characterTokenizer()], healthCheckMs: 1_000 };
  await using parts = await bench([engine], options);
  assert.deepEqual(await parts.ask(), [72, "character"]);
  isDown = false;
  await parts.clock.advance(1_000);
  while (parts.pool.stats.unhealthy > 0) await settled();
  assert.equal((await parts.ask())[0], 1);
});

test("what the engine says of a wrong prompt is the last word", limit, async () => {
  await using parts = await bench([(response) => json(response, {}, 400), saying(2)], {
    fallbacks: [characterTokenizer()],
  });
  await assert.rejects(parts.ask(), { code: "invalid-prompt" });
  assert.deepEqual([parts.pool.stats.unhealthy, parts.engines[1]!.asked.length], [0, 0]);
});

test("a model without an engine is an error that says so", limit, async () => {
  await using parts = await bench([]);
  await assert.rejects(parts.ask(), {
    code: "unreachable",
    message: /no engine is known for model "m"; check the end/,
  });
});

test("a prompt of before is not asked again, one of another model is", limit, async () => {
  await using parts = await bench([saying(1)], { ttlMs: 1_000 });
  await parts.ask("a");
  await parts.ask("a");
  assert.equal(parts.engines[0]!.asked.length, 1);
  await parts.ask("a", "other");
  assert.equal(parts.engines[0]!.asked.length, 2);
  await parts.clock.advance(1_000);
  await parts.ask("a");
  assert.equal(parts.engines[0]!.asked.length, 3);
});

test("the same prompt at the same time is one call, which lasts until the last caller has gone", limit, async () => {
  // The call must not end by its time-out.
  const patient = { connect: (endpoint: string) => remoteTokenizer({ endpoint, timeoutMs: 600_000 }) };
  await using parts = await bench([() => {}], patient);
  const [first, second] = [new AbortController(), new AbortController()];
  const calls = [first, second].map(({ signal }) => parts.pool.tokenize({ prompt: "a" }, { model: "m", signal }));
  const ended = calls.map((call) => assert.rejects(call, /gone/));
  const [engine] = parts.engines;
  while (engine!.asked.length === 0) await settled();
  first.abort(new Error("gone"));
  await ended[0];
  assert.equal(engine!.asked.length, 1);
  second.abort(new Error("gone"));
  await ended[1];
  await engine!.whenDisconnected;
});

test("a tokenizer that is not used is closed, and the last one ends the looks", limit, async () => {
  await using parts = await bench([saying(1)], { healthCheckMs: 1_000, ttlMs: 1_500 });
  await parts.ask();
  assert.equal(parts.pool.stats.active, 1);
  await parts.clock.advance(1_000);
  // The look's own time-out, then the next look.
  while (parts.engines[0]!.asked.length < 2 || parts.clock.pending !== 1) await settled();
  await parts.clock.advance(1_000);
  while (parts.clock.pending > 0) await settled();
  assert.deepEqual(parts.pool.stats, { active: 0, unhealthy: 0, cachedPrompts: 1, cachedBytes: 516 });
});

test("the least recently used tokenizer makes room for another", limit, async () => {
  const closed: string[] = [];
  const tracked = (endpoint: string): Tokenizer => ({
    kind: "remote",
    name: endpoint,
    tokenize: async () => ({ tokens: Uint32Array.of(1), servedBy: endpoint, maxModelTokens: null }),
    detokenize: async () => "",
    check: async () => {},
    [Symbol.asyncDispose]: async () => {
      closed.push(endpoint);
    },
  });
  await using pool = new TokenizerPool({
    endpointsOf: (model) => [model],
    connect: tracked,
    maxTokenizers: 2,
    maxCacheBytes: 0,
    clock: virtualClock(),
  });
  for (const model of ["a", "b", "a", "c"]) await pool.tokenize({ prompt: "x" }, { model });
  assert.deepEqual([closed, pool.stats.active], [["b"], 2]);
});

test("tokens become text by the same tokenizers", limit, async () => {
  await using parts = await bench([(response) => json(response, { prompt: "text" })]);
  assert.equal(await parts.pool.detokenize([1], { model: "m" }), "text");
});

test("a pool that is closed refuses", limit, async () => {
  const parts = await bench([saying(1)]);
  await parts.ask();
  await parts[Symbol.asyncDispose]();
  await parts[Symbol.asyncDispose]();
  await assert.rejects(parts.ask("b"), { code: "closed" });
});

test("what the pool does is among the metrics", limit, async () => {
  const registry = new Registry();
  const observer = registerTokenizerSeries(registry, "aibrix_");
  const fallbacks = [characterTokenizer()];
  await using parts = await bench([(response) => json(response, {}, 500)], { observer, fallbacks });
  observer.observe(parts.pool);
  await parts.ask("a");
  await parts.ask("b");
  const text = await registry.metrics();
  for (const line of [
    "active_tokenizers 1",
    "unhealthy_tokenizers 1",
    "cache_misses_total 2",
    "cache_hits_total 0",
    'failures_total{tokenizer="remote",reason="http-status"} 1',
    'request_duration_seconds_count{tokenizer="character"} 2',
  ]) {
    assert.ok(text.includes(`aibrix_tokenizer_pool_${line}\n`), line);
  }
});

test("numbers out of range are refused", () => {
  for (const [name, value] of [
    ["ttlMs", 0],
    ["healthCheckMs", -1],
    ["maxTokenizers", 0.5],
    ["maxCacheBytes", -1],
  ] as const) {
    assert.throws(() => new TokenizerPool({ [name]: value }), { code: "invalid-option", message: new RegExp(name) });
  }
});
