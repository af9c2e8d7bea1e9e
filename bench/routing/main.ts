/**
 * `npm run bench:routing -- [--trace FILE] [--engines 8] [--capacity-blocks 15000] [--block-size 64] [--strategy NAME]
 * [--requests N] [--json]`: replays a production trace against simulated engines in virtual time, under each strategy, and
 * beside two bounds: an oracle that sees the engines' pools and queues, and one infinite cache.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatTable } from "../../src/cli/table.ts";
import { STRATEGY_NAMES, type StrategyName } from "../../src/routing/strategy.ts";
import { Fleet, type FleetOptions, type FleetResult } from "./fleet.ts";
import { plotOf } from "./plot.ts";
import { routeP99 } from "./route-time.ts";
import { readTrace } from "./trace.ts";

const { values } = parseArgs({
  options: {
    trace: {
      type: "string",
      default: fileURLToPath(new URL("../../../shared/traces/conversation_trace.jsonl", import.meta.url)),
    },
    engines: { type: "string", default: "8" },
    "capacity-blocks": { type: "string", default: "15000" },
    "block-size": { type: "string", default: "64" },
    "event-delay-ms": { type: "string", default: "5" },
    "prefill-ms-per-token": { type: "string" },
    "running-ms": { type: "string" },
    strategy: { type: "string", multiple: true },
    requests: { type: "string", default: "Infinity" },
    json: { type: "boolean", default: false },
    plot: { type: "string" },
  },
});

const strategies = (values.strategy ?? STRATEGY_NAMES) as readonly StrategyName[];
for (const name of strategies) {
  if (!STRATEGY_NAMES.includes(name)) throw new Error(`--strategy is ${name}; use ${STRATEGY_NAMES.join(", ")}`);
}
const cost = {
  ...(values["prefill-ms-per-token"] !== undefined && { prefillMsPerToken: Number(values["prefill-ms-per-token"]) }),
  ...(values["running-ms"] !== undefined && { runningMs: Number(values["running-ms"]) }),
};
const common = {
  engines: Number(values.engines),
  blockSize: Number(values["block-size"]),
  capacityBlocks: Number(values["capacity-blocks"]),
  eventDelayMs: Number(values["event-delay-ms"]),
  routing: { cost },
};
const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

const requests = await readTrace(values.trace, Number(values.requests));
const promptTokens = requests.reduce((sum, { tokens }) => sum + tokens.length, 0);
const infinite = requests.reduce((sum, { seenTokens }) => sum + seenTokens, 0) / promptTokens;

/** One line of the table. */
export interface Row {
  readonly name: string;
  readonly result: FleetResult;
}

function run(name: string, more: Pick<FleetOptions, "strategy" | "isOracle">): Row {
  const onProgress = (done: number): void => progress(`${name}: ${done} of ${requests.length} requests`);
  return { name, result: new Fleet({ ...common, ...more, onProgress }).run(requests) };
}

const rows = strategies.map((strategy) => run(strategy, { strategy, isOracle: false }));
// Ours: what answers soonest of those that look at the prefix.
const aware = rows.filter(({ name }) => name === "prefix-cache" || name === "cost-aware");
const best = aware.sort((left, right) => at(left.result, 0.9) - at(right.result, 0.9))[0];
const oracle =
  best === undefined ? undefined : run(`${best.name}, oracle`, { strategy: best.name as StrategyName, isOracle: true });
const roundRobin = rows.find(({ name }) => name === "round-robin");
progress("");
const summary = {
  hit_ratio_vs_oracle: ratio(best?.result.hitRate, oracle?.result.hitRate),
  ttft_p90_vs_round_robin: ratio(roundRobin && at(roundRobin.result, 0.9), best && at(best.result, 0.9)),
  wrong_promises: best?.result.wrongPromises ?? null,
  route_p99_ms: Number(routeP99(common, requests).toFixed(3)),
};
const all = [
  ...rows.sort((left, right) => at(right.result, 0.9) - at(left.result, 0.9)),
  ...(oracle === undefined ? [] : [oracle]),
];
if (values.plot !== undefined) writeFileSync(values.plot, plotOf(all));
if (values.json) console.log(JSON.stringify(summary));
else {
  console.log(
    formatTable([["STRATEGY", "HIT RATE", "TTFT p50", "p90", "p99", "BUSIEST", "WRONG", "PROMISED"], ...all.map(line)]),
  );
  console.log(
    `one infinite cache: hit rate ${percent(infinite)}; ${requests.length} requests, ${promptTokens} prompt tokens`,
  );
  console.log(JSON.stringify(summary));
}

function line({ name, result }: Row): string[] {
  const { hitRate, loadSpread, wrongPromises, promises } = result;
  const times = [0.5, 0.9, 0.99].map((share) => `${(at(result, share) / 1_000).toFixed(2)} s`);
  return [name, percent(hitRate), ...times, `${loadSpread.toFixed(2)} ×`, String(wrongPromises), String(promises)];
}

function at({ ttftMs }: FleetResult, share: number): number {
  return ttftMs[Math.min(ttftMs.length - 1, Math.floor(share * ttftMs.length))]!;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function ratio(numerator: number | undefined, denominator: number | undefined): number | null {
  return numerator === undefined || denominator === undefined ? null : Number((numerator / denominator).toFixed(3));
}
