import assert from "node:assert/strict";
import { KVEventSyncError } from "../../../src/errors.ts";
import {
  encodeMetadata,
  parseCommand,
  parseError,
  parseMetadata,
  parsePing,
  parseSubscriptionMessage,
} from "../../../transports/zmtp/commands.ts";
import { MessageParser } from "../../../transports/zmtp/message-parser.ts";
import { COMMAND, LONG, MORE, RESERVED_FLAGS } from "../../../transports/zmtp/wire.ts";
import type { Generator } from "../generator.ts";
import { anyContent, anyMetadata, anyTraffic, SOCKET_TYPES } from "../grammar.ts";
import { codeOf, inputOf, pureTarget, type Target } from "../target.ts";

const LIMITS = { maxMessageBytes: 2_000, maxFrames: 8 };
const MAX_COMMAND_BYTES = 65_536;

/** What came of a stream: messages and commands in order, and how it ended. */
interface Parsed {
  readonly seen: string[];
  end: string;
}

const hex = (data: Uint8Array): string => Buffer.from(data.buffer, data.byteOffset, data.length).toString("hex");

function parse(pieces: readonly Buffer[]): Parsed {
  const parsed: Parsed = { seen: [], end: "waits" };
  const take = (): void => {
    const heldBytes = parser.heldBytes;
    for (const frames of parser.take()) {
      const size = frames.reduce((sum, frame) => sum + frame.length, 0);
      assert.ok(size <= LIMITS.maxMessageBytes && frames.length <= LIMITS.maxFrames && heldBytes >= size);
      parsed.seen.push(frames.map(hex).join(" "));
    }
  };
  const parser: MessageParser = new MessageParser(LIMITS, null, (body) => {
    take();
    parsed.seen.push(`command ${hex(body)}`);
  });
  try {
    for (const piece of pieces) {
      parser.push(piece);
      take();
    }
  } catch (error) {
    parsed.end = codeOf(error);
    take();
  }
  return parsed;
}

/** The same by RFC 23, read naively from the whole stream. */
function reference(stream: Buffer): Parsed {
  const seen: string[] = [];
  let frames: Buffer[] = [];
  let offset = 0;
  while (offset < stream.length) {
    const flags = stream[offset]!;
    if ((flags & RESERVED_FLAGS) !== 0 || (flags & (COMMAND | MORE)) === (COMMAND | MORE))
      return { seen, end: "protocol" };
    const start = offset + (flags & LONG ? 9 : 2);
    if (start > stream.length) break;
    const size = flags & LONG ? stream.readBigUInt64BE(offset + 1) : BigInt(stream[offset + 1]!);
    const total = BigInt(frames.reduce((sum, { length }) => sum + length, 0)) + size;
    const isTooLarge = total > BigInt(LIMITS.maxMessageBytes) || (flags & COMMAND && size > BigInt(MAX_COMMAND_BYTES));
    if (isTooLarge) return { seen, end: "message-too-large" };
    const end = start + Number(size);
    if (end > stream.length) break;
    const body = stream.subarray(start, end);
    offset = end;
    if (flags & COMMAND) {
      seen.push(`command ${hex(body)}`);
      continue;
    }
    frames.push(body);
    if (flags & MORE) {
      if (frames.length >= LIMITS.maxFrames) return { seen, end: "message-too-large" };
      continue;
    }
    seen.push(frames.map(hex).join(" "));
    frames = [];
  }
  return { seen, end: "waits" };
}

const messages = pureTarget("messages", (generator, inputs) => {
  const stream = inputOf(generator, inputs, () => Buffer.concat(generator.many(0, 3, () => anyTraffic(generator))));
  const before = generator.chance(0.02) ? process.memoryUsage().arrayBuffers : null;
  const whole = parse([stream]);
  if (before !== null) {
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < 1_000_000, `${grown} bytes for ${stream.length}`);
  }
  assert.deepEqual(whole, reference(stream));
  assert.deepEqual(parse(generator.pieces(stream)), whole);
});

/** Calls what may throw for a peer's fault; anything else that it throws is a fault of ours. */
function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof KVEventSyncError) codeOf(error);
    else throw error;
    return null;
  }
}

function metadataRoundTrip(data: Uint8Array): void {
  const metadata = attempt(() => parseMetadata(data));
  if (metadata === null) return;
  const again = parseMetadata(encodeMetadata([...metadata]));
  assert.deepEqual(
    [...again].map(([name, value]) => [name, hex(value)]),
    [...metadata].map(([name, value]) => [name, hex(value)]),
  );
}

const commands = pureTarget("commands", (generator: Generator, inputs) => {
  const body = inputOf(generator, inputs, () => Buffer.from(anyContent(generator).body));
  const command = attempt(() => parseCommand(body));
  for (const data of [command?.data ?? body, anyMetadata(generator, generator.pick(SOCKET_TYPES))])
    metadataRoundTrip(data);
  const data = command?.data ?? body;
  assert.match(parseError(data), /^[\x20-\x7e]{0,255}$/);
  const ping = attempt(() => parsePing(data));
  if (ping !== null) assert.ok(ping.ttlMs <= 6_553_500 && ping.pong.length <= 5 + 16);
  const change = parseSubscriptionMessage([body]);
  if (change !== null) assert.equal(change.topic.length, body.length - 1);
});

export const messageTargets: readonly Target[] = [messages, commands];
