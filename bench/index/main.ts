/**
 * `npm run bench:index [-- --trace FILE] [--pods 128] [--blocks 1000000] [--shape steps|blocks] [--rounds 5]
 * [--peers aibrix,llm-d,dynamo] [--churn-blocks 10000000] [--churn-seconds 60] [--quick] [--plot FILE] [--json]`: what one
 * thread takes in of messages as engines send them, and how soon it answers, beside the same written with Maps (`naive.ts`)
 * and the indexers of others (`../peers/`). All answers are checked against what the generator of the messages knows.
 * `--pods` and `--blocks` may be lists: a table for each combination; the summary is of that with 128 pods, or the first.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readTrace } from "../routing/trace.ts";
import { node } from "../transport/processes.ts";
import { median, rounded } from "../transport/statistics.ts";
import { type ChurnReport, churn, pauseSummary, pauseText } from "./churn.ts";
import { Arena, contendersOf, type Reading } from "./contenders.ts";
import { decodeRate } from "./measures.ts";
import { buildPeers, PEER_NAMES, type PeerName } from "./peers.ts";
import { plotOf } from "./plot.ts";
import { type Line, lineOf, ratios, tableOf } from "./report.ts";
import { makeWorkload, SHAPES, type Workload } from "./workload.ts";

const { values } = parseArgs({
  options: {
    trace: {
      type: "string",
      default: fileURLToPath(new URL("../../../shared/traces/conversation_trace.jsonl", import.meta.url)),
    },
    pods: { type: "string", default: "128" },
    blocks: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "5" },
    shape: { type: "string", default: SHAPES[0] },
    peers: { type: "string", default: PEER_NAMES.join(",") },
    "churn-blocks": { type: "string", default: "10000000" },
    "churn-seconds": { type: "string", default: "60" },
    quick: { type: "boolean", default: false },
    plot: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const rounds = values.quick ? 1 : Number(values.rounds);
const podCounts = values.pods.split(",").map(Number);
const blockCounts = values.quick ? [100_000] : values.blocks.split(",").map(Number);
const wanted = values.peers.split(",").filter((name) => name !== "");
const unknown = wanted.find((name) => !(PEER_NAMES as readonly string[]).includes(name));
if (unknown !== undefined) throw new Error(`--peers "${unknown}" is no peer; give some of ${PEER_NAMES.join(",")}`);
const shape = SHAPES.find((name) => name === values.shape);
if (shape === undefined) throw new Error(`--shape "${values.shape}" is none; give one of ${SHAPES.join(",")}`);
const say = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

/** Batches of one block, the hardest to decode. */
const DECODED = 20_000;

/** The fleet that the summary is about. */
const SUMMARY_PODS = 128;

say("reading the trace");
const requests = await readTrace(values.trace, 6_000);
say("building the peers");
const programs = buildPeers(wanted as PeerName[]);

// What is measured in this process comes first, before the messages fill its heap.
say("decoding");
const decoding = decodeRate(makeWorkload(requests, SUMMARY_PODS, DECODED, 0, "blocks"), Math.max(3, rounds));
say("a prefix on 1,000 pods");
const hot = { ours: await hotPrefix("ours"), naive: await hotPrefix("naive") };
say(`churn over ${values["churn-blocks"]} blocks`);
const pause = values.quick ? null : await churn(Number(values["churn-blocks"]), Number(values["churn-seconds"]));
const summaryPods = podCounts.includes(SUMMARY_PODS) ? SUMMARY_PODS : podCounts[0]!;
let lines: readonly Line[] = [];
for (const pods of podCounts) {
  for (const [at, blocks] of blockCounts.entries()) {
    say("making messages");
    const workload = makeWorkload(requests, pods, blocks, 500, shape);
    const found = await measureRounds(workload, blocks);
    if (pods === summaryPods && at === 0) lines = found;
    say("");
    if (!values.json) console.log(tableOf(found, workload));
  }
}
if (values.plot !== undefined) writeFileSync(values.plot, plotOf(lines));
if (!values.json) printOthers();
console.log(JSON.stringify(summary(pause)));

/** Microseconds, the median of some processes. */
async function hotPrefix(kind: "ours" | "naive"): Promise<number> {
  const readings: number[] = [];
  for (let round = 0; round < Math.max(3, rounds); round++) {
    const program = node("../index/hot-prefix.ts", [kind], ["--expose-gc"]);
    try {
      readings.push(Number(await program.line()));
    } finally {
      await program.stop();
    }
  }
  return median(readings);
}

/** All contenders in each round, one after the other. One that fails is left out from then on, and named. */
async function measureRounds(workload: Workload, blocks: number): Promise<Line[]> {
  const runs = contendersOf(programs, blocks).map((contender) => ({ contender, readings: [] as Reading[] }));
  using arena = new Arena(workload, new Set(runs.map(({ contender }) => contender.file)));
  const failed = new Set<unknown>();
  for (let round = 0; round < rounds; round++) {
    for (const { contender, readings } of runs) {
      if (failed.has(contender)) continue;
      const { name, given } = contender;
      const what = `${name}, given ${given}, ${workload.pods.length} pods, ${blocks} blocks`;
      say(`round ${round + 1} of ${rounds}: ${what}`);
      try {
        readings.push(await arena.run(contender));
      } catch (error) {
        failed.add(contender);
        process.stderr.write(`left out: ${what}: ${error}\n`);
      }
    }
  }
  const complete = runs.filter(({ contender }) => !failed.has(contender));
  return complete.map(({ contender, readings }) => lineOf(contender, workload, readings));
}

function against(name: string): ReturnType<typeof ratios> {
  const rival = lines.find((line) => line.name === name || line.name === `${name}, one processor`);
  return ratios(ours(rival?.given), rival);
}

function ours(given: string | undefined): Line | undefined {
  return lines.find((line) => line.name === "ours" && line.given === given);
}

function summary(report: ChurnReport | null): Readonly<Record<string, number | null>> {
  const [aibrix, llmd, dynamo] = [against("aibrix"), against("llm-d"), against("dynamo")];
  return {
    ingest_vs_naive: against("naive").ingest,
    ingest_vs_aibrix: aibrix.ingest,
    ingest_vs_llmd: llmd.ingest,
    match_vs_aibrix: aibrix.match,
    match_vs_llmd: llmd.match,
    ingest_vs_dynamo: dynamo.ingest,
    match_vs_dynamo: dynamo.match,
    hot_prefix_vs_naive: rounded(hot.naive / hot.ours),
    decode_map1_vs_msgpack: rounded(decoding.ours / decoding.library),
    bytes_per_holder: rounded(report?.bytesPerHolder ?? ours("maps")?.bytesPerHolder ?? null),
    max_pause_ms: report === null ? null : rounded(report.maxPauseMs),
    ...(report === null ? {} : pauseSummary(report)),
  };
}

function printOthers(): void {
  console.log(
    `batches of one block as maps decoded: ${(decoding.ours / 1e6).toFixed(2)} M/s, by the library ${(decoding.library / 1e6).toFixed(2)} M/s`,
  );
  console.log(`512 blocks on 1,000 pods matched in ${hot.ours.toFixed(0)} µs, naive in ${hot.naive.toFixed(0)} µs`);
  if (pause !== null) console.log(pauseText(pause));
}
