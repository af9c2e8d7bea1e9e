import assert from "node:assert/strict";
import { test } from "node:test";
import type OpenAI from "openai";
import { characterTokenizer } from "../../../src/tokenizer/character.ts";
import { remoteTokenizer } from "../../../src/tokenizer/remote.ts";
import { engineBench } from "./support.ts";

const limit = { timeout: 30_000 };
const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Where is my cache? ".repeat(8) }];
const chat = { model: "m", messages };

/** What vLLM counts beside OpenAI's usage. */
function cachedOf(usage: OpenAI.CompletionUsage | null | undefined): number | undefined {
  return usage?.prompt_tokens_details?.cached_tokens;
}

async function fold(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
  return { chunks, text, usage: chunks.at(-1)?.usage };
}

test("a chat is answered, with the tokens that it took", limit, async () => {
  await using engine = await engineBench();
  const { choices, usage, object, model } = await engine.client.chat.completions.create({ ...chat, max_tokens: 20 });
  assert.deepEqual([object, model, choices.length], ["chat.completion", "m", 1]);
  assert.equal(choices[0]?.message.role, "assistant");
  assert.equal(choices[0]?.message.content?.length, 20);
  assert.equal(choices[0]?.finish_reason, "length");
  const { tokens } = await characterTokenizer().tokenize({
    messages: [{ role: "user", content: messages[0]!.content }],
  });
  assert.deepEqual([usage?.prompt_tokens, usage?.completion_tokens], [tokens.length, 20]);
});

test("an answer without a limit ends by itself", limit, async () => {
  await using engine = await engineBench({ answerTokens: 7 });
  const { choices, usage } = await engine.client.chat.completions.create(chat);
  assert.deepEqual([choices[0]?.finish_reason, usage?.completion_tokens], ["stop", 7]);
});

test(
  "the second time a prompt is cached but for its last block, and so is the answer in the next turn",
  limit,
  async () => {
    await using engine = await engineBench();
    const first = await engine.client.chat.completions.create(chat);
    assert.equal(cachedOf(first.usage), 0);
    const second = await engine.client.chat.completions.create(chat);
    const prompt = first.usage!.prompt_tokens;
    assert.equal(cachedOf(second.usage), 16 * Math.floor((prompt - 1) / 16));
    const { content } = first.choices[0]!.message;
    const next = [...messages, { role: "assistant", content } as const, { role: "user", content: "And?" } as const];
    const turn = await engine.client.chat.completions.create({ ...chat, messages: next });
    assert.equal(cachedOf(turn.usage), 16 * Math.floor((prompt + first.usage!.completion_tokens) / 16));
  },
);

test("a stream brings the answer token by token, its reason, and its usage where asked for", limit, async () => {
  await using engine = await engineBench({ decodeTokensPerSecond: 200 });
  const options = { ...chat, max_tokens: 10, stream: true, stream_options: { include_usage: true } } as const;
  const { chunks, text, usage } = await fold(await engine.client.chat.completions.create(options));
  assert.equal(chunks[0]?.choices[0]?.delta.role, "assistant");
  assert.equal(text.length, 10);
  // Not as one piece: at least the first token comes alone.
  assert.ok(chunks.filter(({ choices }) => choices[0]?.delta.content).length > 1);
  assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, "length");
  assert.deepEqual([usage?.completion_tokens, cachedOf(usage)], [10, 0]);
});

test("completions take a text, or tokens, and stream as well", limit, async () => {
  await using engine = await engineBench();
  const prompt = "Where is my cache? ".repeat(4);
  const { choices, usage } = await engine.client.completions.create({ model: "m", prompt });
  assert.deepEqual([choices[0]?.text.length, usage?.prompt_tokens], [16, prompt.length]);
  const tokens = [...Buffer.from(prompt)];
  const again = await engine.client.completions.create({ model: "m", prompt: tokens, max_tokens: 3 });
  assert.ok(cachedOf(again.usage)! > 0);
  const parts: string[] = [];
  for await (const { choices } of await engine.client.completions.create({ model: "m", prompt, stream: true })) {
    parts.push(choices[0]?.text ?? "");
  }
  assert.equal(parts.join("").length, 16);
});

test("a client that aborts a stream frees its place for the one that waits", limit, async () => {
  await using engine = await engineBench({ maxRunning: 1, decodeTokensPerSecond: 1 });
  const stream = await engine.client.chat.completions.create({ ...chat, max_tokens: 1_000, stream: true });
  for await (const { choices } of stream) if (choices[0]?.delta.content) break;
  // Breaking off the loop aborts the request.
  await engine.untilMetric("num_requests_running", 0);
  const { choices } = await engine.client.chat.completions.create({ ...chat, max_tokens: 1 });
  assert.equal(choices[0]?.message.content?.length, 1);
});

for (const stream of [false, true]) {
  test(
    `a client that aborts while it waits leaves the queue, ${stream ? "streaming" : "not streaming"}`,
    limit,
    async () => {
      await using engine = await engineBench({ maxRunning: 1, decodeTokensPerSecond: 1 });
      const first = await engine.client.chat.completions.create({ ...chat, max_tokens: 1_000, stream: true });
      const controller = new AbortController();
      const second = engine.client.chat.completions.create({ ...chat, stream }, { signal: controller.signal });
      const aborted = assert.rejects(second);
      await engine.untilMetric("num_requests_waiting", 1);
      controller.abort();
      await aborted;
      await engine.untilMetric("num_requests_waiting", 0);
      assert.equal(await engine.metric("num_requests_running"), 1);
      first.controller.abort();
    },
  );
}

test("an engine that closes breaks off what it streams", limit, async () => {
  const engine = await engineBench({ decodeTokensPerSecond: 1 });
  const stream = await engine.client.chat.completions.create({ ...chat, max_tokens: 100, stream: true });
  const broken = assert.rejects(fold(stream));
  await engine[Symbol.asyncDispose]();
  await broken;
});

test("metrics have vLLM's names and tell of hits in tokens", limit, async () => {
  await using engine = await engineBench();
  const first = await engine.client.chat.completions.create({ ...chat, max_tokens: 4 });
  const second = await engine.client.chat.completions.create({ ...chat, max_tokens: 4 });
  assert.equal(await engine.metric("prefix_cache_queries_total"), 2 * first.usage!.prompt_tokens);
  assert.equal(await engine.metric("prefix_cache_hits_total"), cachedOf(second.usage));
  assert.equal(await engine.metric("time_to_first_token_seconds_count"), 2);
  assert.equal(await engine.metric("generation_tokens_total"), 8);
  const text = await (await fetch(`${engine.url}/metrics`)).text();
  assert.match(text, /vllm:num_requests_running\{model_name="m",engine="0"\} 0/);
  assert.match(text, /vllm:cache_config_info\{block_size="16",num_gpu_blocks="4096",.*\} 1/);
});

test("the blocks of running requests count as used", limit, async () => {
  await using engine = await engineBench({ decodeTokensPerSecond: 1 }, { capacityBlocks: 20 });
  const prompt = "x".repeat(152);
  const stream = await engine.client.completions.create({ model: "m", prompt, max_tokens: 100, stream: true });
  assert.equal(await engine.metric("kv_cache_usage_perc"), 0.5);
  stream.controller.abort();
  await engine.untilMetric("kv_cache_usage_perc", 0);
});

test("it tokenizes as it serves: our remote tokenizer and its completions agree", limit, async () => {
  await using engine = await engineBench();
  await using tokenizer = remoteTokenizer({ endpoint: engine.url });
  await tokenizer.check();
  const asked = [{ role: "user", content: "Hé" }];
  const { tokens, maxModelTokens } = await tokenizer.tokenize({ messages: asked }, { model: "m" });
  assert.equal(await tokenizer.detokenize(tokens), "<|im_start|>user\nHé<|im_end|>\n<|im_start|>assistant\n");
  assert.equal(maxModelTokens, 4_096 * 16);
  const { usage } = await engine.client.chat.completions.create({
    model: "m",
    messages: [{ role: "user", content: "Hé" }],
  });
  assert.equal(usage?.prompt_tokens, tokens.length);
});

test("a rank that is asked for serves", limit, async () => {
  const endpoints = [{ endpoint: "inproc://rank-0" }, { endpoint: "inproc://rank-1" }];
  await using engine = await engineBench({}, { endpoints });
  const headers = { "x-data-parallel-rank": "1" };
  await engine.client.chat.completions.create(chat, { headers });
  assert.equal([...engine.pod.pool(0)].length, 0);
  assert.ok([...engine.pod.pool(1)].length > 0);
  await assert.rejects(engine.client.chat.completions.create(chat, { headers: { "x-data-parallel-rank": "2" } }), {
    status: 400,
  });
});

test("models and probes", limit, async () => {
  await using engine = await engineBench();
  const { data } = await engine.client.models.list();
  assert.deepEqual(
    data.map(({ id, object }) => [id, object]),
    [["m", "model"]],
  );
  assert.deepEqual(await (await fetch(`${engine.url}/is_sleeping`)).json(), { is_sleeping: false });
  assert.equal((await fetch(`${engine.url}/health`)).status, 200);
  await engine.pod.stop();
  assert.equal((await fetch(`${engine.url}/health`)).status, 503);
  await assert.rejects(engine.client.chat.completions.create(chat), { status: 503 });
});

test("what cannot be served is refused in OpenAI's form", limit, async () => {
  await using engine = await engineBench({}, { capacityBlocks: 4 });
  const { completions } = engine.client;
  await assert.rejects(completions.create({ model: "x", prompt: "a" }), { status: 404, message: /"x" does not exist/ });
  await assert.rejects(completions.create({ model: "m", prompt: "a".repeat(64) }), {
    status: 400,
    message: /takes 80/,
  });
  await assert.rejects(completions.create({ model: "m", prompt: "" }), { status: 400, message: /prompt is empty/ });
  await assert.rejects(completions.create({ model: "m", prompt: ["a", "b"] }), { status: 400, message: /prompt is/ });
  await assert.rejects(completions.create({ model: "m", prompt: "a", n: 2 }), { status: 400, message: /^400 n is 2/ });
});

test("a queue that is full refuses", limit, async () => {
  await using engine = await engineBench({ maxRunning: 1, maxWaiting: 1, decodeTokensPerSecond: 1 });
  const first = await engine.client.chat.completions.create({ ...chat, max_tokens: 100, stream: true });
  const second = new AbortController();
  const waiting = assert.rejects(engine.client.chat.completions.create(chat, { signal: second.signal }));
  await engine.untilMetric("num_requests_waiting", 1);
  await assert.rejects(engine.client.chat.completions.create(chat), { status: 429 });
  second.abort();
  await waiting;
  first.controller.abort();
});
