/**
 * A publisher that is never the bottleneck: after a proper ZMTP handshake it writes the same encoded messages over and
 * over, as fast as the kernel takes them. Usage: stream-server PAYLOAD_BYTES; prints its endpoint.
 */
import { createServer, type Socket } from "node:net";
import { encodedMessages, GREETING, GREETING_BYTES, READY_PUB } from "./wire.ts";

const piece = encodedMessages(Number(process.argv[2]), 1_048_576);

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.write(Buffer.concat([GREETING, READY_PUB]));
  let received = 0;
  socket.on("data", (chunk) => {
    // Greeting, READY, and whatever a subscription looks like in the peer's version: from then on it is asked for all.
    const readyBytes = 2 + 25;
    const before = received;
    received += chunk.length;
    const wanted = GREETING_BYTES + readyBytes;
    if (before <= wanted && received > wanted) pump(socket);
  });
});

function pump(socket: Socket): void {
  while (socket.writable && socket.write(piece));
  socket.once("drain", () => pump(socket));
}

server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as { readonly port: number };
  process.stdout.write(`tcp://127.0.0.1:${port}\n`);
});
