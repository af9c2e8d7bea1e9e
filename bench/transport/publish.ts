/**
 * Publishes as fast as it can for some seconds. Usage: publish KIND PAYLOAD_BYTES SECONDS [PUBLIC_KEY SECRET_KEY] with
 * KIND ours, zeromq, curve, curve_sodium or curve_zeromq; prints its endpoint, and waits for a line on standard input
 * before it begins.
 */
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { zmtp } from "../../transports/zmtp/index.ts";
import { secretboxOf } from "./curve.ts";

const [kind, payloadText, secondsText, publicKey, secretKey] = process.argv.slice(2) as [
  string,
  string,
  string,
  string?,
  string?,
];
const payload = Buffer.alloc(Number(payloadText), 0x5a);
const message = [new Uint8Array(0), new Uint8Array(8).fill(1), payload];

/** Messages between two looks at the clock, and turns for the sockets. */
const BURST = 256;

async function ours(): Promise<void> {
  const secretbox = await secretboxOf(kind);
  const transport =
    secretKey === undefined
      ? zmtp()
      : zmtp({ security: { mechanism: "CURVE", role: "server", secretKey, ...secretbox } });
  const publisher = transport.publisher();
  process.stdout.write(`${await publisher.bind("tcp://127.0.0.1:*")}\n`);
  await once(process.stdin, "data");
  const end = performance.now() + Number(secondsText) * 1_000;
  while (performance.now() < end) {
    for (let i = 0; i < BURST; i += 1) publisher.send(message);
    await turn();
  }
}

async function zeromq(): Promise<void> {
  const { Publisher } = await import("zeromq");
  const publisher = new Publisher({
    sendHighWaterMark: 100_000,
    ...(secretKey !== undefined &&
      publicKey !== undefined && { curveServer: true, curvePublicKey: publicKey, curveSecretKey: secretKey }),
  });
  await publisher.bind("tcp://127.0.0.1:*");
  process.stdout.write(`${publisher.lastEndpoint}\n`);
  await once(process.stdin, "data");
  const end = performance.now() + Number(secondsText) * 1_000;
  while (performance.now() < end) {
    for (let i = 0; i < BURST; i += 1) await publisher.send(message);
  }
}

if (kind.endsWith("zeromq")) await zeromq();
else await ours();
process.exit(0);
