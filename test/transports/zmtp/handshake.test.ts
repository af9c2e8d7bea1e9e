import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TransportError } from "../../../src/errors.ts";
import { encodeMetadata } from "../../../transports/zmtp/commands.ts";
import { Handshake, type HandshakeStep } from "../../../transports/zmtp/handshake.ts";
import type { SocketType } from "../../../transports/zmtp/mechanism.ts";
import { nullMechanism } from "../../../transports/zmtp/null.ts";
import { bytes, command, frame, greeting, message, ready, text } from "./support.ts";

function handshake(socketType: SocketType = "SUB"): Handshake {
  return new Handshake(nullMechanism(encodeMetadata([["Socket-Type", bytes(socketType)]])), socketType);
}

function shake(data: Uint8Array, socketType: SocketType = "SUB"): HandshakeStep {
  return handshake(socketType).push(data);
}

const isRefusal =
  (code: string, words: RegExp) =>
  (error: unknown): boolean =>
    error instanceof TransportError && error.code === code && words.test(error.message);

function refused(data: Uint8Array, code: string, words: RegExp, socketType: SocketType = "SUB"): void {
  const { failure } = shake(data, socketType);
  assert.ok(isRefusal(code, words)(failure), String(failure));
}

test("zmtp 17: a peer that is refused still gets our READY, and can say itself what is wrong", () => {
  const { send, failure } = shake(Buffer.concat([greeting(), ready("ROUTER")]));
  assert.deepEqual(send.map(text), [text(ready("SUB"))]);
  assert.ok(isRefusal("socket-type-mismatch", /ROUTER/)(failure));
});

test("zmtp 12: our greeting is whole from the start, and of version 3.1", () => {
  const expected = `ff00000000000000007f0301${Buffer.from("NULL").toString("hex").padEnd(40, "0")}${"00".repeat(32)}`;
  assert.equal(Buffer.from(handshake().opening()).toString("hex"), expected);
});

test("zmtp 12: READY follows the peer's greeting, sent as 10 and 54 bytes or 64 at once", () => {
  for (const pieces of [[64], [10, 54], [1, 63], Array<number>(64).fill(1)]) {
    const shaking = handshake();
    const sent: string[] = [];
    let offset = 0;
    for (const length of pieces) {
      assert.equal(sent.length, 0);
      sent.push(...shaking.push(greeting().subarray(offset, offset + length)).send.map((each) => text(each)));
      offset += length;
    }
    assert.deepEqual(sent, [text(ready("SUB"))]);
  }
});

test("zmtp 13: odd padding and as-server 1 are accepted", () => {
  const odd = greeting();
  odd[8] = 1;
  odd[32] = 1;
  odd.fill(0xaa, 33);
  assert.equal(shake(Buffer.concat([odd, ready("PUB")])).done?.peer.socketType, "PUB");
});

for (const [major, minor, knowsCommands] of [
  [3, 0, false],
  [3, 1, true],
  [3, 2, true],
  [4, 0, true],
] as const) {
  test(`zmtp 14: a peer of version ${major}.${minor} is accepted, and ${knowsCommands ? "gets" : "is spared"} commands`, () => {
    const step = shake(Buffer.concat([greeting(major, minor), ready("PUB")]));
    assert.equal(step.done?.peer.knowsCommands, knowsCommands);
  });
}

for (const [name, data, words] of [
  ["ZMTP 1.0", Buffer.of(1, 0), /begins with "\.\."/],
  ["ZMTP 1.0 with an identity in the long form", Buffer.from("ff00000000000000010000", "hex"), /no ZMTP signature/],
  ["ZMTP 2.0", Buffer.from("ff00000000000000017f0102", "hex"), /revision 1/],
  ["HTTP", bytes("HTTP/1.1 400 Bad Request"), /begins with "HTTP\/1\.1 400 Bad"; check the port/],
  ["TLS", Buffer.from("15030100020250", "hex"), /does not speak ZMTP/],
] as const) {
  test(`zmtp 15: ${name} is known by its first bytes`, () => refused(data, "protocol", words));
}

test("zmtp 15: the first byte alone is enough", () => refused(bytes("H"), "protocol", /does not speak ZMTP/));

test("zmtp 16: another mechanism is a mismatch that names both", () => {
  refused(greeting(3, 1, "CURVE"), "mechanism-mismatch", /peer's security mechanism is "CURVE", ours is "NULL"/);
});

test("zmtp 16: all 20 bytes of the mechanism are compared", () => {
  refused(greeting(3, 1, "NULLNULLNULLNULLNULL"), "mechanism-mismatch", /"NULLNULLNULLNULLNULL"/);
  refused(greeting(3, 1, "NULL\0X"), "protocol", /malformed mechanism/);
});

const PARTNERS: readonly (readonly [SocketType, readonly string[]])[] = [
  ["SUB", ["PUB", "XPUB"]],
  ["PUB", ["SUB", "XSUB"]],
  ["DEALER", ["DEALER", "ROUTER", "REP"]],
  ["ROUTER", ["DEALER", "ROUTER", "REQ"]],
];
for (const [ours, theirs] of PARTNERS) {
  test(`zmtp 17: a ${ours} talks to ${theirs.join(", ")} and to no other`, () => {
    const all = ["SUB", "XSUB", "PUB", "XPUB", "DEALER", "ROUTER", "REQ", "REP", "PUSH", "PULL", "PAIR", "sub", ""];
    for (const type of all) {
      const data = Buffer.concat([greeting(), ready(type)]);
      if (theirs.includes(type)) assert.equal(shake(data, ours).done?.peer.socketType, type);
      else
        refused(
          data,
          "socket-type-mismatch",
          new RegExp(`the peer is a ${type}, which cannot talk to a ${ours}`),
          ours,
        );
    }
  });
}

const socketType = encodeMetadata([["Socket-Type", bytes("PUB")]]);
for (const [name, sent, words] of [
  ["a message instead of READY", message(bytes("kv")), /frame with flags 0 came before/],
  ["another command instead of READY", command("PING", bytes("\0\0")), /command "PING" came instead of READY/],
  ["an empty command", frame(4, bytes("")), /malformed command of 0 bytes/],
  ["a command without a name", frame(4, bytes("\0")), /malformed command/],
  ["a command whose name is cut off", frame(4, bytes("\x05REA")), /malformed command of 4 bytes/],
  ["no Socket-Type", command("READY"), /name no Socket-Type/],
  ["Socket-Type twice", command("READY", Buffer.concat([socketType, socketType])), /"Socket-Type" twice/],
  ["a cut property", command("READY", socketType.subarray(0, 14)), /truncated property/],
  ["a cut value", command("READY", socketType.subarray(0, -1)), /truncated value of property "Socket-Type"/],
  ["a value of 4 GiB", command("READY", Buffer.concat([bytes("\x01X"), Buffer.alloc(4, 255)])), /truncated value/],
  ["a property without a name", command("READY", Buffer.from("0000000000", "hex")), /property without a name/],
  [
    "an identity of 256 bytes",
    command("READY", Buffer.concat([socketType, encodeMetadata([["Identity", Buffer.alloc(256, 1)]])])),
    /identity of 256 bytes exceeds 255/,
  ],
] as const) {
  test(`zmtp 18: ${name} is refused`, () => refused(Buffer.concat([greeting(), sent]), "protocol", words));
}

test("zmtp 18: a property twice in different case is still twice", () => {
  const twice = Buffer.concat([socketType, encodeMetadata([["SOCKET-TYPE", bytes("PUB")]])]);
  refused(Buffer.concat([greeting(), command("READY", twice)]), "protocol", /"SOCKET-TYPE" twice/);
});

test("zmtp 18: property names in lower case and unknown ones are accepted", () => {
  const data = encodeMetadata([
    ["x-vendor", Buffer.alloc(300)],
    ["socket-type", bytes("PUB")],
    ["IDENTITY", bytes("engine")],
  ]);
  const peer = shake(Buffer.concat([greeting(), command("READY", data)])).done?.peer;
  assert.equal(peer?.socketType, "PUB");
  assert.deepEqual(text(peer?.identity), "engine");
});

test("zmtp 18: a handshake command above the small limit is refused by its header", () => {
  const header = Buffer.from("06ffffffff00000000", "hex");
  refused(
    Buffer.concat([greeting(), Buffer.from("060000000000002001", "hex")]),
    "message-too-large",
    /8193 bytes exceeds/,
  );
  refused(Buffer.concat([greeting(), header]), "message-too-large", /frame of 18446744069414584320 bytes/);
});

test("zmtp 20: what follows READY in the same bytes is handed on", () => {
  const rest = message(bytes("kv"), bytes("1"));
  assert.deepEqual(Buffer.from(shake(Buffer.concat([greeting(), ready("PUB"), rest])).done!.rest), rest);
});

test("zmtp 21: ERROR is the peer's refusal, its reason made printable", () => {
  const sent = Buffer.concat([greeting(), command("ERROR", bytes("\x09go\naway\x1b!"))]);
  refused(sent, "peer-error", /the peer refuses: "go\.away\.!"/);
});

test("zmtp 21: an ERROR without, or with a cut, reason is still a refusal", () => {
  refused(Buffer.concat([greeting(), command("ERROR")]), "peer-error", /refuses: ""/);
  refused(Buffer.concat([greeting(), command("ERROR", bytes("\xffno"))]), "peer-error", /refuses: "no"/);
});

test("zmtp 11: any bytes in a handshake end in a peer, a wait or a TransportError", () => {
  const anyTail = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(fc.nat(), fc.nat(255)).map(([place, byte]) => {
      const data = Buffer.from(ready("PUB", "id"));
      data[place % data.length] = byte;
      return data;
    }),
  );
  const anyStart = fc.oneof(fc.constant(greeting()), fc.uint8Array({ maxLength: 80 }));
  fc.assert(
    fc.property(anyStart, anyTail, fc.nat(), (start, tail, place) => {
      const stream = Buffer.concat([start, tail]);
      const at = place % (stream.length + 1);
      const shaking = handshake();
      let step = shaking.push(stream.subarray(0, at));
      if (step.done === undefined && step.failure === undefined) step = shaking.push(stream.subarray(at));
      if (step.failure !== undefined) assert.ok(step.failure instanceof TransportError, String(step.failure));
    }),
    { numRuns: 500 },
  );
});
