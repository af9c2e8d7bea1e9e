import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import sodium from "libsodium-wrappers";
import { TransportError } from "../../../src/errors.ts";
import { nobleSecretbox, nonce, type Secretbox } from "../../../transports/zmtp/curve/box.ts";
import { CurveCodec } from "../../../transports/zmtp/curve/codec.ts";
import { encodeWrapped, encodeWrappedFrame } from "../../../transports/zmtp/message-encoder.ts";
import { type MessageLimits, MessageParser } from "../../../transports/zmtp/message-parser.ts";
import { COMMAND, MORE } from "../../../transports/zmtp/wire.ts";
import { bodyOf, flipped } from "./security-support.ts";
import { bytes, frame, text, texts } from "./support.ts";

await sodium.ready;
const SODIUM: Secretbox = { seal: sodium.crypto_secretbox_easy, open: sodium.crypto_secretbox_open_easy };

const KEY = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7));
const count = (value: bigint): Uint8Array => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};

interface Side {
  readonly secretbox?: Secretbox;
  readonly asServer?: boolean;
  readonly sent?: number;
  readonly received?: bigint;
}

const codec = ({ secretbox = nobleSecretbox, asServer = false, sent = 0, received = 0n }: Side = {}): CurveCodec =>
  new CurveCodec({ secretbox, key: KEY, asServer, sent, received: count(received) });

const clientCodec = (): CurveCodec => codec();
const serverCodec = (): CurveCodec => codec({ asServer: true });

/** A frame as a client may seal it, whatever is in it. */
function sealed(number: bigint, content: Uint8Array, outerFlags = 0): Buffer {
  const box = nobleSecretbox.seal(content, nonce("CurveZMQMESSAGEC", count(number)), KEY);
  return frame(outerFlags, Buffer.concat([bytes("\x07MESSAGE"), count(number), box]));
}

function parse(
  data: Uint8Array,
  limits: Partial<MessageLimits> = {},
): { readonly messages: string[][]; readonly commands: string[] } {
  const commands: string[] = [];
  const parser = new MessageParser({ maxMessageBytes: 1_000_000, maxFrames: 10, ...limits }, serverCodec(), (body) =>
    commands.push(text(body)),
  );
  parser.push(data);
  return { messages: texts(parser.take()), commands };
}

const throws = (run: () => unknown, code: string, words: RegExp): void =>
  assert.throws(run, (error) => {
    assert.ok(error instanceof TransportError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  });

test("zmtp 50: a MESSAGE is on the wire as RFC 26 writes it, in a frame without flags as libzmq sends it", () => {
  const wire = Buffer.from(encodeWrapped(codec({ sent: 2 }), [bytes("kv"), bytes("x")]));
  const first = Buffer.concat([Buffer.of(0, 8 + 8 + 16 + 3), bytes("\x07MESSAGE"), count(3n)]);
  assert.deepEqual(wire.subarray(0, first.length), first);
  const expected = Buffer.concat([sealed(3n, bytes("\x01kv")), sealed(4n, bytes("\x00x"))]);
  assert.deepEqual(wire, expected);
});

test("zmtp 50: frames without flags and frames marked as commands are taken alike", () => {
  for (const outer of [0, COMMAND]) {
    const data = Buffer.concat([sealed(1n, bytes("\x01kv"), outer), sealed(2n, bytes("\x00x"), outer)]);
    assert.deepEqual(parse(data).messages, [["kv", "x"]]);
  }
});

test("zmtp 50: the MORE flag outside the box is nobody's word", () => {
  const data = Buffer.concat([
    sealed(1n, bytes("\x00kv"), MORE),
    sealed(2n, bytes("\x01x")),
    sealed(3n, bytes("\x00")),
  ]);
  assert.deepEqual(parse(data).messages, [["kv"], ["x", ""]]);
});

test("zmtp 50: flag 0x02 in the box marks a command, both sent and received", () => {
  const wire = encodeWrappedFrame(clientCodec(), COMMAND, bytes("\x04PING\0\0"));
  assert.deepEqual(Buffer.from(wire), sealed(1n, bytes("\x02\x04PING\0\0")));
  assert.deepEqual(parse(wire), { messages: [], commands: ["\x04PING\0\0"] });
});

for (const [what, content] of [
  ["unknown flags", "\x04x"],
  ["the highest flag", "\x80x"],
  ["a command with MORE", "\x03x"],
] as const) {
  test(`zmtp 50: a box with ${what} in it is refused`, () => {
    throws(() => parse(sealed(1n, bytes(content))), "protocol", /frame with flags \d+ in its box/);
  });
}

for (const [what, wire] of [
  ["in clear text", frame(0, bytes("kv"))],
  ["in clear text, as long as a MESSAGE", frame(0, Buffer.alloc(100))],
  ["of another command", frame(COMMAND, Buffer.concat([bytes("\x05READY"), Buffer.alloc(100)]))],
  ["that has no room for its flags", frame(0, Buffer.concat([bytes("\x07MESSAGE"), Buffer.alloc(8 + 16)]))],
] as const) {
  test(`zmtp 50: a frame ${what} is refused`, () => {
    throws(() => parse(wire), "protocol", /frame of \d+ bytes is no MESSAGE of CURVE; check the peer/);
  });
}

test("zmtp 50: a replayed frame is refused, and what came before it is still there", () => {
  const first = sealed(5n, bytes("\x00one"));
  const parser = new MessageParser({ maxMessageBytes: 100, maxFrames: 10 }, serverCodec(), () => {});
  throws(() => parser.push(Buffer.concat([first, first])), "protocol", /nonce was used before: it is replayed/);
  assert.deepEqual(texts(parser.take()), [["one"]]);
});

test("zmtp 50: counts may skip, but never go back, in all 64 bits", () => {
  const high = [1n, 2n, 0xffff_ffffn, 0x1_0000_0000n, 0x1_0000_0001n, 0x2_0000_0000n, 0xffff_ffff_ffff_ffffn];
  const frames = high.map((number) => sealed(number, bytes("\x00x")));
  assert.equal(parse(Buffer.concat(frames)).messages.length, high.length);
  for (let later = 0; later < frames.length; later += 1) {
    for (let earlier = 0; earlier <= later; earlier += 1) {
      const data = Buffer.concat([frames[later]!, frames[earlier]!]);
      throws(() => parse(data), "protocol", /used before/);
    }
  }
});

test("zmtp 50: counts go on after those of the handshake", () => {
  throws(() => codec({ asServer: true, received: 2n }).unwrap(bodyOf(sealed(2n, bytes("\0x")))), "protocol", /used/);
  assert.equal(text(codec({ asServer: true, received: 2n }).unwrap(bodyOf(sealed(3n, bytes("\0x")))).body), "x");
});

test("zmtp 50: our own counts pass 2^32 without a repetition", () => {
  const sender = codec({ sent: 0xffff_fffe });
  const wire = Buffer.concat(Array.from({ length: 3 }, () => encodeWrappedFrame(sender, 0, bytes("x"))));
  const size = wire.length / 3;
  const counts = [0, 1, 2].map((i) => wire.readBigUInt64BE(i * size + 2 + 8));
  assert.deepEqual(counts, [0xffff_ffffn, 0x1_0000_0000n, 0x1_0000_0001n]);
});

test("zmtp 50: our own frame that comes back is refused", () => {
  const wire = encodeWrappedFrame(clientCodec(), 0, bytes("x"));
  throws(() => clientCodec().unwrap(bodyOf(wire)), "authentication", /frame that the peer did not seal/);
});

test("zmtp 50: one changed bit anywhere in a frame ends the connection", () => {
  const wire = sealed(1n, bytes("\x00hello"));
  for (let place = 0; place < bodyOf(wire).length; place += 1) {
    assert.throws(() => parse(flipped(wire, place)), TransportError, `byte ${place}`);
  }
});

test("zmtp 50: a frame cut off anywhere ends the connection", () => {
  const body = bodyOf(sealed(1n, bytes("\x00hello")));
  for (let length = 0; length < body.length; length += 1) {
    assert.throws(() => parse(frame(0, body.subarray(0, length))), TransportError, `${length} bytes`);
  }
});

test("zmtp 50: limits are those of what is in the boxes", () => {
  const fits = [sealed(1n, Buffer.concat([bytes("\x01"), Buffer.alloc(60)])), sealed(2n, Buffer.alloc(1 + 40))];
  assert.equal(parse(Buffer.concat(fits), { maxMessageBytes: 100 }).messages.length, 1);
  throws(() => parse(Buffer.concat(fits), { maxMessageBytes: 99 }), "message-too-large", /exceeds maxMessageBytes 99/);
  const command = sealed(1n, Buffer.concat([bytes("\x02"), Buffer.alloc(65_537)]));
  throws(() => parse(command), "message-too-large", /command of 65537 bytes exceeds 65536/);
});

test("zmtp 50: an oversize frame is refused by its header, before its box has come", () => {
  const header = Buffer.from("02000000000000008a", "hex");
  throws(() => parse(header, { maxMessageBytes: 100 }), "message-too-large", /exceeds maxMessageBytes 100/);
});

test("zmtp 50: any messages and commands come out as they went in, by noble and by libsodium", () => {
  const anyFrame = fc.uint8Array({ maxLength: 300 });
  const boxes = [nobleSecretbox, SODIUM] as const;
  fc.assert(
    fc.property(
      fc.array(fc.array(anyFrame, { minLength: 1, maxLength: 4 }), { maxLength: 5 }),
      fc.constantFrom(...boxes),
      fc.constantFrom(...boxes),
      fc.integer({ min: 1, max: 50 }),
      (sent, sealing, opening, step) => {
        const sender = codec({ secretbox: sealing });
        const wire = Buffer.concat(sent.map((frames) => encodeWrapped(sender, frames)));
        const receiver = codec({ secretbox: opening, asServer: true });
        const parser = new MessageParser({ maxMessageBytes: 10_000, maxFrames: 10 }, receiver, () => assert.fail());
        for (let at = 0; at < wire.length; at += step) parser.push(wire.subarray(at, at + step));
        assert.deepEqual(texts(parser.take()), texts(sent));
      },
    ),
  );
});

test("zmtp 11: any bytes after a handshake of CURVE end in a wait or a TransportError, never in a message", () => {
  const known = sealed(1n, bytes("\x00hello"));
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(([place, change]) => {
      const data = Buffer.from(known);
      data[2 + (place % (data.length - 2))]! ^= change;
      return data;
    }),
  );
  for (const secretbox of [nobleSecretbox, SODIUM]) {
    fc.assert(
      fc.property(anyBytes, fc.uint8Array({ maxLength: 40 }), (start, rest) => {
        const receiver = codec({ secretbox, asServer: true });
        const parser = new MessageParser({ maxMessageBytes: 1_000, maxFrames: 10 }, receiver, () => assert.fail());
        try {
          parser.push(start);
          parser.push(rest);
        } catch (error) {
          assert.ok(error instanceof TransportError, String(error));
        }
        assert.deepEqual(parser.take(), []);
      }),
      { numRuns: 500 },
    );
  }
});
