/** A dealer asks a router in another process, one question after the other. Usage: round-trips ours|zeromq [ENDPOINT COUNT] */
import { zmtp } from "../../transports/zmtp/index.ts";
import { median } from "./statistics.ts";

const [kind, endpoint, countText] = process.argv.slice(2) as [string, string?, string?];
const question = [new Uint8Array(0), new Uint8Array(8)];

async function serveOurs(): Promise<void> {
  const router = zmtp().router();
  process.stdout.write(`${await router.bind("tcp://127.0.0.1:*")}\n`);
  for await (const { messages } of router.receive()) for (const message of messages) router.send(message);
}

async function serveZeromq(): Promise<void> {
  const { Router } = await import("zeromq");
  const router = new Router();
  await router.bind("tcp://127.0.0.1:*");
  process.stdout.write(`${router.lastEndpoint}\n`);
  for await (const message of router) await router.send(message);
}

async function askOurs(times: number[], count: number): Promise<void> {
  const dealer = zmtp().dealer();
  dealer.connect(endpoint!);
  const answers = dealer.receive()[Symbol.asyncIterator]();
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    dealer.send(question);
    await answers.next();
    times.push(performance.now() - started);
  }
}

async function askZeromq(times: number[], count: number): Promise<void> {
  const { Dealer } = await import("zeromq");
  const dealer = new Dealer();
  dealer.connect(endpoint!);
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await dealer.send(question);
    await dealer.receive();
    times.push(performance.now() - started);
  }
}

if (endpoint === undefined) await (kind === "ours" ? serveOurs() : serveZeromq());
else {
  const times: number[] = [];
  await (kind === "ours" ? askOurs : askZeromq)(times, Number(countText));
  // The first half warms up.
  const microseconds = 1_000 * median(times.slice(times.length / 2));
  process.stdout.write(`${JSON.stringify({ microseconds })}\n`, () => process.exit(0));
}
