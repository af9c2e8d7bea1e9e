import { node } from "../transport/processes.ts";
import type { Latency } from "./ask.ts";
import { heldPairs, type PodStream, podStream } from "./fleet.ts";
import { Publishers } from "./publishers.ts";
import type { Reading, Task } from "./receive.ts";

const TICK_MS = 5;

/** What an index answers while a fleet publishes. */
export interface FleetReading {
  /** Stored and removed. */
  readonly blocksPerSecond: number;
  /** Of a core: 1 is a whole one. */
  readonly load: number;
  readonly latency: Latency;
}

/**
 * Lets a fleet publish, evenly over so many seconds, or with 0 as fast as it is read, and asks for its prompts
 * meanwhile: the process that takes all in, or one `apart` that holds what the fleet has at the start and does nothing
 * else. Throws where the end state is not the fleet's.
 */
export async function measureFleet(
  pods: number,
  storedBlocks: number,
  seconds: number,
  questionsPerSecond: number,
  apart = false,
): Promise<FleetReading> {
  const streams = Array.from({ length: pods }, (_, pod) => podStream(pod, storedBlocks));
  await using publishers = await Publishers.open(pods);
  const messages = streams.reduce((sum, { steps }) => sum + steps.length, 0);
  const task: Task = {
    endpoints: publishers.endpoints,
    firstMessages: streams.reduce((sum, { firstMessages }) => sum + firstMessages, 0),
    messages,
    questionsPerSecond: apart ? 0 : questionsPerSecond,
    storedBlocks,
  };
  const receiver = node("../pipeline/receive.ts", ["ours"]);
  const answerer = apart ? node("../pipeline/fleet-answers.ts", [String(pods), String(questionsPerSecond)]) : null;
  try {
    await answerer?.line();
    receiver.child.stdin!.write(`${JSON.stringify(task)}\n`);
    await publishers.subscribed;
    for (const [pod, { first }] of streams.entries()) publishers.send(pod, first);
    await receiver.line();
    receiver.child.stdin!.write("go\n");
    await receiver.line();
    answerer?.child.stdin?.write("go\n");
    const ended = receiver.line();
    if (seconds === 0) for (const [pod, { steps }] of streams.entries()) publishers.send(pod, Buffer.concat(steps));
    else await pace(publishers, streams, messages, seconds);
    const reading: Reading = JSON.parse(await ended);
    answerer?.child.stdin?.write("stop\n");
    check(reading, task, heldPairs(pods));
    return {
      blocksPerSecond: (2 * pods * storedBlocks) / reading.seconds,
      load: reading.cpuSeconds / reading.seconds,
      latency: answerer === null ? reading.latency! : JSON.parse(await answerer.line()),
    };
  } finally {
    await answerer?.stop();
    await receiver.stop();
  }
}

/** Throws where the receiver does not hold what the publishers said. */
export function check(reading: Reading, { messages }: Task, pairs: number): void {
  if (reading.messages !== messages) {
    throw new Error(`${messages - reading.messages} of ${messages} messages were lost; nothing else can be said`);
  }
  if (reading.heldPairs !== pairs) throw new Error(`${reading.heldPairs} blocks are held at the end, and not ${pairs}`);
  const wrong = reading.wrongAnswers ?? 0;
  if (wrong > 0) throw new Error(`${wrong} prompts have a wrong answer at the end`);
}

/** The steps of all pods in turn, each when it is due. */
async function pace(
  publishers: Publishers,
  streams: readonly PodStream[],
  messages: number,
  seconds: number,
): Promise<void> {
  const startedMs = performance.now();
  let sent = 0;
  for (let round = 0; sent < messages; round++) {
    for (const [pod, { steps }] of streams.entries()) {
      const step = steps[round];
      if (step === undefined) continue;
      while (performance.now() - startedMs < (1_000 * seconds * sent) / messages) await sleep(TICK_MS);
      publishers.send(pod, step);
      sent++;
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
