import { makeWorkload } from "../index/workload.ts";
import { eventsOf } from "../index/workload-file.ts";
import type { TraceRequest } from "../routing/trace.ts";
import { node } from "../transport/processes.ts";
import { check } from "./fleet-run.ts";
import { Publishers, wireMessage } from "./publishers.ts";
import type { Reading, Task } from "./receive.ts";

/** What all pods of a trace send, encoded, and what is held after it. */
export interface Blast {
  /** Of each pod. */
  readonly streams: readonly PodBlast[];
  /** Of `first`. */
  readonly firstMessages: number;
  readonly messages: number;
  /** Stored and removed by `rest`. */
  readonly blocks: number;
  readonly heldPairs: number;
}

/** What one pod sends: before the clock starts, and what is measured. */
interface PodBlast {
  readonly first: Uint8Array;
  readonly rest: Uint8Array;
}

/**
 * One message of so many is sent before the clock starts: a receiver lives for weeks, and is compiled in the first second.
 * With fewer there would be hardly a removal among them, which begin when caches are full.
 */
const FIRST = 2;

/** So many blocks stored by so many pods, in the messages that `bench:index` makes. */
export function makeBlast(requests: readonly TraceRequest[], podCount: number, storedBlocks: number): Blast {
  const { pods, messages, ...workload } = makeWorkload(requests, podCount, storedBlocks, 0);
  const firstMessages = Math.floor(messages.length / FIRST);
  const sent = pods.map(() => 0);
  const first: Uint8Array[][] = pods.map(() => []);
  const rest: Uint8Array[][] = pods.map(() => []);
  let blocks = workload.storedBlocks + workload.removedBlocks;
  for (const [at, { pod, payload }] of messages.entries()) {
    const isFirst = at < firstMessages;
    (isFirst ? first : rest)[pod]!.push(wireMessage(sent[pod]!++, payload));
    if (isFirst) for (const event of eventsOf(payload)) blocks -= event.blockHashes.length;
  }
  return {
    streams: pods.map((_, pod) => ({ first: Buffer.concat(first[pod]!), rest: Buffer.concat(rest[pod]!) })),
    firstMessages,
    messages: messages.length - firstMessages,
    blocks,
    heldPairs: workload.heldPairs,
  };
}

/** Lets a process that has taken in the first part take in the rest as fast as it can. Throws where it does not hold what the pods do. */
export async function measureBlast(kind: "ours" | "naive", blast: Blast): Promise<Reading> {
  await using publishers = await Publishers.open(blast.streams.length);
  const { endpoints } = publishers;
  const { firstMessages, messages } = blast;
  const task: Task = { endpoints, firstMessages, messages, questionsPerSecond: 0, storedBlocks: 0 };
  const receiver = node("../pipeline/receive.ts", [kind]);
  try {
    receiver.child.stdin!.write(`${JSON.stringify(task)}\n`);
    await publishers.subscribed;
    for (const [pod, { first }] of blast.streams.entries()) publishers.send(pod, first);
    await receiver.line();
    receiver.child.stdin!.write("go\n");
    await receiver.line();
    for (const [pod, { rest }] of blast.streams.entries()) publishers.send(pod, rest);
    const reading: Reading = JSON.parse(await receiver.line());
    check(reading, task, blast.heldPairs);
    return reading;
  } finally {
    await receiver.stop();
  }
}
