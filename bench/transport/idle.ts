/**
 * What connections cost that do nothing: memory (after collecting garbage) and CPU. Needs --expose-gc.
 * Usage: idle ENDPOINT CONNECTIONS SECONDS; each connection is a subscriber of its own.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { Subscriber } from "../../src/transport.ts";
import { zmtp } from "../../transports/zmtp/index.ts";

const [endpoint, connectionsText, secondsText] = process.argv.slice(2) as [string, string, string];
const connections = Number(connectionsText);

function memory(): { readonly rss: number; readonly held: number } {
  for (let i = 0; i < 4; i++) globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, held: heapUsed + external };
}

async function open(count: number): Promise<Subscriber[]> {
  const transport = zmtp();
  let ready = 0;
  const subscribers: Subscriber[] = [];
  const all = new Promise<void>((resolve) => {
    for (let i = 0; i < count; i++) {
      const subscriber = transport.subscriber({
        onConnection: (_endpoint, { status }) => {
          if (status === "ready" && ++ready === count) resolve();
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
const before = memory();
const subscribers = await open(connections);
const after = memory();
const cpu = process.cpuUsage();
await wait(Number(secondsText) * 1_000);
const { user, system } = process.cpuUsage(cpu);
const result = {
  bytes: Math.round((after.held - before.held) / subscribers.length),
  rssBytes: Math.round((after.rss - before.rss) / subscribers.length),
  cpuPercent: ((user + system) / 1e6 / Number(secondsText)) * 100,
};
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
