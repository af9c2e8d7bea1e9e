import assert from "node:assert/strict";
import type { TransportError } from "../../../src/errors.ts";
import type { Message, Receiver, Router, Socket, SocketOptions } from "../../../src/transport.ts";
import { type ZmtpSecurity, zmtp } from "../../../transports/zmtp/index.ts";
import type { SocketType } from "../../../transports/zmtp/mechanism.ts";

/** Low, so that a stranger reaches them; and no wait for a stranger that is gone. */
const LIMITS = {
  maxMessageBytes: 65_536,
  maxFrames: 64,
  lingerMs: 0,
  heartbeatIntervalMs: 0,
  handshakeTimeoutMs: 2_000,
} as const;

/** One of our sockets in use: what comes is read, and a router sends it back. */
export interface OurSocket {
  readonly socket: Socket;
  /** Sends, if it is of a kind that can. */
  say(message: Message): void;
  /** Ends with the socket. */
  readonly serving: Promise<void>;
}

export function openSocket(socketType: SocketType, security: ZmtpSecurity, options: SocketOptions): OurSocket {
  const transport = zmtp({ ...LIMITS, security });
  switch (socketType) {
    case "SUB": {
      const socket = transport.subscriber(options);
      socket.subscribe("");
      return { socket, say: () => {}, serving: read(socket, () => {}) };
    }
    case "PUB": {
      const socket = transport.publisher({ ...options, onSubscription: () => {} });
      return { socket, say: (message) => socket.send(message), serving: Promise.resolve() };
    }
    case "DEALER": {
      const socket = transport.dealer(options);
      return { socket, say: (message) => socket.send(message), serving: read(socket, () => {}) };
    }
    case "ROUTER": {
      const socket = transport.router(options);
      return {
        socket,
        say: (message) => void socket.send(message),
        serving: read(socket, (each) => answer(socket, each)),
      };
    }
  }
}

/** What was read before the socket closed is still handed out after it. */
function answer(router: Router, message: Message): void {
  try {
    router.send(message);
  } catch (error) {
    if ((error as TransportError).code !== "closed") throw error;
  }
}

async function read(receiver: Receiver, take: (message: Message) => void): Promise<void> {
  for await (const { messages } of receiver.receive()) {
    for (const message of messages) {
      // A router puts an identity in front.
      assert.ok(message.length <= LIMITS.maxFrames + 1);
      // A message may be nothing but an identity, which cannot be sent back.
      if (message.length > 1) take(message);
    }
  }
}
