/**
 * Receives a stream and tells how fast. Usage: receive KIND ENDPOINT WARMUP MESSAGES PAYLOAD_BYTES [SERVER_KEY] with KIND
 * ours, zeromq, net, curve, curve_sodium or curve_zeromq; prints one line of JSON. Every frame is touched, as a reader
 * of it would.
 */
import { connect } from "node:net";
import { generateCurveKeys, zmtp } from "../../transports/zmtp/index.ts";
import { secretboxOf } from "./curve.ts";
import { encodedMessage, GREETING, READY_SUB, SUBSCRIBE_ALL } from "./wire.ts";

const [kind, endpoint, warmupText, messagesText, payloadText, serverKey] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string?,
];
const warmup = Number(warmupText);
const messages = Number(messagesText);

let count = 0;
let bytes = 0;
/** Of first bytes, so that reading them is not optimised away. */
let touched = 0;
let startedNs = 0n;
let startedCpu = process.cpuUsage();

/** Counts a message; ends the process with the last one. */
function counted(frames: readonly Uint8Array[]): void {
  for (let i = 0; i < frames.length; i += 1) {
    const frame = frames[i]!;
    bytes += frame.length;
    if (frame.length > 0) touched += frame[0]!;
  }
  count += 1;
  if (count === warmup) begin();
  else if (count === warmup + messages) finish(messages);
}

function begin(): void {
  bytes = 0;
  startedNs = process.hrtime.bigint();
  startedCpu = process.cpuUsage();
}

function finish(received: number): void {
  const seconds = Number(process.hrtime.bigint() - startedNs) / 1e9;
  const { user, system } = process.cpuUsage(startedCpu);
  const reading = { messages: received, bytes, seconds, cpuSeconds: (user + system) / 1e6, touched };
  process.stdout.write(`${JSON.stringify(reading)}\n`, () => process.exit(0));
}

async function ours(): Promise<void> {
  const secretbox = await secretboxOf(kind);
  const transport =
    serverKey === undefined
      ? zmtp()
      : zmtp({ security: { mechanism: "CURVE", role: "client", serverKey, ...secretbox } });
  const subscriber = transport.subscriber();
  subscriber.subscribe("");
  subscriber.connect(endpoint);
  for await (const { messages: batch } of subscriber.receive()) {
    for (const frames of batch) counted(frames);
  }
}

async function zeromq(): Promise<void> {
  const { Subscriber } = await import("zeromq");
  const { publicKey, secretKey } = generateCurveKeys();
  const subscriber = new Subscriber({
    receiveHighWaterMark: 100_000,
    ...(serverKey !== undefined && {
      curveServerKey: serverKey,
      curvePublicKey: publicKey,
      curveSecretKey: secretKey,
    }),
  });
  subscriber.subscribe("");
  subscriber.connect(endpoint);
  for await (const frames of subscriber) counted(frames);
}

/** The bytes alone: what a parser cannot exceed. */
function net(): void {
  const { hostname, port } = new URL(endpoint.replace("tcp:", "http:"));
  const socket = connect(Number(port), hostname);
  const messageBytes = encodedMessage(Number(payloadText)).length;
  socket.write(Buffer.concat([GREETING, READY_SUB]));
  let all = 0;
  let isSubscribed = false;
  let isBegun = false;
  socket.on("data", (chunk) => {
    all += chunk.length;
    bytes += chunk.length;
    if (!isSubscribed) {
      isSubscribed = true;
      socket.write(SUBSCRIBE_ALL);
    }
    if (!isBegun && all >= warmup * messageBytes) {
      isBegun = true;
      begin();
    } else if (isBegun && bytes >= messages * messageBytes) {
      socket.removeAllListeners("data");
      finish(Math.floor(bytes / messageBytes));
    }
  });
}

if (kind.endsWith("zeromq")) await zeromq();
else if (kind === "net") net();
else await ours();
