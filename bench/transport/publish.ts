/**
 * Publishes as fast as it can for some seconds. Usage: publish ours|zeromq|curve PAYLOAD_BYTES SECONDS [SECRET_KEY];
 * prints its endpoint, and waits for a line on standard input before it begins.
 */
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { zmtp } from "../../transports/zmtp/index.ts";

const [kind, payloadText, secondsText, secretKey] = process.argv.slice(2) as [string, string, string, string?];
const payload = Buffer.alloc(Number(payloadText), 0x5a);
const message = [new Uint8Array(0), new Uint8Array(8).fill(1), payload];

/** Messages between two looks at the clock, and turns for the sockets. */
const BURST = 256;

async function ours(): Promise<void> {
  const security =
    kind === "curve"
      ? { security: { mechanism: "CURVE" as const, role: "server" as const, secretKey: secretKey! } }
      : {};
  const publisher = zmtp(security).publisher();
  process.stdout.write(`${await publisher.bind("tcp://127.0.0.1:*")}\n`);
  await once(process.stdin, "data");
  const end = performance.now() + Number(secondsText) * 1_000;
  while (performance.now() < end) {
    for (let i = 0; i < BURST; i++) publisher.send(message);
    await turn();
  }
}

async function zeromq(): Promise<void> {
  const { Publisher } = await import("zeromq");
  const publisher = new Publisher({ sendHighWaterMark: 100_000 });
  await publisher.bind("tcp://127.0.0.1:*");
  process.stdout.write(`${publisher.lastEndpoint}\n`);
  await once(process.stdin, "data");
  const end = performance.now() + Number(secondsText) * 1_000;
  while (performance.now() < end) {
    for (let i = 0; i < BURST; i++) await publisher.send(message);
  }
}

if (kind === "zeromq") await zeromq();
else await ours();
process.exit(0);
