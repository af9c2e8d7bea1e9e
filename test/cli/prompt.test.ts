import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { run } from "./support.ts";

const limit = { timeout: 60_000 };

test(
  "a prompt that an engine has answered is found again by its text, in the engine's own tokens",
  limit,
  async (t) => {
    const rates = ["--prefill-tokens-per-second", "1e9", "--decode-tokens-per-second", "1e9"];
    const simulation = run(t, [
      "simulate",
      "--engines",
      "2",
      "--port",
      "0",
      "--http-port",
      "0",
      "--model",
      "m",
      ...rates,
    ]);
    const engines = [await simulation.line(), await simulation.line()].map((line) => JSON.parse(line));
    const flags = engines.flatMap(({ endpoint, replayEndpoint }) => [
      ...["--endpoint", endpoint, "--replay-endpoint", replayEndpoint],
    ]);
    const tokenizer = ["--tokenizer-endpoint", engines[0].url];
    const daemon = run(t, ["serve", "--port", "0", "--model", "m", ...flags, ...tokenizer]);
    const { url } = JSON.parse(await daemon.errorLine(/listening on/));
    const prompt = "You are a helpful assistant. Where is my cache?";
    const client = new OpenAI({ apiKey: "none", baseURL: `${engines[1].url}/v1` });
    await client.completions.create({ model: "m", prompt, max_tokens: 1 });

    const ask = async () => {
      const flags = ["--url", url, "--model", "m", "--prompt", prompt];
      const { code, lines, stderr } = await run(t, ["query", ...flags]).end();
      assert.deepEqual([code, stderr], [0, ""]);
      return JSON.parse(lines[0]!);
    };
    let answer = await ask();
    // The event may be on its way.
    while (Object.keys(answer.instances).length === 0) answer = await ask();
    assert.deepEqual(answer.tokenized, { by: `remote ${engines[0].url}`, tokens: prompt.length });
    const [[instance, { longest_matched: matched }]] = Object.entries<{ longest_matched: number }>(
      answer.instances,
    ) as [[string, { longest_matched: number }]];
    assert.ok(engines[1].endpoint.endsWith(instance.split(":").at(-1)!), instance);
    assert.equal(matched, 32);
  },
);

for (const [name, flags] of [
  ["neither a prompt nor tokens", []],
  ["both", ["--prompt", "a", "--tokens-file", "-"]],
] as const) {
  test(`query with ${name} is refused`, limit, async (t) => {
    const { code, stderr } = await run(t, ["query", "--model", "m", ...flags]).end();
    assert.equal(code, 1);
    assert.match(stderr, /query takes --tokens-file or --prompt: give one of them/);
  });
}
