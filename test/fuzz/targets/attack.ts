import type { Socket as NetSocket } from "node:net";
import { encodeMetadata } from "../../../transports/zmtp/commands.ts";
import { Handshake, type HandshakeStep } from "../../../transports/zmtp/handshake.ts";
import type { FrameCodec, SocketType } from "../../../transports/zmtp/mechanism.ts";
import { encodeWrappedFrame } from "../../../transports/zmtp/message-encoder.ts";
import { resolveSecurity, type ZmtpSecurity } from "../../../transports/zmtp/security.ts";
import { encodeFrame } from "../../../transports/zmtp/wire.ts";
import { bytes } from "../../transports/zmtp/support.ts";
import type { Generator } from "../generator.ts";
import { anyContent, anyGreeting, anyMetadata, anyTraffic, commandFrame, plainHello } from "../grammar.ts";
import { type Inputs, inputOf } from "../target.ts";

const PARTNER: Readonly<Record<SocketType, SocketType>> = {
  SUB: "PUB",
  PUB: "SUB",
  DEALER: "ROUTER",
  ROUTER: "DEALER",
};

/** Whom an attacker is connected to, and the other half of its security. */
export interface Victim {
  readonly socketType: SocketType;
  readonly security: ZmtpSecurity;
}

/** Misbehaves over an open connection in one of many ways, and then ends its side of it. */
export async function attack(generator: Generator, inputs: Inputs, socket: NetSocket, victim: Victim): Promise<void> {
  socket.on("error", () => {});
  if (inputs.exact !== undefined) await recite(generator, inputs, socket, victim);
  else if (generator.chance(0.03)) socket.once("data", () => socket.resetAndDestroy());
  else if (generator.chance(0.5)) await recite(generator, inputs, socket, victim);
  else await shakeHands(generator, socket, victim);
}

/** Sends what was thought of beforehand, without listening. */
async function recite(generator: Generator, inputs: Inputs, socket: NetSocket, victim: Victim): Promise<void> {
  socket.resume();
  const data = inputOf(generator, inputs, () => script(generator, victim));
  for (const piece of generator.pieces(data)) {
    socket.write(piece);
    if (generator.chance(0.3)) await turn();
  }
  socket.end();
}

function script(generator: Generator, { socketType, security }: Victim): Buffer {
  const metadata = anyMetadata(generator, socketType);
  const commands = {
    NULL: [commandFrame(generator, "READY", metadata)],
    PLAIN: [
      commandFrame(generator, "HELLO", plainHello(generator)),
      commandFrame(generator, "WELCOME", Buffer.alloc(0)),
      commandFrame(generator, generator.pick(["INITIATE", "READY"]), metadata),
    ],
    CURVE: [
      commandFrame(
        generator,
        generator.pick(["HELLO", "WELCOME", "INITIATE"]),
        generator.bytes(generator.pick([160, 194])),
      ),
    ],
  };
  const said = commands[security.mechanism].filter(() => generator.chance(0.85));
  return Buffer.concat([anyGreeting(generator, security.mechanism), ...said, anyTraffic(generator)]);
}

/** Answers as a peer would, until it makes a mistake or is through, and then sends traffic of all kinds. */
async function shakeHands(generator: Generator, socket: NetSocket, { socketType, security }: Victim): Promise<void> {
  const own = PARTNER[socketType];
  const metadata = generator.chance(0.8)
    ? encodeMetadata([["Socket-Type", bytes(own)]])
    : anyMetadata(generator, socketType);
  const handshake = new Handshake(resolveSecurity(security)(metadata), own);
  socket.write(handshake.opening());
  const send = (frame: Uint8Array): boolean => {
    const isFaulty = generator.chance(0.12);
    socket.write(isFaulty ? generator.mutated(Buffer.from(frame)) : frame);
    return !isFaulty;
  };
  await new Promise<void>((resolve) => {
    const end = (): void => {
      socket.off("data", onData).resume().end();
      resolve();
    };
    const follow = (step: HandshakeStep): void => {
      const isHonest = step.send.every(send);
      if (!isHonest || step.failure !== undefined) end();
      else if (step.pending !== undefined) void step.pending("").then((next) => follow(handshake.resume(next)), end);
      else if (step.done !== undefined) {
        chatter(generator, socket, step.done.codec, send);
        end();
      }
    };
    const onData = (chunk: Buffer): void => follow(handshake.push(chunk));
    socket
      .on("data", onData)
      .on("end", end)
      .on("close", () => resolve());
  });
}

function chatter(
  generator: Generator,
  socket: NetSocket,
  codec: FrameCodec | null,
  send: (frame: Uint8Array) => boolean,
): void {
  for (let i = generator.below(12); i > 0; i -= 1) {
    const { flags, body } = anyContent(generator);
    if (!send(codec === null ? encodeFrame(flags, body) : encodeWrappedFrame(codec, flags, body))) return;
  }
  if (generator.chance(0.3)) socket.write(anyTraffic(generator));
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
