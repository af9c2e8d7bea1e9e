/**
 * `npm run bench:index [-- --trace FILE] [--pods 128] [--blocks 1000000] [--shape steps|blocks] [--rounds 5]
 * [--peers aibrix,llm-d,dynamo] [--churn-blocks 10000000] [--churn-seconds 60] [--quick] [--plot FILE] [--json]`: what one thread takes in of messages as
 * engines send them, and how soon it answers, beside the same written with Maps (`naive.ts`) and the indexers of others
 * (`../peers/`). All answers are checked against what the generator of the messages knows.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import xxhash from "xxhash-wasm";
import { readTrace } from "../routing/trace.ts";
import { median, rounded } from "../transport/statistics.ts";
import { type ChurnReport, churn, pauseSummary, pauseText } from "./churn.ts";
import { hotPrefix } from "./hot-prefix.ts";
import { decodedEvents, decodeRate, type Measured, naive, type OursMeasured, ours, oursDecoded } from "./measures.ts";
import { findPeers, PEER_NAMES, type PeerName, type PeerReading } from "./peers.ts";
import { plotOf } from "./plot.ts";
import { type Line, lineOf, peerLine, ratios, tableOf } from "./report.ts";
import { makeWorkload, SHAPES, type Workload } from "./workload.ts";
import { asArrays } from "./workload-file.ts";

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
const pairs = values.quick ? 100_000 : Number(values.blocks);
const wanted = values.peers.split(",").filter((name) => name !== "");
const unknown = wanted.find((name) => !(PEER_NAMES as readonly string[]).includes(name));
if (unknown !== undefined) throw new Error(`--peers "${unknown}" is no peer; give some of ${PEER_NAMES.join(",")}`);
const shape = SHAPES.find((name) => name === values.shape);
if (shape === undefined) throw new Error(`--shape "${values.shape}" is none; give one of ${SHAPES.join(",")}`);
const say = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

/** Go programs run on one processor and on two; Dynamo's tree has one thread. */
const PROCS: Readonly<Record<PeerName, readonly number[]>> = { aibrix: [1, 2], "llm-d": [1, 2], dynamo: [1] };

/** Batches of one block, the hardest to decode. */
const DECODED = 20_000;

say("reading the trace");
const requests = await readTrace(values.trace, 6_000);
say("making messages");
const workload = makeWorkload(requests, Number(values.pods), pairs, 500, shape);
const blocks = workload.storedBlocks + workload.removedBlocks;
const hash = await xxhash();
say("building the peers");
const peers = findPeers(wanted as PeerName[], workload);

const { lines, own, rival } = await measureRounds(workload).finally(() => peers.dispose());
say("decoding");
const decoding = decodeRate(makeWorkload(requests, Number(values.pods), DECODED, 0, "blocks"), Math.max(3, rounds));
say("a prefix on 1,000 pods");
const hot = hotPrefix(hash, Math.max(3, rounds));
say(`churn over ${values["churn-blocks"]} blocks`);
const pause = values.quick ? null : await churn(Number(values["churn-blocks"]), Number(values["churn-seconds"]));
say("");
if (values.plot !== undefined) writeFileSync(values.plot, plotOf(lines));
if (!values.json) printTable();
console.log(JSON.stringify(summary(pause)));

/** All contenders in each round, one after the other; every peer from nothing, in a process of its own. */
async function measureRounds(
  work: Workload,
): Promise<{ lines: readonly Line[]; own: readonly OursMeasured[]; rival: readonly Measured[] }> {
  const hasArrays = peers.names.some((name) => name !== "dynamo");
  const arrays = hasArrays ? work.messages.map(({ pod, payload }) => ({ pod, payload: asArrays(payload) })) : null;
  const decoded = peers.names.includes("dynamo") ? decodedEvents(work) : null;
  const runs = peers.names.flatMap((name) =>
    PROCS[name].map((procs) => ({ name, procs, readings: [] as PeerReading[] })),
  );
  const mine: OursMeasured[] = [];
  const mineArrays: OursMeasured[] = [];
  const mineDecoded: Pick<Measured, "ingest" | "wrong" | "match512Us">[] = [];
  const theirs: Measured[] = [];
  // The first one is for the compiler.
  for (let round = values.quick ? 0 : -1; round < rounds; round++) {
    say(`round ${round + 1} of ${rounds}`);
    mine.push(ours(work));
    theirs.push(naive(work, hash));
    if (arrays !== null) mineArrays.push(ours(work, arrays));
    if (decoded !== null) mineDecoded.push(oursDecoded(work, decoded));
    if (round < 0) for (const warm of [mine, mineArrays, mineDecoded, theirs]) warm.length = 0;
    else for (const { name, procs, readings } of runs) readings.push(await peers.run(name, procs));
  }
  const found = [
    lineOf("ours", "maps", blocks, mine),
    lineOf("naive", "maps", blocks, theirs),
    ...(arrays === null ? [] : [lineOf("ours", "arrays", blocks, mineArrays)]),
    ...(decoded === null ? [] : [lineOf("ours", "decoded events", blocks, mineDecoded)]),
    ...runs.map(({ name, procs, readings }) => peerLine(name, procs, blocks, readings)),
  ];
  const order = ["maps", "arrays", "decoded events"];
  found.sort((left, right) => order.indexOf(left.given) - order.indexOf(right.given));
  return { lines: found, own: mine, rival: theirs };
}

function against(name: string): ReturnType<typeof ratios> {
  const peer = lines.find((line) => line.name === name || line.name === `${name}, one processor`);
  return ratios(
    lines.find((line) => line.name === "ours" && line.given === peer?.given),
    peer,
  );
}

function summary(report: ChurnReport | null): Readonly<Record<string, number | null>> {
  const seconds = (readings: readonly Measured[]): number => median(readings.map(({ ingest }) => ingest.seconds));
  const [aibrix, llmd, dynamo] = [against("aibrix"), against("llm-d"), against("dynamo")];
  return {
    ingest_vs_naive: rounded(seconds(rival) / seconds(own)),
    ingest_vs_aibrix: aibrix.ingest,
    ingest_vs_llmd: llmd.ingest,
    match_vs_aibrix: aibrix.match,
    match_vs_llmd: llmd.match,
    ingest_vs_dynamo: dynamo.ingest,
    match_vs_dynamo: dynamo.match,
    hot_prefix_vs_naive: rounded(hot.naive / hot.ours),
    decode_map1_vs_msgpack: rounded(decoding.ours / decoding.library),
    bytes_per_holder: rounded(report?.bytesPerHolder ?? median(own.map((each) => each.bytesPerHolder))),
    max_pause_ms: report === null ? null : rounded(report.maxPauseMs),
    ...(report === null ? {} : pauseSummary(report)),
  };
}

function printTable(): void {
  const { storedBlocks, removedBlocks, pods, heldPairs, questions } = workload;
  const clearMs = (readings: readonly Measured[]): string =>
    `${(1e3 * median(readings.map(({ clearSeconds }) => clearSeconds))).toFixed(1)} ms`;
  console.log(tableOf(lines, questions.length));
  console.log(
    `${storedBlocks} blocks stored and ${removedBlocks} removed by ${pods.length} pods; ${heldPairs} held at the end`,
  );
  console.log(`a pod cleared in ${clearMs(own)}, naive in ${clearMs(rival)}`);
  console.log(
    `batches of one block as maps decoded: ${(decoding.ours / 1e6).toFixed(2)} M/s, by the library ${(decoding.library / 1e6).toFixed(2)} M/s`,
  );
  console.log(`512 blocks on 1,000 pods matched in ${hot.ours.toFixed(0)} µs, naive in ${hot.naive.toFixed(0)} µs`);
  if (pause !== null) console.log(pauseText(pause));
}
