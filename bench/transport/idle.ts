/**
 * What connections cost that do nothing: memory (after collecting garbage) and CPU. Needs --expose-gc.
 * Usage: idle ENDPOINT CONNECTIONS SECONDS; each connection is a subscriber of its own. Prints a line before it opens
 * them and one when they are open, and waits for an answer each time; then one line of JSON.
 */
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import type { Subscriber } from "../../src/transport.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { memory } from "./memory.ts";

const [endpoint, connectionsText, secondsText] = process.argv.slice(2) as [string, string, string];
const connections = Number(connectionsText);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function tell(what: string): Promise<void> {
  process.stdout.write(`${what}\n`);
  await answers.next();
}

async function open(count: number): Promise<Subscriber[]> {
  const transport = zmtp();
  let ready = 0;
  const subscribers: Subscriber[] = [];
  const all = new Promise<void>((resolve) => {
    for (let i = 0; i < count; i += 1) {
      const subscriber = transport.subscriber({
        onConnection: (_endpoint, { status }) => {
          if (status !== "ready") return;
          ready += 1;
          if (ready === count) resolve();
        },
      });
      subscriber.subscribe("");
      subscriber.connect(endpoint);
      subscribers.push(subscriber);
    }
  });
  await all;
  return subscribers;
}

// What is loaded and compiled once is no cost of a connection.
const warm = await open(20);
await Promise.all(warm.map((subscriber) => subscriber.close()));
await tell("closed");
const before = memory();
const subscribers = await open(connections);
const after = memory();
await tell("open");
const cpu = process.cpuUsage();
await wait(Number(secondsText) * 1_000);
const { user, system } = process.cpuUsage(cpu);
const result = {
  bytes: Math.round((after.held - before.held) / subscribers.length),
  rssBytes: Math.round((after.rss - before.rss) / subscribers.length),
  cpuPercent: ((user + system) / 1e6 / Number(secondsText)) * 100,
};
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
