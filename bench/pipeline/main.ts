/**
 * `npm run bench:pipeline [-- --trace FILE] [--pods 128] [--blocks 1000000] [--rounds 5] [--quick] [--json]`: from bytes
 * on a socket to the index, beside npm `zeromq`, `@msgpack/msgpack` and Maps on the same bytes; and how soon questions are
 * answered while 1,000 pods publish. Every receiver is a process of its own, and has to hold at the end what the
 * publishers do.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatTable } from "../../src/cli/table.ts";
import { readTrace } from "../routing/trace.ts";
import { isInstalled } from "../transport/peers.ts";
import { interleaved, middle, ratio } from "../transport/rounds.ts";
import { rounded } from "../transport/statistics.ts";
import { makeBlast, measureBlast } from "./blast.ts";
import { type FleetReading, measureFleet } from "./fleet-run.ts";
import type { Reading } from "./receive.ts";

const { values } = parseArgs({
  options: {
    trace: {
      type: "string",
      default: fileURLToPath(new URL("../../../shared/traces/conversation_trace.jsonl", import.meta.url)),
    },
    pods: { type: "string", default: "128" },
    blocks: { type: "string", default: "2000000" },
    rounds: { type: "string", default: "5" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const rounds = values.quick ? 1 : Number(values.rounds);

/** A fleet at the pace of busy engines, and with 0 seconds at that of one thread that reads it. */
const FLEET_PODS = 1_000;
const STORED_PER_SECOND = 20;
const PACED_SECONDS = values.quick ? 4 : 20;
const PACED_QUESTIONS = 50;
const FULL_STORED = values.quick ? 400 : 1_500;
const FULL_QUESTIONS = 200;

const say = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

say("making messages");
const requests = await readTrace(values.trace, 6_000);
const blast = makeBlast(requests, Number(values.pods), values.quick ? 200_000 : Number(values.blocks));
const hasZeromq = isInstalled("zeromq");
if (!hasZeromq) process.stderr.write("skipped: npm zeromq: it is not installed\n");
const readings = await interleaved<"ours" | "naive", Reading>(
  rounds,
  { ours: () => measureBlast("ours", blast), naive: hasZeromq ? () => measureBlast("naive", blast) : null },
  (name, round) => say(`pipeline, round ${round + 1} of ${rounds}: ${name}`),
);
say(`${FLEET_PODS} pods, paced`);
const paced = await measureFleet(FLEET_PODS, STORED_PER_SECOND * PACED_SECONDS, PACED_SECONDS, PACED_QUESTIONS);
say(`${FLEET_PODS} pods, as fast as they are read`);
const full = await measureFleet(FLEET_PODS, FULL_STORED, 0, FULL_QUESTIONS);
say("");

const blocksPerSecond = ({ seconds }: Reading): number => blast.blocks / seconds;
const cpuUs = ({ cpuSeconds }: Reading): number => (1e6 * cpuSeconds) / blast.blocks;
const fleet = ({ blocksPerSecond: rate, load, latency }: FleetReading) => ({
  rate_blocks_per_s: rounded(rate, 0),
  load: rounded(load),
  questions: latency.count,
  query_p50_us: rounded(latency.p50, 0),
  query_p99_us: rounded(latency.p99, 0),
  query_max_us: rounded(latency.max, 0),
});
const summary = {
  pipeline_vs_naive: rounded(ratio(readings.ours, readings.naive, blocksPerSecond)),
  ours_blocks_per_s: rounded(middle(readings.ours, blocksPerSecond), 0),
  naive_blocks_per_s: rounded(middle(readings.naive, blocksPerSecond), 0),
  ours_cpu_us_per_block: rounded(middle(readings.ours, cpuUs)),
  naive_cpu_us_per_block: rounded(middle(readings.naive, cpuUs)),
  pods_1000: fleet(paced),
  pods_1000_full: fleet(full),
};
if (!values.json) {
  const row = (name: "ours" | "naive"): string[] => [
    name,
    String(summary[`${name}_blocks_per_s`] ?? "–"),
    `${summary[`${name}_cpu_us_per_block`] ?? "–"} µs`,
  ];
  console.log(formatTable([["", "BLOCKS/S", "CPU A BLOCK"], row("ours"), row("naive")]));
  const ask = (name: string, { rate_blocks_per_s, load, ...each }: ReturnType<typeof fleet>): string[] => [
    name,
    String(rate_blocks_per_s),
    `${Math.round(100 * load)} %`,
    ...[each.query_p50_us, each.query_p99_us, each.query_max_us].map((us) => `${us} µs`),
  ];
  const head = [`${FLEET_PODS} PODS`, "BLOCKS/S", "CORE", "QUERY P50", "P99", "MAX"];
  console.log(
    formatTable([head, ask("paced", summary.pods_1000), ask("as fast as they are read", summary.pods_1000_full)]),
  );
  console.log(
    `${blast.messages} messages with ${blast.blocks} blocks, stored or removed, of ${values.pods} pods, after ${blast.firstMessages} others; ${blast.heldPairs} held at the end`,
  );
}
console.log(JSON.stringify(summary));
