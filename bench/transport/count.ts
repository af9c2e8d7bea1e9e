/**
 * A subscriber over a plain socket that counts bytes until the publisher ends. Usage: count ENDPOINT; prints "ready"
 * when it has subscribed, and at the end one line of JSON.
 */
import { connect } from "node:net";
import { GREETING, GREETING_BYTES, READY_SUB, SUBSCRIBE_ALL } from "./wire.ts";

const { hostname, port } = new URL(process.argv[2]!.replace("tcp:", "http:"));
const socket = connect(Number(port), hostname);
let handshake: Buffer | null = Buffer.alloc(0);
let bytes = 0;
let startedNs = 0n;
let lastNs = 0n;

socket.write(Buffer.concat([GREETING, READY_SUB]));
socket.on("data", (chunk) => {
  if (handshake !== null) {
    // libzmq drops whoever subscribes before its READY was read.
    handshake = Buffer.concat([handshake, chunk]);
    const readyBytes = handshake[GREETING_BYTES + 1];
    if (readyBytes === undefined || handshake.length < GREETING_BYTES + 2 + readyBytes) return;
    handshake = null;
    socket.write(SUBSCRIBE_ALL, () => process.stdout.write("ready\n"));
    return;
  }
  if (bytes === 0) startedNs = process.hrtime.bigint();
  bytes += chunk.length;
  lastNs = process.hrtime.bigint();
});
socket.on("error", () => {});
socket.on("close", () => {
  process.stdout.write(`${JSON.stringify({ bytes, seconds: Number(lastNs - startedNs) / 1e9 })}\n`);
});
