import assert from "node:assert/strict";
import { test } from "node:test";
import { readRetryAfter } from "../../src/tokenizer/json-client.ts";
import { type RemoteTokenizerOptions, remoteTokenizer } from "../../src/tokenizer/remote.ts";
import { settled, virtualClock } from "../support/virtual-clock.ts";
import { type Answer, engineServer, json } from "./support.ts";

const limit = { timeout: 20_000 };
const hi: Answer = (response) =>
  json(response, { count: 2, max_model_len: 4_096, tokens: [9707, 0], token_strs: null });

async function bench(answer: Answer, options: Partial<RemoteTokenizerOptions> = {}) {
  const engine = await engineServer(answer);
  const tokenizer = remoteTokenizer({ endpoint: engine.url, retryMinMs: 0, ...options });
  return {
    engine,
    tokenizer,
    async [Symbol.asyncDispose]() {
      await tokenizer[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
    },
  };
}

test("a text is asked for as vLLM and SGLang take it", limit, async () => {
  await using parts = await bench(hi);
  const { tokens, servedBy, maxModelTokens } = await parts.tokenizer.tokenize({ prompt: "Hi" }, { model: "m" });
  assert.deepEqual([...tokens], [9707, 0]);
  assert.equal(servedBy, `remote ${parts.engine.url}`);
  assert.equal(maxModelTokens, 4_096);
  const [asked] = parts.engine.asked;
  assert.equal(`${asked?.method} ${asked?.path}`, "POST /tokenize");
  assert.equal(asked?.headers["content-type"], "application/json");
  assert.deepEqual(asked?.body, { model: "m", prompt: "Hi", add_special_tokens: true });
});

test("a chat ends where the model is to answer, and its template writes the special tokens", limit, async () => {
  await using parts = await bench(hi);
  await parts.tokenizer.tokenize({ messages: [{ role: "user", content: "Hi" }] });
  assert.deepEqual(parts.engine.asked[0]?.body, {
    messages: [{ role: "user", content: "Hi" }],
    add_special_tokens: false,
    add_generation_prompt: true,
    continue_final_message: false,
  });
});

test("all that a chat can say goes to the engine", limit, async () => {
  await using parts = await bench(hi);
  const tools = [{ type: "function", function: { name: "f" } }];
  await parts.tokenizer.tokenize({
    messages: [{ role: "assistant", content: "So", name: "a" }],
    addSpecialTokens: true,
    continueFinalMessage: true,
    chatTemplate: "{{ messages }}",
    chatTemplateKwargs: { enable_thinking: false },
    tools,
    mmProcessorKwargs: { crops: 1 },
  });
  assert.deepEqual(parts.engine.asked[0]?.body, {
    messages: [{ role: "assistant", content: "So", name: "a" }],
    add_special_tokens: true,
    add_generation_prompt: false,
    continue_final_message: true,
    chat_template: "{{ messages }}",
    chat_template_kwargs: { enable_thinking: false },
    tools,
    mm_processor_kwargs: { crops: 1 },
  });
});

test("SGLang's answer, and one without count and limit, are tokens too", limit, async () => {
  await using parts = await bench((response, _asked, count) =>
    json(response, count === 1 ? { tokens: [1], count: 1, max_model_len: 8 } : { tokens: [2] }),
  );
  assert.deepEqual([...(await parts.tokenizer.tokenize({ prompt: "a" })).tokens], [1]);
  const { tokens, maxModelTokens } = await parts.tokenizer.tokenize({ prompt: "b" });
  assert.deepEqual([[...tokens], maxModelTokens], [[2], null]);
});

test("tokens become text by either engine's answer", limit, async () => {
  await using parts = await bench((response, _asked, count) =>
    json(response, count === 1 ? { prompt: "v" } : { text: "s" }),
  );
  assert.equal(await parts.tokenizer.detokenize(Uint32Array.of(1, 2), { model: "m" }), "v");
  assert.equal(await parts.tokenizer.detokenize([3]), "s");
  const [first] = parts.engine.asked;
  assert.equal(first?.path, "/detokenize");
  assert.deepEqual(first?.body, { model: "m", tokens: [1, 2], skip_special_tokens: false });
});

test("a base URL keeps its path", limit, async () => {
  await using engine = await engineServer(hi);
  await using tokenizer = remoteTokenizer({ endpoint: `${engine.url}/models/a` });
  await tokenizer.tokenize({ prompt: "Hi" });
  assert.equal(engine.asked[0]?.path, "/models/a/tokenize");
  assert.equal(tokenizer.name, `remote ${engine.url}/models/a`);
});

test("calls one after the other share connections", limit, async () => {
  await using parts = await bench(hi);
  for (let call = 0; call < 20; call++) await parts.tokenizer.tokenize({ prompt: "Hi" });
  // The first may not be back among those at rest when the second call comes.
  assert.ok(parts.engine.connections <= 2, `${parts.engine.connections} connections`);
});

test("an engine that is busy is asked again", limit, async () => {
  await using parts = await bench((response, asked, count) =>
    count < 3 ? json(response, { error: "busy" }, 503) : hi(response, asked, count),
  );
  await parts.tokenizer.tokenize({ prompt: "Hi" });
  assert.equal(parts.engine.asked.length, 3);
});

test("retries end, and the error names URL, status and what was said", limit, async () => {
  await using parts = await bench((response) => json(response, { error: "busy" }, 503), { retries: 1 });
  await assert.rejects(parts.tokenizer.tokenize({ prompt: "Hi" }), {
    code: "http-status",
    message: `${parts.engine.url}/tokenize: status 503 {"error":"busy"}; the engine is busy or not up yet; try again later`,
  });
  assert.equal(parts.engine.asked.length, 2);
});

test("a prompt that the engine refuses is asked once", limit, async () => {
  await using parts = await bench((response) => json(response, { error: "messages" }, 422));
  await assert.rejects(parts.tokenizer.tokenize({ messages: [] }), {
    code: "invalid-prompt",
    message: /status 422 .*SGLang/,
  });
  assert.equal(parts.engine.asked.length, 1);
});

test("Retry-After is waited for, and no longer", limit, async () => {
  const clock = virtualClock();
  await using parts = await bench(
    (response, asked, count) =>
      count === 1 ? json(response, {}, 429, { "retry-after": "2" }) : hi(response, asked, count),
    { clock, timeoutMs: 5_000 },
  );
  const call = parts.tokenizer.tokenize({ prompt: "Hi" });
  // The time-out's timer, and the pause's.
  while (clock.pending < 2) await settled();
  await clock.advance(1_999);
  assert.equal(parts.engine.asked.length, 1);
  await clock.advance(1);
  await call;
  assert.equal(parts.engine.asked.length, 2);
  assert.equal(clock.pending, 0);
});

test("a Retry-After beyond the time-out is the end at once", limit, async () => {
  const clock = virtualClock();
  await using parts = await bench((response) => json(response, {}, 429, { "retry-after": "86400" }), { clock });
  await assert.rejects(parts.tokenizer.tokenize({ prompt: "Hi" }), { code: "http-status" });
  assert.equal(parts.engine.asked.length, 1);
  assert.equal(clock.pending, 0);
});

test("an engine that does not answer costs the time-out, and its connection ends", limit, async () => {
  const clock = virtualClock();
  await using parts = await bench(() => {}, { clock, timeoutMs: 700 });
  const call = parts.tokenizer.tokenize({ prompt: "Hi" });
  const refused = assert.rejects(call, {
    code: "timeout",
    message: `${parts.engine.url}/tokenize: no answer within 700 ms; raise the time-out or check the engine's load`,
  });
  while (parts.engine.asked.length === 0) await settled();
  await clock.advance(700);
  await refused;
  await parts.engine.whenDisconnected;
});

test("an abort ends the call with the signal's reason", limit, async () => {
  await using parts = await bench(() => {});
  const controller = new AbortController();
  const call = parts.tokenizer.tokenize({ prompt: "Hi" }, { signal: controller.signal });
  while (parts.engine.asked.length === 0) await settled();
  const reason = new Error("hung up");
  controller.abort(reason);
  await assert.rejects(call, (error) => error === reason);
  await parts.engine.whenDisconnected;
});

test("disposing ends what is under way and what comes later", limit, async () => {
  await using parts = await bench(() => {});
  const call = parts.tokenizer.tokenize({ prompt: "Hi" });
  const refused = assert.rejects(call, { code: "closed" });
  while (parts.engine.asked.length === 0) await settled();
  await parts.tokenizer[Symbol.asyncDispose]();
  await refused;
  await assert.rejects(parts.tokenizer.tokenize({ prompt: "Hi" }), { code: "closed" });
});

test("nobody there is an error that names where", limit, async () => {
  const engine = await engineServer(hi);
  await engine[Symbol.asyncDispose]();
  await using tokenizer = remoteTokenizer({ endpoint: engine.url, retryMinMs: 0 });
  await assert.rejects(tokenizer.tokenize({ prompt: "Hi" }), {
    code: "unreachable",
    message: new RegExp(`^${engine.url}/tokenize: .*ECONNREFUSED.*; check that an engine listens there$`),
  });
});

test("an answer without an end is given up at its bound", limit, async () => {
  await using parts = await bench(
    (response) => {
      const more = (): void => {
        while (response.write("0,".repeat(4_096)));
        response.once("drain", more);
      };
      more();
    },
    { maxAnswerBytes: 65_536 },
  );
  await assert.rejects(parts.tokenizer.tokenize({ prompt: "Hi" }), {
    code: "answer-too-large",
    message: /65536; raise/,
  });
  await parts.engine.whenDisconnected;
});

for (const [name, body, problem] of [
  ["an array", [1], /is no JSON object/],
  ["no tokens", { count: 0 }, /has no array of tokens/],
  ["tokens that are none", { tokens: [1, -1] }, /has as token 1 what is no token id: -1/],
  ["a token above 32 bits", { tokens: [2 ** 32] }, /token 0/],
  ["another count", { tokens: [1], count: 2 }, /has 1 tokens and another count: 2/],
] as const) {
  test(`an answer of ${name} is refused with its URL`, limit, async () => {
    await using parts = await bench((response) => json(response, body));
    await assert.rejects(parts.tokenizer.tokenize({ prompt: "Hi" }), { code: "invalid-answer", message: problem });
  });
}

test("an answer that is no JSON is refused and quoted", limit, async () => {
  await using parts = await bench((response) => response.end("<html>"));
  await assert.rejects(parts.tokenizer.detokenize([1]), { code: "invalid-answer", message: /is no JSON: "<html>"/ });
});

test("a check asks for the engine's health", limit, async () => {
  await using parts = await bench((response, _asked, count) => response.writeHead(count === 1 ? 200 : 500).end());
  await parts.tokenizer.check();
  assert.equal(`${parts.engine.asked[0]?.method} ${parts.engine.asked[0]?.path}`, "GET /health");
  await assert.rejects(parts.tokenizer.check(), { code: "http-status", message: /\/health: status 500;/ });
});

test("headers go with each request, and credentials of a URL into no message", limit, async () => {
  await using engine = await engineServer((response) => json(response, {}, 401));
  const endpoint = engine.url.replace("http://", "http://user:secret@");
  await using tokenizer = remoteTokenizer({ endpoint, headers: { authorization: "Bearer key" } });
  await assert.rejects(tokenizer.tokenize({ prompt: "Hi" }), ({ message }: Error) => !message.includes("secret"));
  assert.equal(engine.asked[0]?.headers.authorization, "Bearer key");
});

test("an endpoint that is no HTTP URL is refused", () => {
  for (const endpoint of ["", "localhost:8000", "tcp://a:1", "http://"]) {
    assert.throws(() => remoteTokenizer({ endpoint }), { code: "invalid-option" });
  }
});

test("Retry-After is seconds or a date", () => {
  const now = Date.parse("Wed, 21 Oct 2015 07:28:00 GMT");
  assert.equal(readRetryAfter("3", now), 3_000);
  assert.equal(readRetryAfter("Wed, 21 Oct 2015 07:28:05 GMT", now), 5_000);
  assert.equal(readRetryAfter("Wed, 21 Oct 2015 07:27:00 GMT", now), 0);
  for (const nothing of [undefined, "", "-1", "1.5", "soon"]) assert.equal(readRetryAfter(nothing, now), null);
});
