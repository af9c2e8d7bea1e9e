/**
 * `npm run bench:gateway [-- --requests 400] [--json]`: what the gateway adds to a streaming request, beside a plain proxy
 * on undici that knows one engine and looks at nothing. The engine answers at once; client, proxies and engine are
 * processes of their own.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Agent, request } from "undici";
import { formatTable } from "../../src/cli/table.ts";
import { median, rounded } from "../transport/statistics.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "400" },
    rounds: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});
const REQUESTS = Number(values.requests);
const ROUNDS = Number(values.rounds);
/** Characters, and so tokens of the character tokenizer: a chat of some turns. */
const PROMPT = "What a user says in a turn of a conversation, and what was answered to it. ".repeat(110);
const BODY = JSON.stringify({ model: "m", prompt: PROMPT, stream: true, max_tokens: 8 });

/** Starts a server in a process of its own. */
async function start(role: string, upstream = ""): Promise<{ readonly url: string; readonly stop: () => void }> {
  const child = fork(fileURLToPath(new URL("server.ts", import.meta.url)), [role, upstream], {
    execArgv: ["--import", "tsx"],
  });
  const [url] = await once(child, "message");
  return { url, stop: () => child.kill() };
}

const agent = new Agent({ connections: 1, pipelining: 1 });

/** Milliseconds of each of so many requests, one after the other: to the first byte, and to the last. */
async function measure(url: string): Promise<{ readonly first: number; readonly last: number }> {
  const first: number[] = [];
  const last: number[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    const startedMs = performance.now();
    const { body } = await request(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: BODY,
      dispatcher: agent,
    });
    let firstMs: number | undefined;
    for await (const _ of body) firstMs ??= performance.now() - startedMs;
    first.push(firstMs ?? Number.NaN);
    last.push(performance.now() - startedMs);
  }
  return { first: median(first), last: median(last) };
}

const engine = await start("engine");
const plain = await start("plain", engine.url);
const gateway = await start("gateway", engine.url);
try {
  const targets = { direct: engine.url, plain: plain.url, gateway: gateway.url };
  const rounds: Record<keyof typeof targets, { first: number[]; last: number[] }> = {
    direct: { first: [], last: [] },
    plain: { first: [], last: [] },
    gateway: { first: [], last: [] },
  };
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, url] of Object.entries(targets) as [keyof typeof targets, string][]) {
      const { first, last } = await measure(url);
      if (round < 0) continue;
      rounds[name].first.push(first);
      rounds[name].last.push(last);
    }
  }
  const p50 = (name: keyof typeof targets, end: "first" | "last"): number => median(rounds[name][end]);
  const summary = {
    gateway_overhead_ms: rounded(p50("gateway", "first") - p50("direct", "first"), 3),
    plain_overhead_ms: rounded(p50("plain", "first") - p50("direct", "first"), 3),
    gateway_vs_plain: rounded(p50("gateway", "first") / p50("plain", "first"), 3),
  };
  if (!values.json) {
    const rows = (Object.keys(targets) as (keyof typeof targets)[]).map((name) => [
      name,
      `${p50(name, "first").toFixed(3)} ms`,
      `${p50(name, "last").toFixed(3)} ms`,
    ]);
    console.log(formatTable([["", "FIRST BYTE p50", "LAST BYTE p50"], ...rows]));
    console.log(`${REQUESTS} requests of ${PROMPT.length} tokens, ${ROUNDS} rounds, one at a time`);
  }
  console.log(JSON.stringify(summary));
} finally {
  for (const server of [gateway, plain, engine]) server.stop();
  await agent.destroy();
}
