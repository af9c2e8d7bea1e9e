import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { localTokenizer } from "../../src/tokenizer/local.ts";
import { type LocalPackages, loadLocalEngine } from "../../src/tokenizer/local-engine.ts";
import type { ChatMessage } from "../../src/tokenizer/tokenizer.ts";
import { virtualClock } from "../support/virtual-clock.ts";

interface Cases {
  readonly texts: readonly { readonly text: string; readonly ids: number[]; readonly plainIds: number[] }[];
  readonly chats: readonly {
    readonly messages: readonly ChatMessage[];
    readonly tools?: readonly unknown[];
    readonly add_generation_prompt: boolean;
    readonly calm?: boolean;
    readonly ids: number[];
  }[];
}

const limit = { timeout: 60_000 };
const path = fileURLToPath(new URL("../fixtures/tokenizer", import.meta.url));
/** What Python made of them (`make-tokenizer.py`). */
const { texts, chats }: Cases = JSON.parse(await readFile(join(path, "cases.json"), "utf8"));
/** A template that would be rendered for hours. */
const ENDLESS = "{% for a in range(1000000) %}{% for b in range(1000000) %}{% endfor %}{% endfor %}";
const messages = [{ role: "user", content: "Where is it?" }];

async function modelFolder(): Promise<{ readonly folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
  await cp(path, folder, { recursive: true });
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

test("texts have the tokens that Python's tokenizers gives them, with and without special tokens", limit, async () => {
  await using tokenizer = localTokenizer({ path });
  for (const { text: prompt, ids, plainIds } of texts) {
    const { tokens, servedBy } = await tokenizer.tokenize({ prompt });
    assert.deepEqual([[...tokens], servedBy], [ids, `local ${path}`], JSON.stringify(prompt));
    const plain = await tokenizer.tokenize({ prompt, addSpecialTokens: false });
    assert.deepEqual([...plain.tokens], plainIds);
  }
});

test("chats have the tokens that Python gives them, with tools and variables of the template", limit, async () => {
  await using tokenizer = localTokenizer({ path });
  for (const { messages, tools, add_generation_prompt: addGenerationPrompt, calm, ids } of chats) {
    const { tokens } = await tokenizer.tokenize({
      ...{ messages, addGenerationPrompt },
      ...(tools !== undefined && { tools }),
      ...(calm !== undefined && { chatTemplateKwargs: { calm } }),
    });
    assert.deepEqual([...tokens], ids);
  }
});

test("tokens become the text that they came from, special ones included", limit, async () => {
  await using tokenizer = localTokenizer({ path });
  for (const { text, ids, plainIds } of texts) {
    assert.equal(await tokenizer.detokenize(ids), `<s>${text}`);
    assert.equal(await tokenizer.detokenize(plainIds), text);
  }
});

test("a message that is to be continued ends the text", limit, async () => {
  const engine = await loadLocalEngine(path);
  const textOf = async (content: string): Promise<string> => {
    const chat = { messages: [...messages, { role: "assistant", content }], continueFinalMessage: true };
    return engine.detokenize([...(await engine.tokenize(chat))]);
  };
  assert.equal(await textOf("It is "), "<s><|user|>Where is it?</s><|assistant|>It is ");
});

test("a template of the prompt, and one of a file of its own, win over the configuration's", limit, async () => {
  await using model = await modelFolder();
  await writeFile(join(model.folder, "chat_template.jinja"), "file {{ messages[0].content }}");
  const engine = await loadLocalEngine(model.folder);
  const textOf = async (more: object): Promise<string> =>
    engine.detokenize([...(await engine.tokenize({ messages, ...more }))]);
  assert.equal(await textOf({}), "file Where is it?");
  assert.equal(await textOf({ chatTemplate: "given {{ messages[0].content }}" }), "given Where is it?");
});

test("parts of text are one text, and arguments of tools are objects, as vLLM prepares them", limit, async () => {
  const engine = await loadLocalEngine(path);
  const chatTemplate = "{{ messages[0].content }}|{{ messages[0].tool_calls[0].function.arguments.city }}";
  const content = [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ];
  const call = { type: "function", function: { name: "f", arguments: '{"city":"Bonn"}' } };
  const chat = { messages: [{ role: "assistant", content, tool_calls: [call] }], chatTemplate };
  assert.equal(engine.detokenize([...(await engine.tokenize(chat))]), "a\nb|Bonn");
});

for (const [name, prompt, problem] of [
  ["a template that is none", { messages, chatTemplate: "{% if %}" }, /^the chat template cannot be used/],
  ["a template that refuses", { messages, chatTemplate: "{{ raise_exception('odd roles') }}" }, /odd roles; correct/],
  ["a picture", { messages: [{ role: "user", content: [{ type: "image_url" }] }] }, /only its engine knows/],
  ["a chat that ends both ways", { messages, continueFinalMessage: true, addGenerationPrompt: true }, /choose one/],
] as const) {
  test(`${name} is the prompt's error, and the next prompt is served`, limit, async () => {
    await using tokenizer = localTokenizer({ path });
    await assert.rejects(tokenizer.tokenize(prompt), { code: "invalid-prompt", message: problem });
    assert.ok((await tokenizer.tokenize({ messages })).tokens.length > 0);
  });
}

test("a template without an end costs its own prompt alone", limit, async () => {
  await using tokenizer = localTokenizer({ path, timeoutMs: 500, loadTimeoutMs: 40_000 });
  await tokenizer.check();
  const endless = tokenizer.tokenize({ messages, chatTemplate: ENDLESS });
  const next = tokenizer.tokenize({ messages });
  await assert.rejects(endless, { code: "timeout", message: /took longer than 500 ms; shorten the prompt/ });
  assert.ok((await next).tokens.length > 0);
});

test("what waits is bounded, and an abort leaves the queue", limit, async () => {
  const clock = virtualClock();
  const tokenizer = localTokenizer({ path, maxQueued: 1, clock });
  const endless = tokenizer.tokenize({ messages, chatTemplate: ENDLESS });
  const closed = assert.rejects(endless, { code: "closed" });
  const controller = new AbortController();
  const waiting = assert.rejects(tokenizer.tokenize({ messages }, { signal: controller.signal }), /gone/);
  await assert.rejects(tokenizer.tokenize({ messages }), {
    code: "busy",
    message: /1 prompts wait already/,
  });
  controller.abort(new Error("gone"));
  await waiting;
  const later = assert.rejects(tokenizer.tokenize({ messages }), { code: "closed" });
  await tokenizer[Symbol.asyncDispose]();
  await Promise.all([closed, later]);
  await assert.rejects(tokenizer.tokenize({ messages }), { code: "closed" });
  assert.equal(clock.pending, 0);
});

test("a folder without a tokenizer is an error that names the file, until there is one", limit, async () => {
  await using model = await modelFolder();
  const file = join(model.folder, "tokenizer.json");
  const content = await readFile(file);
  await rm(file);
  await using tokenizer = localTokenizer({ path: model.folder });
  await assert.rejects(tokenizer.check(), {
    code: "invalid-file",
    message: /tokenizer\.json: ENOENT.*give the folder/,
  });
  await writeFile(file, "{}");
  await assert.rejects(tokenizer.check(), { code: "invalid-file", message: /give a tokenizer\.json that/ });
  await writeFile(file, content);
  await tokenizer.check();
});

test("a model without a chat template takes text alone", limit, async () => {
  await using model = await modelFolder();
  await writeFile(join(model.folder, "tokenizer_config.json"), "{}");
  const engine = await loadLocalEngine(model.folder);
  await assert.rejects(engine.tokenize({ messages }), { code: "invalid-prompt", message: /has no chat template/ });
  assert.ok((await engine.tokenize({ prompt: "a" })).length > 0);
});

test("a package that is not installed is named", limit, async () => {
  const missing = async () => {
    throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  };
  const given: LocalPackages = {
    tokenizers: () => import("@huggingface/tokenizers"),
    jinja: () => import("@huggingface/jinja"),
  };
  await assert.rejects(loadLocalEngine(path, { ...given, tokenizers: missing }), {
    code: "missing-package",
    message: "local tokenizer: @huggingface/tokenizers is not installed; npm install @huggingface/tokenizers",
  });
  const engine = await loadLocalEngine(path, { ...given, jinja: missing });
  assert.ok((await engine.tokenize({ prompt: "a" })).length > 0);
  await assert.rejects(engine.tokenize({ messages }), { code: "missing-package", message: /npm install @hugg.*jinja/ });
});
