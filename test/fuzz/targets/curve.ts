import assert from "node:assert/strict";
import { encodeMetadata, parseMetadata } from "../../../transports/zmtp/commands.ts";
import { nobleSecretbox } from "../../../transports/zmtp/curve/box.ts";
import { curveClient } from "../../../transports/zmtp/curve/client.ts";
import { CurveCodec } from "../../../transports/zmtp/curve/codec.ts";
import { keyPairOf } from "../../../transports/zmtp/curve/keys.ts";
import { curveServer } from "../../../transports/zmtp/curve/server.ts";
import { Handshake, type HandshakeStep } from "../../../transports/zmtp/handshake.ts";
import type { FrameCodec, SocketType } from "../../../transports/zmtp/mechanism.ts";
import { encodeWrapped, encodeWrappedFrame } from "../../../transports/zmtp/message-encoder.ts";
import { MessageParser } from "../../../transports/zmtp/message-parser.ts";
import { COMMAND, MORE } from "../../../transports/zmtp/wire.ts";
import { bodyOf, converse, type Tamper } from "../../transports/zmtp/security-support.ts";
import { bytes, frame } from "../../transports/zmtp/support.ts";
import type { Generator } from "../generator.ts";
import { anyContent, anyMetadata } from "../grammar.ts";
import { codeOf, inputOf, pureTarget, type Target } from "../target.ts";

const secretbox = nobleSecretbox;
const SERVER = keyPairOf(Buffer.alloc(32, 7));
const CLIENT = keyPairOf(Buffer.alloc(32, 9));

interface Side {
  readonly socketType: SocketType;
  readonly metadata: Uint8Array;
}

const clientOf = ({ socketType, metadata }: Side): Handshake =>
  new Handshake(curveClient({ keys: CLIENT, serverKey: SERVER.publicKey, secretbox })(metadata), socketType);

const serverOf = ({ socketType, metadata }: Side): Handshake =>
  new Handshake(curveServer({ keys: SERVER, authenticate: null, secretbox })(metadata), socketType);

/** What a side says of itself: true, or anything at all. */
function anySide(generator: Generator, socketType: SocketType, partner: SocketType): Side {
  const isTrue = generator.chance(0.6);
  const identity = generator.bytes(generator.length(255));
  const own = encodeMetadata([
    ["Socket-Type", bytes(socketType)],
    ["Identity", identity],
  ]);
  return { socketType, metadata: isTrue ? own : anyMetadata(generator, partner) };
}

/** Faults on the wire: in the bytes, or in which frames come, how often and in which form. */
function anyTamper(generator: Generator, seen: Uint8Array[]): Tamper {
  const strength = generator.pick([0, 0.2, 0.6]);
  return (data) => {
    const original = Buffer.from(data);
    seen.push(original);
    if (!generator.chance(strength)) return original;
    switch (generator.below(6)) {
      case 0:
        return Buffer.concat([original, original]);
      case 1:
        return Buffer.concat([original, Buffer.from(generator.pick(seen))]);
      case 2:
        return Buffer.from(generator.pick(seen));
      case 3:
        return frame(generator.pick([0, COMMAND, COMMAND | 8]), bodyOf(original), true);
      case 4:
        return frame(COMMAND, generator.mutated(Buffer.from(bodyOf(original))));
      default:
        return generator.mutated(original);
    }
  };
}

/** Whatever happens on the way: who is shown at the end is who it was, and said what it said. */
function assertTrue(step: HandshakeStep | undefined, other: Side): void {
  if (step?.failure !== undefined) codeOf(step.failure);
  if (step?.done === undefined) return;
  const said = parseMetadata(other.metadata);
  const { socketType, identity } = step.done.peer;
  assert.equal(socketType, Buffer.from(said.get("socket-type")!).toString("latin1"));
  assert.deepEqual(Buffer.from(identity), Buffer.from(said.get("identity") ?? []));
}

const handshake = pureTarget("handshake-curve", async (generator, inputs) => {
  const client = anySide(generator, "SUB", "PUB");
  const server = anySide(generator, "PUB", "SUB");
  const exchange = await converse(clientOf(client), serverOf(server), anyTamper(generator, []));
  assertTrue(exchange.client, server);
  assertTrue(exchange.server, client);
  // A stranger without any key gets no further than HELLO, whatever it sends.
  const stream = inputOf(generator, inputs, () => generator.bytes(generator.length(400)));
  for (const side of [clientOf(client), serverOf(server)]) {
    let step: HandshakeStep = { send: [] };
    for (const piece of generator.pieces(stream)) {
      step = side.push(piece);
      if (step.failure !== undefined) break;
      assert.equal(step.done, undefined);
    }
    if (step.failure !== undefined) codeOf(step.failure);
  }
});

/** The two ends of one connection. */
function codecs(): { readonly sender: FrameCodec; readonly receiver: FrameCodec } {
  const session = { secretbox, key: Buffer.alloc(32, 3), received: Buffer.alloc(8), sent: 0 };
  return {
    sender: new CurveCodec({ ...session, asServer: true }),
    receiver: new CurveCodec({ ...session, received: Buffer.alloc(8), asServer: false }),
  };
}

const LIMITS = { maxMessageBytes: 20_000, maxFrames: 16 };

/** Honest frames, some of them with faults, replayed, left out or in another order. */
function onTheWire(generator: Generator, honest: readonly Uint8Array[]): { data: Buffer; untouched: number } {
  const frames = honest.map((each) => Buffer.from(each));
  const at = generator.below(frames.length + 1);
  if (generator.chance(0.3) || at === frames.length) return { data: Buffer.concat(frames), untouched: frames.length };
  const faulty = [
    () => [generator.mutated(frames[at]!)],
    () => [frame(0, generator.mutated(Buffer.from(bodyOf(frames[at]!))))],
    () => [frames[at]!, frames[generator.below(at + 1)]!],
    () => [],
    () => [...frames.slice(at + 1, at + 2), frames[at]!],
    () => [frame(0, generator.bytes(generator.length(200)))],
  ];
  const changed = [...frames.slice(0, at), ...generator.pick(faulty)(), ...frames.slice(at + 1)];
  return { data: Buffer.concat(changed), untouched: at };
}

const traffic = pureTarget("messages-curve", (generator) => {
  const { sender, receiver } = codecs();
  const said: string[] = [];
  const note = (flags: number, body: Uint8Array): void => {
    said.push(`${flags} ${Buffer.from(body).toString("hex")}`);
  };
  const honest = generator.many(1, 6, () => {
    const { flags, body } = anyContent(generator);
    if ((flags & COMMAND) === 0) {
      note(0, body);
      return encodeWrapped(sender, [body]);
    }
    note(COMMAND, body);
    return encodeWrappedFrame(sender, COMMAND, body);
  });
  const { data, untouched } = onTheWire(generator, honest);
  const heard: string[] = [];
  const hear = (): void => {
    for (const message of parser.take())
      heard.push(`0 ${message.map((each) => Buffer.from(each).toString("hex")).join("+")}`);
  };
  const parser: MessageParser = new MessageParser(LIMITS, receiver, (body) => {
    hear();
    heard.push(`${COMMAND} ${Buffer.from(body).toString("hex")}`);
  });
  try {
    for (const piece of generator.pieces(data)) {
      parser.push(piece);
      hear();
    }
  } catch (error) {
    hear();
    codeOf(error);
  }
  // What was heard is part of what was said, in its order, and all of it up to the first fault.
  let next = 0;
  for (const each of heard) {
    next = said.indexOf(each, next) + 1;
    assert.ok(next > 0, `never said, or not in this order: ${each}`);
  }
  assert.deepEqual(heard.slice(0, untouched), said.slice(0, untouched));
});

/** A peer that shares our keys, and so can seal whatever it likes. */
const sealed = pureTarget("sealed-curve", (generator) => {
  const { sender, receiver } = codecs();
  const parser = new MessageParser({ maxMessageBytes: 500, maxFrames: 4 }, receiver, () => {});
  try {
    for (let i = 0; i < 8; i += 1) {
      const { flags, body } = anyContent(generator);
      const inner = generator.chance(0.9) ? flags : generator.pick([MORE, COMMAND, COMMAND | MORE]);
      parser.push(encodeWrappedFrame(sender, inner, body));
      for (const message of parser.take()) {
        assert.ok(message.length <= 4 && message.reduce((sum, each) => sum + each.length, 0) <= 500);
      }
    }
  } catch (error) {
    codeOf(error);
  }
});

export const curveTargets: readonly Target[] = [handshake, traffic, sealed];
