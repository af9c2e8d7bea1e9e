/**
 * `npm run bench:index [-- --trace FILE] [--pods 128] [--blocks 1000000] [--rounds 5] [--churn-seconds 60] [--quick]
 * [--json]`: what one thread takes in of messages as engines send them, and how soon it answers, beside the same written
 * with Maps (`naive.ts`). All answers are checked against what the generator of the messages knows.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { decode } from "@msgpack/msgpack";
import xxhash from "xxhash-wasm";
import { formatTable } from "../../src/cli/table.ts";
import { decodePackedBatch } from "../../src/events/decode-packed.ts";
import { PackedBatch } from "../../src/events/packed-batch.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventHandler } from "../../src/sync/handler.ts";
import { readTrace } from "../routing/trace.ts";
import { median, rounded } from "../transport/statistics.ts";
import { churn, pauseSummary, pauseText } from "./churn.ts";
import { hotPrefix } from "./hot-prefix.ts";
import { NaiveIndex } from "./naive.ts";
import { BLOCK_SIZE, MODEL, makeWorkload, type Question } from "./workload.ts";

const { values } = parseArgs({
  options: {
    trace: {
      type: "string",
      default: fileURLToPath(new URL("../../../shared/traces/conversation_trace.jsonl", import.meta.url)),
    },
    pods: { type: "string", default: "128" },
    blocks: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "5" },
    "churn-blocks": { type: "string", default: "10000000" },
    "churn-seconds": { type: "string", default: "60" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const rounds = values.quick ? 1 : Number(values.rounds);
const pairs = values.quick ? 100_000 : Number(values.blocks);
const say = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

say("reading the trace");
const requests = await readTrace(values.trace, 6_000);
say("making messages");
const workload = makeWorkload(requests, Number(values.pods), pairs, 500);
const { pods, messages, storedBlocks, removedBlocks, questions, heldPairs } = workload;
const applied = storedBlocks + removedBlocks;
const hash = await xxhash();

/** One index, with its messages taken in: seconds, and questions that it answers wrong. */
interface Measured {
  readonly ingestSeconds: number;
  readonly wrong: number;
  /** Microseconds for 512 blocks. */
  readonly match512: number;
  readonly clearSeconds: number;
}

function ours(): Measured & { readonly bytesPerHolder: number } {
  const index = new SyncPrefixHashTable({ maxBytes: 16e9 });
  const handlers = pods.map(
    (pod) => new KVEventHandler(index, { model: MODEL, pod, rank: 0, loraId: -1, isForeignRank: () => false }),
  );
  const ingestSeconds = timed(() => {
    for (const { pod, payload } of messages) handlers[pod]!.handle(payload);
  });
  const ask = (tokens: Uint32Array): Map<string, number> =>
    new Map(index.matchPrefix(MODEL, -1, tokens).map(({ pod, matchedBlocks }) => [pod, matchedBlocks]));
  const wrong = questions.filter((question) => !isRight(question, ask(question.tokens))).length;
  const match512 = timePer512((tokens) => index.matchPrefix(MODEL, -1, tokens));
  const bytesPerHolder = index.bytes / index.stats().holders;
  const clearSeconds = timed(() => handlers[0]!.purge());
  return { ingestSeconds, wrong, match512, clearSeconds, bytesPerHolder };
}

function naive(): Measured {
  const index = new NaiveIndex(hash, BLOCK_SIZE);
  const ingestSeconds = timed(() => {
    for (const { pod, payload } of messages) index.handle(pods[pod]!, payload);
  });
  const wrong = questions.filter((question) => !isRight(question, index.match(question.tokens))).length;
  const match512 = timePer512((tokens) => index.match(tokens));
  const clearSeconds = timed(() => index.clear(pods[0]!));
  return { ingestSeconds, wrong, match512, clearSeconds };
}

function isRight({ blocksByPod }: Question, answer: ReadonlyMap<string, number>): boolean {
  if (answer.size !== blocksByPod.size) return false;
  return [...blocksByPod].every(([pod, blocks]) => answer.get(pods[pod]!) === blocks);
}

function timed(step: () => void): number {
  globalThis.gc?.();
  const startedMs = performance.now();
  step();
  return (performance.now() - startedMs) / 1_000;
}

/** Microseconds by blocks that were really matched, for 512 of them. */
function timePer512(ask: (tokens: Uint32Array) => unknown): number {
  const matched = (question: Question): number => Math.max(0, ...question.blocksByPod.values());
  const long = questions.filter((question) => matched(question) >= 256);
  const blocks = long.reduce((sum, question) => sum + matched(question), 0);
  const seconds = timed(() => {
    for (const { tokens } of long) ask(tokens);
  });
  return (1e6 * seconds * 512) / blocks;
}

function decodeRate(): { readonly ours: number; readonly library: number } {
  const some = messages.slice(0, 20_000).map(({ payload }) => payload);
  const batch = new PackedBatch();
  const own: number[] = [];
  const library: number[] = [];
  for (let round = 0; round < Math.max(3, rounds); round++) {
    own.push(
      timed(() => {
        for (const payload of some) decodePackedBatch(payload, batch);
      }),
    );
    library.push(
      timed(() => {
        for (const payload of some) decode(payload, { useBigInt64: true });
      }),
    );
  }
  return { ours: some.length / median(own.slice(1)), library: some.length / median(library.slice(1)) };
}

const measured = { ours: [] as ReturnType<typeof ours>[], naive: [] as Measured[] };
for (let round = -1; round < rounds; round++) {
  say(`round ${round + 1} of ${rounds}`);
  const [own, rival] = [ours(), naive()];
  // The first one is for the compiler.
  if (round < 0 && !values.quick) continue;
  measured.ours.push(own);
  measured.naive.push(rival);
}
say("decoding");
const decoding = decodeRate();
say("a prefix on 1,000 pods");
const hot = hotPrefix(hash, Math.max(3, rounds));
say(`churn over ${values["churn-blocks"]} blocks`);
const pause = values.quick ? null : await churn(Number(values["churn-blocks"]), Number(values["churn-seconds"]));
say("");

const of = (name: "ours" | "naive", read: (each: Measured) => number): number => median(measured[name].map(read));
const summary = {
  ingest_vs_naive: rounded(of("naive", (each) => each.ingestSeconds) / of("ours", (each) => each.ingestSeconds)),
  ingest_vs_aibrix: null,
  ingest_vs_llmd: null,
  match_vs_aibrix: null,
  match_vs_llmd: null,
  ingest_vs_dynamo: null,
  match_vs_dynamo: null,
  hot_prefix_vs_naive: rounded(hot.naive / hot.ours),
  decode_map1_vs_msgpack: rounded(decoding.ours / decoding.library),
  bytes_per_holder: rounded(pause?.bytesPerHolder ?? median(measured.ours.map((each) => each.bytesPerHolder))),
  max_pause_ms: pause === null ? null : rounded(pause.maxPauseMs),
  ...(pause === null ? {} : pauseSummary(pause)),
};
if (!values.json) {
  const row = (name: "ours" | "naive"): string[] => [
    name,
    `${(applied / of(name, (each) => each.ingestSeconds) / 1e6).toFixed(2)} M/s`,
    `${of(name, (each) => each.match512).toFixed(0)} µs`,
    `${(1e3 * of(name, (each) => each.clearSeconds)).toFixed(1)} ms`,
    `${((name === "ours" ? decoding.ours : decoding.library) / 1e6).toFixed(2)} M/s`,
    `${hot[name].toFixed(0)} µs`,
    String(Math.max(...measured[name].map(({ wrong }) => wrong))),
  ];
  const head = [
    "",
    "INGEST, blocks",
    "MATCH 512",
    "CLEAR A POD",
    "DECODE, map of 1",
    "512 ON 1,000 PODS",
    "WRONG ANSWERS",
  ];
  console.log(formatTable([head, row("ours"), row("naive")]));
  console.log(
    `${storedBlocks} blocks stored and ${removedBlocks} removed by ${pods.length} pods; ${heldPairs} held at the end; ${questions.length} questions`,
  );
  if (pause !== null) console.log(pauseText(pause));
  console.log("the peers in Go and Rust are not measured: null");
}
console.log(JSON.stringify(summary));
