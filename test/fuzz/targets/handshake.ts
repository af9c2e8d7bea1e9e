import assert from "node:assert/strict";
import { encodeMetadata } from "../../../transports/zmtp/commands.ts";
import { Handshake, type HandshakeStep } from "../../../transports/zmtp/handshake.ts";
import type { MechanismFactory, SocketType } from "../../../transports/zmtp/mechanism.ts";
import { nullMechanism } from "../../../transports/zmtp/null.ts";
import { plainClient, plainServer } from "../../../transports/zmtp/plain.ts";
import { bytes } from "../../transports/zmtp/support.ts";
import type { Generator } from "../generator.ts";
import { anyGreeting, anyMetadata, anyTraffic, commandFrame, plainHello, SOCKET_TYPES } from "../grammar.ts";
import { codeOf, inputOf, pureTarget, type Target } from "../target.ts";

/** How a handshake ended, in words that do not depend on how the bytes were cut. */
interface Outcome {
  readonly end: string;
  readonly sent: readonly string[];
  /** What follows the handshake. */
  readonly rest: string;
}

/** Above it, what comes before a verdict is refused when it comes at once, and held when it comes later. */
const SAFELY_HELD_BYTES = 8_192;

async function shake(handshake: Handshake, pieces: readonly Buffer[]): Promise<Outcome> {
  const sent: string[] = [];
  for (const [i, piece] of pieces.entries()) {
    let step: HandshakeStep = handshake.push(piece);
    for (;;) {
      for (const frame of step.send) sent.push(Buffer.from(frame).toString("hex"));
      if (step.pending === undefined) break;
      step = handshake.resume(await step.pending("127.0.0.1"));
    }
    if (step.failure !== undefined) return { end: codeOf(step.failure), sent, rest: "" };
    if (step.done === undefined) continue;
    const { peer, rest } = step.done;
    assert.ok(peer.identity.length <= 255);
    const end = `${peer.socketType} ${Buffer.from(peer.identity).toString("hex")} ${peer.knowsCommands}`;
    return { end, sent, rest: Buffer.concat([rest, ...pieces.slice(i + 1)]).toString("hex") };
  }
  const silent = handshake.onSilentClose();
  if (silent !== null) codeOf(silent);
  return { end: "waits", sent, rest: "" };
}

/** Feeds the same bytes whole and in pieces: it has to come to the same. */
async function compare(generator: Generator, stream: Buffer, make: () => Handshake): Promise<void> {
  const whole = await shake(make(), [stream]);
  if (stream.length > SAFELY_HELD_BYTES) return;
  assert.deepEqual(await shake(make(), generator.pieces(stream)), whole);
}

function handshakeOf(mechanism: MechanismFactory, socketType: SocketType): Handshake {
  return new Handshake(mechanism(encodeMetadata([["Socket-Type", bytes(socketType)]])), socketType);
}

/** Commands of a handshake in mostly their order, with others between them, and traffic behind. */
function stream(generator: Generator, mechanism: string, commands: readonly (() => Buffer)[]): Buffer {
  const parts = [anyGreeting(generator, mechanism)];
  for (const make of commands) {
    if (generator.chance(0.06)) parts.push(anyTraffic(generator));
    if (generator.chance(0.95)) parts.push(make());
    if (generator.chance(0.04)) parts.push(make());
  }
  if (generator.chance(0.5)) parts.push(anyTraffic(generator));
  return Buffer.concat(parts);
}

const handshakeNull = pureTarget("handshake-null", async (generator, inputs) => {
  const type = generator.pick(SOCKET_TYPES);
  const input = inputOf(generator, inputs, () =>
    stream(generator, "NULL", [() => commandFrame(generator, "READY", anyMetadata(generator, type))]),
  );
  await compare(generator, input, () => handshakeOf(nullMechanism, type));
});

/** What applications answer, and what they should not. */
const VERDICTS: readonly (() => unknown)[] = [
  () => true,
  async () => true,
  () => false,
  () => "yes",
  () => undefined,
  () => {
    throw new Error("no answer");
  },
  () => Promise.reject(new Error("no answer")),
];

const handshakePlainServer = pureTarget("handshake-plain-server", async (generator, inputs) => {
  const type = generator.pick(SOCKET_TYPES);
  const verdict = generator.chance(0.7) ? VERDICTS[0]! : generator.pick(VERDICTS);
  const input = inputOf(generator, inputs, () =>
    stream(generator, "PLAIN", [
      () => commandFrame(generator, "HELLO", plainHello(generator)),
      () => commandFrame(generator, "INITIATE", anyMetadata(generator, type)),
    ]),
  );
  await compare(generator, input, () => handshakeOf(plainServer(verdict as () => boolean), type));
});

const handshakePlainClient = pureTarget("handshake-plain-client", async (generator, inputs) => {
  const type = generator.pick(SOCKET_TYPES);
  const input = inputOf(generator, inputs, () =>
    stream(generator, "PLAIN", [
      () => commandFrame(generator, "WELCOME", generator.chance(0.9) ? Buffer.alloc(0) : generator.bytes(4)),
      () => commandFrame(generator, "READY", anyMetadata(generator, type)),
    ]),
  );
  await compare(generator, input, () => handshakeOf(plainClient("me", "open"), type));
});

export const handshakeTargets: readonly Target[] = [handshakeNull, handshakePlainServer, handshakePlainClient];
