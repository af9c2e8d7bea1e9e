/**
 * Takes in what the publishers send. Usage: receive KIND with KIND ours or naive; reads a `Task` as a line of JSON, then
 * a line to begin; prints "going" and, at the end, a `Reading` as a line of JSON.
 */
import { createInterface } from "node:readline";
import { createStore } from "../../src/container.ts";
import type { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { BLOCK_SIZE, MODEL } from "../index/workload.ts";
import { Asker, type Latency } from "./ask.ts";
import { matchedBlocks, PROMPTS, promptTokens } from "./fleet.ts";

/** What a receiver is to do. */
export interface Task {
  readonly endpoints: readonly string[];
  /** Taken in before the clock starts. */
  readonly firstMessages: number;
  readonly messages: number;
  /** Prompts of the fleet to ask for, by second; 0 for none. */
  readonly questionsPerSecond: number;
  /** By pod of the fleet, at the end. */
  readonly storedBlocks: number;
}

/** What it did. */
export interface Reading {
  readonly messages: number;
  readonly seconds: number;
  /** Of the process, all threads. */
  readonly cpuSeconds: number;
  readonly heldPairs: number;
  /** Present where there were questions. */
  readonly latency?: Latency;
  /** Answers at the end that are not those that the fleet has, of all its prompts. */
  readonly wrongAnswers?: number;
}

/** Nothing comes for so long: something was lost. */
const SILENCE_MS = 5_000;

/** One way to take in messages. */
interface Pipeline {
  readonly heldPairs: () => number;
  /** Blocks from the start of the prompt, by pod. */
  readonly match: (tokens: Uint32Array) => ReadonlyMap<string, number>;
}

/** Counts messages; tells when as many are there as are wanted, or none comes any more. */
class Progress {
  #count = 0;
  #wanted = Number.POSITIVE_INFINITY;
  #done: () => void = () => {};

  get count(): number {
    return this.#count;
  }

  readonly add = (): void => {
    if (++this.#count === this.#wanted) this.#done();
  };

  async reached(wanted: number): Promise<void> {
    if (this.#count >= wanted) return;
    this.#wanted = wanted;
    const done = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    let last = -1;
    const watch = setInterval(() => {
      if (last === this.#count) this.#done();
      last = this.#count;
    }, SILENCE_MS);
    await done;
    clearInterval(watch);
  }
}

async function ours(endpoints: readonly string[], onMessage: () => void): Promise<Pipeline> {
  const store = await createStore({
    transport: "zmtp",
    endpoints: endpoints.map((endpoint, pod) => ({ endpoint, model: MODEL, name: `pod-${pod}` })),
    observers: [{ onBatch: onMessage }],
  });
  await store.initKVEventSync();
  const indexer = store.indexer as SyncPrefixHashTable;
  return {
    heldPairs: () => indexer.stats().holders,
    match: (tokens) => new Map(indexer.matchPrefix(MODEL, -1, tokens).map((match) => [match.pod, match.matchedBlocks])),
  };
}

async function naive(endpoints: readonly string[], onMessage: () => void): Promise<Pipeline> {
  const { Subscriber } = await import("zeromq");
  const { default: xxhash } = await import("xxhash-wasm");
  const { NaiveIndex } = await import("../index/naive.ts");
  const index = new NaiveIndex(await xxhash(), BLOCK_SIZE);
  const receive = async (endpoint: string, pod: string): Promise<void> => {
    const subscriber = new Subscriber({ receiveHighWaterMark: 0 });
    subscriber.subscribe("");
    subscriber.connect(endpoint);
    for await (const [, , payload] of subscriber) {
      index.handle(pod, payload!);
      onMessage();
    }
  };
  for (const [pod, endpoint] of endpoints.entries()) void receive(endpoint, `pod-${pod}`);
  return { heldPairs: () => index.pairs, match: (tokens) => index.match(tokens) };
}

function wrongAnswers(pipeline: Pipeline, { endpoints, storedBlocks }: Task): number {
  let wrong = 0;
  for (let prompt = 0; prompt < PROMPTS; prompt++) {
    const answer = pipeline.match(promptTokens(prompt));
    const isRight = endpoints.every(
      (_, pod) => (answer.get(`pod-${pod}`) ?? 0) === matchedBlocks(pod, storedBlocks, prompt),
    );
    if (!isRight) wrong++;
  }
  return wrong;
}

async function run(kind: string): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const task: Task = JSON.parse((await lines.next()).value as string);
  const progress = new Progress();
  const pipeline = await (kind === "naive" ? naive : ours)(task.endpoints, progress.add);
  await progress.reached(task.firstMessages);
  if (task.firstMessages > 0) process.stdout.write("loaded\n");
  await lines.next();
  const prompts = Array.from({ length: PROMPTS }, (_, prompt) => promptTokens(prompt));
  const { questionsPerSecond } = task;
  const asker =
    questionsPerSecond === 0
      ? null
      : new Asker(questionsPerSecond, (count) => pipeline.match(prompts[(count * 37) % PROMPTS]!));
  const startedCpu = process.cpuUsage();
  const startedNs = process.hrtime.bigint();
  process.stdout.write("going\n");
  await progress.reached(task.firstMessages + task.messages);
  const seconds = Number(process.hrtime.bigint() - startedNs) / 1e9;
  const { user, system } = process.cpuUsage(startedCpu);
  const latency = await asker?.stop();
  const reading: Reading = {
    messages: progress.count - task.firstMessages,
    seconds,
    cpuSeconds: (user + system) / 1e6,
    heldPairs: pipeline.heldPairs(),
    ...(latency !== undefined && { latency, wrongAnswers: wrongAnswers(pipeline, task) }),
  };
  process.stdout.write(`${JSON.stringify(reading)}\n`, () => process.exit(0));
}

await run(process.argv[2]!);
