import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { until } from "../interop/support/until.ts";
import { run } from "./support.ts";

const limit = { timeout: 120_000 };
const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Where is my cache? ".repeat(20) }];
const RATES = ["--prefill-tokens-per-second", "1e7", "--decode-tokens-per-second", "200"];

interface Match {
  readonly pod: string;
  readonly matched_tokens: number;
}

test("two engines behind one gateway, asked by OpenAI's own client", limit, async (context) => {
  const simulations = [0, 1].map(() =>
    run(context, ["simulate", "--engines", "1", "--port", "0", "--http-port", "0", "--model", "m", ...RATES]),
  );
  const engines = await Promise.all(simulations.map(async (simulation) => JSON.parse(await simulation.line())));
  const flags = engines.flatMap(({ endpoint, replayEndpoint, url: http }) => [
    ...["--endpoint", endpoint, "--replay-endpoint", replayEndpoint, "--http-url", http],
  ]);
  const gateway = run(context, [
    "gateway",
    ...["--model", "m", "--tokenizer-type", "character", "--port", "0", "--gateway-port", "0", ...flags],
  ]);
  const api = JSON.parse(await gateway.errorLine(/"listening on/)).url;
  const { url } = JSON.parse(await gateway.errorLine(/"gateway on/));
  await gateway.errorLine(/are followed/);
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });

  const score = async (): Promise<readonly Match[]> => {
    const response = await fetch(`${api}/score`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model_name: "m", messages }),
    });
    return ((await response.json()) as { readonly candidates: readonly Match[] }).candidates;
  };
  const chat = { model: "m", messages, max_tokens: 5 };
  const first = await client.chat.completions.create(chat).withResponse();
  const served = first.response.headers.get("target-pod");
  assert.ok(engines.some(({ endpoint }) => endpoint.endsWith(served ?? "?")));
  // Long after what was believed of the pod has come true.
  await until("the engine's events", score, ([best]) => best?.pod === served && best.matched_tokens > 0);
  for (let i = 0; i < 5; i++) {
    const { data, response } = await client.chat.completions.create(chat).withResponse();
    assert.equal(response.headers.get("target-pod"), served);
    assert.ok((data.usage?.prompt_tokens_details?.cached_tokens ?? 0) > 0);
  }

  const stream = await client.chat.completions.create({ ...chat, stream: true });
  let text = "";
  for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
  assert.equal(text.length, 5);

  const long = await client.chat.completions.create({ ...chat, max_tokens: 15_000, stream: true });
  for await (const _ of long) break;
  long.controller.abort();
  const running = async (): Promise<number> => {
    const texts = await Promise.all(engines.map(async ({ url: http }) => (await fetch(`${http}/metrics`)).text()));
    const counts = texts.map((each) => Number(/vllm:num_requests_running\{[^}]*\} (\d+)/.exec(each)?.[1]));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  await until("no request runs after the abort", running, (count) => count === 0);

  assert.deepEqual(
    (await client.models.list()).data.map(({ id }) => id),
    ["m"],
  );
  await assert.rejects(client.chat.completions.create({ ...chat, model: "x" }), { status: 404 });
  gateway.child.kill("SIGTERM");
  assert.equal((await gateway.end()).code, 0);
});

test("flags that cannot be meant are refused with the remedy", limit, async (context) => {
  const refusals = [
    [["--tls-cert", "x.pem"], /TLS takes both: --tls-cert and --tls-key/],
    [["--adapter", "sql"], /--adapter is "sql": use name=model/],
    [["--head-timeout", "soon"], /--head-timeout is "soon": use a duration/],
    [["--max-attempts", "0"], /maxAttempts is 0; use a whole number from 1/],
  ] as const;
  for (const [flags, message] of refusals) {
    const { code, stderr } = await run(context, ["gateway", "--port", "0", "--gateway-port", "0", ...flags]).end();
    assert.equal(code, 1);
    assert.match(stderr, message);
  }
});
