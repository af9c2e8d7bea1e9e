import { createServer, type Server, type Socket } from "node:net";
import { frame, GREETING, GREETING_BYTES, READY_PUB } from "../transport/wire.ts";

/** READY of a SUB socket, as it comes on the wire. */
const READY_SUB_BYTES = 27;

const TOPIC = frame(1, new Uint8Array(0));

/** One batch as an engine publishes it: topic, sequence, payload. */
export function wireMessage(sequence: number, payload: Uint8Array): Uint8Array {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(sequence));
  return Buffer.concat([TOPIC, frame(1, number), frame(0, payload)]);
}

/**
 * Publishers of encoded messages, each on a port of its own, for one subscriber each. They drop nothing: what the
 * subscriber does not take waits at the socket, so that a slow one costs its own time and loses no message.
 */
export class Publishers implements AsyncDisposable {
  readonly endpoints: readonly string[];
  /** Resolves when each has a subscriber. */
  readonly subscribed: Promise<void>;
  readonly #servers: readonly Server[];
  readonly #sockets: readonly (Socket | undefined)[];

  private constructor(servers: readonly Server[], sockets: readonly (Socket | undefined)[], subscribed: Promise<void>) {
    this.#servers = servers;
    this.#sockets = sockets;
    this.subscribed = subscribed;
    this.endpoints = servers.map((server) => {
      const { port } = server.address() as { readonly port: number };
      return `tcp://127.0.0.1:${port}`;
    });
  }

  static async open(count: number): Promise<Publishers> {
    const sockets = new Array<Socket | undefined>(count);
    const { promise: subscribed, resolve } = withResolvers();
    let missing = count;
    const servers = Array.from({ length: count }, (_, at) =>
      createServer((socket) => {
        greet(socket, () => {
          sockets[at] = socket;
          if (--missing === 0) resolve();
        });
      }),
    );
    await Promise.all(
      servers.map((server) => new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))),
    );
    return new Publishers(servers, sockets, subscribed);
  }

  /** Whole messages, encoded. Not before `subscribed`. */
  send(at: number, bytes: Uint8Array): void {
    this.#sockets[at]!.write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket?.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((closed) => server.close(closed))));
  }
}

function greet(socket: Socket, onSubscribed: () => void): void {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.write(Buffer.concat([GREETING, READY_PUB]));
  let received = 0;
  socket.on("data", (chunk) => {
    const before = received;
    received += chunk.length;
    // Greeting, READY, and whatever a subscription looks like in the peer's version: from then on it is asked for all.
    const wanted = GREETING_BYTES + READY_SUB_BYTES;
    if (before <= wanted && received > wanted) onSubscribed();
  });
}

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
