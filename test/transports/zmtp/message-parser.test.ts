import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TransportError } from "../../../src/errors.ts";
import type { Message } from "../../../src/transport.ts";
import { FRAME_OVERHEAD_BYTES, MessageParser } from "../../../transports/zmtp/message-parser.ts";
import { COMMAND, MORE } from "../../../transports/zmtp/wire.ts";
import { bytes, command, frame, message } from "./support.ts";

const LIMITS = { maxMessageBytes: 1_000_000, maxFrames: 64 };

function parser(limits = LIMITS, commands: Uint8Array[] = []): MessageParser {
  return new MessageParser(limits, null, (body) => {
    commands.push(body);
  });
}

function parse(chunks: readonly Uint8Array[], limits = LIMITS): Message[] {
  const parsing = parser(limits);
  const messages: Message[] = [];
  for (const chunk of chunks) {
    parsing.push(chunk);
    messages.push(...parsing.take());
  }
  return messages;
}

const plain = (messages: readonly Message[]): string[][] =>
  messages.map((frames) => frames.map((body) => Buffer.from(body).toString("hex")));

/** Asserts that the bytes are refused, with this code and these words. */
function refused(data: Uint8Array, code: string, words: RegExp, limits = LIMITS): void {
  assert.throws(
    () => parse([data], limits),
    (error) => error instanceof TransportError && error.code === code && words.test(error.message),
  );
}

const size = (value: bigint): Buffer => {
  const data = Buffer.alloc(8);
  data.writeBigUInt64BE(value);
  return data;
};

const anyMessage = fc.array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 5 });

/** The stream cut at these places (taken modulo its length). */
function cut(stream: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, i) => stream.subarray(start, at[i] ?? stream.length));
}

test("zmtp 1: messages that come byte by byte are whole", () => {
  const sent = [[bytes("a"), bytes(""), Buffer.alloc(300, 7)], [bytes("")]];
  const stream = Buffer.concat(sent.map((frames) => message(...frames)));
  assert.deepEqual(plain(parse([...stream].map((byte) => Uint8Array.of(byte)))), plain(sent));
});

test("zmtp 2: random fragmentation gives the same messages", () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 12 }), (sent, places) => {
      const stream = Buffer.concat(sent.map((frames) => message(...frames)));
      assert.deepEqual(plain(parse(cut(stream, places))), plain(sent));
    }),
  );
});

test("zmtp 3: many messages in one chunk come in order, as views into it", () => {
  const stream = Buffer.concat(Array.from({ length: 1_000 }, (_, i) => message(bytes("kv"), bytes(`${i}`))));
  const messages = parse([stream]);
  assert.deepEqual(
    messages.map(([, number]) => Number(Buffer.from(number!).toString())),
    Array.from({ length: 1_000 }, (_, i) => i),
  );
  assert.ok(messages.every((frames) => frames.every((body) => body.buffer === stream.buffer)));
});

for (const length of [0, 1, 254, 255, 256, 65_536]) {
  test(`zmtp 4: a frame of ${length} bytes, short or needlessly LONG, keeps its bytes`, () => {
    const body = Buffer.alloc(length, 0x5a);
    const forms = length > 255 ? [frame(0, body)] : [frame(0, body), frame(0, body, true)];
    for (const form of forms) assert.deepEqual(plain(parse([form])), plain([[body]]));
  });
}

test("zmtp 5: frames with MORE in different chunks make one message", () => {
  const chunks = [frame(MORE, bytes("a")), frame(MORE, bytes("b")), frame(0, bytes("c"))];
  assert.deepEqual(plain(parse(chunks)), plain([[bytes("a"), bytes("b"), bytes("c")]]));
});

test("zmtp 5: a frame that crosses chunks is copied once, so that it pins none of them", () => {
  const stream = message(Buffer.alloc(40_000, 1));
  const chunks = [stream.subarray(0, 20_000), stream.subarray(20_000)].map((chunk) => Uint8Array.from(chunk));
  const [[body]] = parse(chunks) as [[Uint8Array]];
  assert.deepEqual(Buffer.from(body), Buffer.alloc(40_000, 1));
  assert.ok(chunks.every((chunk) => chunk.buffer !== body.buffer));
  assert.equal(body.buffer.byteLength, 40_000);
});

test("zmtp 6: a frame above the limit is refused by its header", () => {
  refused(
    Buffer.concat([Buffer.of(2), size(1_000_001n)]),
    "message-too-large",
    /frame of 1000001 bytes exceeds maxMessageBytes 1000000; raise maxMessageBytes/,
  );
});

test("zmtp 6: the frames of one message count together", () => {
  const half = frame(MORE, Buffer.alloc(600_000));
  refused(Buffer.concat([half, Buffer.of(2), size(600_000n)]), "message-too-large", /message of 1200000 or more bytes/);
});

test("zmtp 6: the next message has the whole limit again", () => {
  const each = message(Buffer.alloc(600_000), Buffer.alloc(300_000));
  assert.equal(parse([each, each]).length, 2);
});

for (const length of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
  test(`zmtp 7: a length of ${length} is refused, and quoted exactly`, () => {
    refused(Buffer.concat([Buffer.of(2), size(length)]), "message-too-large", new RegExp(`frame of ${length} bytes`));
  });
}

test("zmtp 8: endless MORE is cut off", () => {
  const endless = Buffer.concat(Array.from({ length: 64 }, () => frame(MORE, bytes(""))));
  refused(endless, "message-too-large", /exceeds maxFrames 64/);
});

test("zmtp 8: a message of exactly the allowed number of frames passes", () => {
  const frames = Array.from({ length: 64 }, () => bytes("x"));
  assert.equal(parse([message(...frames)])[0]?.length, 64);
});

for (const flags of [8, 16, 32, 64, 128, 255]) {
  test(`zmtp 9: reserved flags ${flags} are refused`, () => {
    refused(Buffer.concat([Buffer.of(flags), size(1n)]), "protocol", new RegExp(`reserved flags ${flags}`));
  });
}

test("zmtp 9: a command with MORE is refused", () => {
  refused(frame(COMMAND | MORE, bytes("\x04PING\0\0")), "protocol", /command with the MORE flag/);
});

test("zmtp 9: a command as large as a message is refused", () => {
  refused(frame(COMMAND, Buffer.alloc(65_537)), "message-too-large", /command of 65537 bytes/);
});

test("zmtp 10: a message that is not complete is not given out", () => {
  const stream = message(bytes("whole"), bytes("message"));
  assert.deepEqual(parse([stream.subarray(0, stream.length - 1)]), []);
});

test("zmtp 11: any bytes give messages or a TransportError, and no more memory than they announce", () => {
  const anyStream = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    // Mostly well-formed, so that the fault is met in every state.
    fc.tuple(fc.array(anyMessage, { maxLength: 4 }), fc.nat(), fc.nat(255)).map(([sent, place, byte]) => {
      const stream = Buffer.concat(sent.map((frames) => message(...frames)));
      if (stream.length > 0) stream[place % stream.length] = byte;
      return stream;
    }),
  );
  fc.assert(
    fc.property(anyStream, fc.array(fc.nat(), { maxLength: 6 }), (stream, places) => {
      try {
        const messages = parse(cut(Buffer.from(stream), places), { maxMessageBytes: 2_000, maxFrames: 8 });
        for (const frames of messages) {
          assert.ok(frames.length <= 8);
          assert.ok(frames.reduce((sum, body) => sum + body.length, 0) <= 2_000);
        }
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});

test("the messages before a fault can still be taken", () => {
  const parsing = parser();
  assert.throws(() => parsing.push(Buffer.concat([message(bytes("good")), Buffer.of(0xff, 0)])), TransportError);
  assert.deepEqual(plain(parsing.take()), plain([[bytes("good")]]));
});

test("commands between and inside messages are reported in order", () => {
  const seen: string[] = [];
  const parsing: MessageParser = new MessageParser(LIMITS, null, (body) => {
    seen.push(
      ...parsing.take().map(([body]) => Buffer.from(body!).toString()),
      Buffer.from(body).toString("latin1", 1),
    );
  });
  parsing.push(Buffer.concat([message(bytes("1")), frame(MORE, bytes("2")), command("PING"), frame(0, bytes("3"))]));
  seen.push(...parsing.take().map((frames) => Buffer.concat(frames).toString()));
  assert.deepEqual(seen, ["1", "PING", "23"]);
});

test("held bytes are those of complete messages, with a charge for each frame", () => {
  const parsing = parser();
  parsing.push(Buffer.concat([message(bytes("abc"), bytes("")), frame(MORE, bytes("open"))]));
  assert.equal(parsing.heldBytes, 3 + 2 * FRAME_OVERHEAD_BYTES);
});

test("zmtp 40: one small message counts as the chunk that it keeps in memory", () => {
  const parsing = parser();
  const noise = Buffer.concat(Array.from({ length: 1_000 }, () => command("PONG", Buffer.alloc(50))));
  parsing.push(Buffer.concat([message(bytes("x")), noise]));
  assert.ok(parsing.heldBytes > 50_000);
});

test("zmtp 40: the small frames of a message that spans chunks keep none of them in memory", () => {
  const parsing = parser();
  const noise = Buffer.concat(Array.from({ length: 1_000 }, () => command("PONG", Buffer.alloc(50))));
  const parts = [frame(MORE, bytes("a")), frame(MORE, bytes("b")), frame(0, bytes("c"))];
  const chunks = parts.map((part) => Uint8Array.from(Buffer.concat([noise, part])));
  for (const chunk of chunks) parsing.push(chunk);
  const heldBytes = parsing.heldBytes;
  const [[a, b, c]] = parsing.take() as unknown as [[Uint8Array, Uint8Array, Uint8Array]];
  assert.deepEqual(plain([[a, b, c]]), plain([[bytes("a"), bytes("b"), bytes("c")]]));
  const pinned = new Set([a, b, c].map(({ buffer }) => buffer)).values();
  const pinnedBytes = [...pinned].reduce((sum, { byteLength }) => sum + byteLength, 0);
  assert.ok(pinnedBytes <= heldBytes + 2, `${pinnedBytes} bytes are kept, ${heldBytes} are counted`);
});

test("frames pass through a codec: inner flags count, and so does the room that it needs", () => {
  const codec = {
    overheadBytes: 1,
    wrap: (): void => assert.fail(),
    unwrap: (body: Uint8Array) => ({ flags: body[0]!, body: body.subarray(1) }),
  };
  const commands: Uint8Array[] = [];
  const parsing = new MessageParser({ maxMessageBytes: 4, maxFrames: 2 }, codec, (body) => commands.push(body));
  parsing.push(Buffer.concat([frame(0, bytes("\x01ab")), frame(COMMAND, bytes("\x00cd")), frame(0, bytes("\x04go"))]));
  assert.deepEqual(plain(parsing.take()), plain([[bytes("ab"), bytes("cd")]]));
  assert.deepEqual(commands, [new Uint8Array(bytes("go"))]);
});
