import { generateCurveKeys } from "../../transports/zmtp/index.ts";
import type { CurveKind } from "./curve.ts";
import { node, type Program } from "./processes.ts";
import { encodedMessage } from "./wire.ts";

/** Runs what needs several processes, and ends them all, however it goes. */
async function withPrograms<T>(
  run: (start: (file: string, args: readonly string[], flags?: readonly string[]) => Program) => Promise<T>,
): Promise<T> {
  const programs: Program[] = [];
  try {
    return await run((file, args, flags) => {
      const started = node(file, args, flags);
      programs.push(started);
      return started;
    });
  } finally {
    await Promise.all(programs.map((each) => each.stop()));
  }
}

/** Messages/s that arrive at a plain socket from a publisher that sends what it can. */
export function publishRate(kind: "ours" | "zeromq", payloadBytes: number, seconds: number): Promise<number> {
  return withPrograms(async (start) => {
    const publisher = start("./publish.ts", [kind, String(payloadBytes), String(seconds)]);
    const counter = start("./count.ts", [await publisher.line()]);
    await counter.line();
    // The subscription has left the counter; the publisher has it long before its first message arrives.
    publisher.child.stdin!.write("go\n");
    const { bytes, seconds: taken } = JSON.parse(await counter.line()) as {
      readonly bytes: number;
      readonly seconds: number;
    };
    return bytes / encodedMessage(payloadBytes).length / taken;
  });
}

/** MB/s of frames from a publisher to a subscriber of the same kind, encrypted, a process each. */
export function curveRate(kind: CurveKind, payloadBytes: number, messages: number): Promise<number> {
  return withPrograms(async (start) => {
    const { publicKey, secretKey } = generateCurveKeys();
    const publisher = start("./publish.ts", [kind, String(payloadBytes), "60", publicKey, secretKey]);
    const counts = [String(Math.ceil(messages / 5)), String(messages), String(payloadBytes), publicKey];
    const receiver = start("./receive.ts", [kind, await publisher.line(), ...counts]);
    publisher.child.stdin!.write("go\n");
    const { bytes, seconds } = JSON.parse(await receiver.line()) as {
      readonly bytes: number;
      readonly seconds: number;
    };
    return bytes / seconds / 1e6;
  });
}

/** Microseconds, the median. */
export function roundTrip(kind: "ours" | "zeromq", count: number): Promise<number> {
  return withPrograms(async (start) => {
    const endpoint = await start("./round-trips.ts", [kind]).line();
    const { microseconds } = JSON.parse(await start("./round-trips.ts", [kind, endpoint, String(count)]).line());
    return microseconds;
  });
}

export interface IdleCost {
  /** JavaScript heap and buffers, per connection that was dialled. */
  readonly bytes: number;
  /** Of the whole process, per connection: with what the system keeps. */
  readonly rssBytes: number;
  /** JavaScript heap and buffers, per connection that was accepted. */
  readonly acceptedBytes: number;
  /** Of one core, for all that were dialled. */
  readonly cpuPercent: number;
}

export function idleCost(connections: number, seconds: number): Promise<IdleCost> {
  return withPrograms(async (start) => {
    const server = start("./idle-server.ts", [], ["--expose-gc"]);
    const args = [await server.line(), String(connections), String(seconds)];
    const client = start("./idle.ts", args, ["--expose-gc"]);
    const held = async (): Promise<number> => {
      await client.line();
      server.child.stdin!.write("?\n");
      const bytes = Number(await server.line());
      client.child.stdin!.write("go\n");
      return bytes;
    };
    const before = await held();
    const after = await held();
    const cost = JSON.parse(await client.line()) as Omit<IdleCost, "acceptedBytes">;
    return { ...cost, acceptedBytes: Math.round((after - before) / connections) };
  });
}

/** MiB by which a process grows that reads nothing of a flood. */
export function slowConsumer(payloadBytes: number, seconds: number): Promise<number> {
  return withPrograms(async (start) => {
    const endpoint = await start("./stream-server.ts", [String(payloadBytes)]).line();
    const { mebibytes } = JSON.parse(await start("./slow-consumer.ts", [endpoint, String(seconds)]).line());
    return mebibytes;
  });
}
