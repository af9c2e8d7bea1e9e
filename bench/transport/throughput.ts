import type { Peers } from "./peers.ts";
import { node, type Program } from "./processes.ts";

/** What one receiver did with one stream. */
export interface Reading {
  readonly messages: number;
  readonly seconds: number;
  /** Of the receiver's process, all threads. */
  readonly cpuSeconds: number;
}

export type Receiver = "ours" | "zeromq" | "libzmq_c" | "net";

/** Messages/s, by the clock on the wall. */
export const rate = ({ messages, seconds }: Reading): number => messages / seconds;

/** Messages per second of processor time. */
export const cpuRate = ({ messages, cpuSeconds }: Reading): number => messages / cpuSeconds;

/** Starts the stream, lets one receiver read it, and ends both. */
export async function read(receiver: Receiver, payloadBytes: number, messages: number, peers: Peers): Promise<Reading> {
  const sender = peers.sender(payloadBytes);
  let reader: Program | undefined;
  try {
    const counts = [await sender.line(), String(Math.ceil(messages / 2)), String(messages)];
    reader =
      receiver === "libzmq_c"
        ? peers.libzmq!(counts)
        : node("./receive.ts", [receiver, ...counts, String(payloadBytes)]);
    return JSON.parse(await reader.line()) as Reading;
  } finally {
    await Promise.all([sender.stop(), reader?.stop()]);
  }
}
