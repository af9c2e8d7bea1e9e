/**
 * Answers questions on an index of what a fleet has at the start, in a thread that does nothing else: as soon as a
 * worker could at best, for nothing is written and nobody waited for. Usage: fleet-answers PODS QUESTIONS_PER_SECOND;
 * prints "ready", reads a line to begin and one to end, prints a `Latency` as a line of JSON.
 */
import { createInterface } from "node:readline";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventHandler } from "../../src/sync/handler.ts";
import { MODEL } from "../index/workload.ts";
import { Asker } from "./ask.ts";
import { firstBatches, heldPairs, PROMPTS, promptTokens } from "./fleet.ts";

const [pods, questionsPerSecond] = process.argv.slice(2).map(Number) as [number, number];
const index = new SyncPrefixHashTable();
for (let pod = 0; pod < pods; pod++) {
  const subject = { model: MODEL, pod: `pod-${pod}`, rank: 0, loraId: -1, isForeignRank: () => false };
  const handler = new KVEventHandler(index, subject);
  for (const payload of firstBatches(pod)) handler.handle(payload);
}
const { holders } = index.stats();
if (holders !== heldPairs(pods)) throw new Error(`${holders} blocks are held, and not ${heldPairs(pods)}`);
const prompts = Array.from({ length: PROMPTS }, (_, prompt) => promptTokens(prompt));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
process.stdout.write("ready\n");
await lines.next();
const asker = new Asker(questionsPerSecond, (count) => index.matchPrefix(MODEL, -1, prompts[(count * 37) % PROMPTS]!));
await lines.next();
process.stdout.write(`${JSON.stringify(await asker.stop())}\n`, () => process.exit(0));
