import { makeWorkload } from "../index/workload.ts";
import type { TraceRequest } from "../routing/trace.ts";
import { node } from "../transport/processes.ts";
import { check } from "./fleet-run.ts";
import { Publishers, wireMessage } from "./publishers.ts";
import type { Reading, Task } from "./receive.ts";

/** What all pods of a trace send, encoded, and what is held after it. */
export interface Blast {
  readonly streams: readonly Uint8Array[];
  readonly messages: number;
  /** Stored and removed. */
  readonly blocks: number;
  readonly heldPairs: number;
}

/** So many blocks stored by so many pods, in the messages that `bench:index` makes. */
export function makeBlast(requests: readonly TraceRequest[], podCount: number, storedBlocks: number): Blast {
  const { pods, messages, ...workload } = makeWorkload(requests, podCount, storedBlocks, 0);
  const parts: Uint8Array[][] = pods.map(() => []);
  for (const { pod, payload } of messages) parts[pod]!.push(wireMessage(parts[pod]!.length, payload));
  return {
    streams: parts.map((each) => Buffer.concat(each)),
    messages: messages.length,
    blocks: workload.storedBlocks + workload.removedBlocks,
    heldPairs: workload.heldPairs,
  };
}

/** Lets a fresh process take in all of it as fast as it can. Throws where it does not hold what the pods do. */
export async function measureBlast(kind: "ours" | "naive", blast: Blast): Promise<Reading> {
  await using publishers = await Publishers.open(blast.streams.length);
  const { endpoints } = publishers;
  const task: Task = { endpoints, firstMessages: 0, messages: blast.messages, questionsPerSecond: 0, storedBlocks: 0 };
  const receiver = node("../pipeline/receive.ts", [kind]);
  try {
    receiver.child.stdin!.write(`${JSON.stringify(task)}\n`);
    await publishers.subscribed;
    receiver.child.stdin!.write("go\n");
    await receiver.line();
    for (const [pod, bytes] of blast.streams.entries()) publishers.send(pod, bytes);
    const reading: Reading = JSON.parse(await receiver.line());
    check(reading, task, blast.heldPairs);
    return reading;
  } finally {
    await receiver.stop();
  }
}
