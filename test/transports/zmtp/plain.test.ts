import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TransportError } from "../../../src/errors.ts";
import type { PlainRequest } from "../../../transports/zmtp/authentication.ts";
import type { Handshake } from "../../../transports/zmtp/handshake.ts";
import { plainClient, plainServer } from "../../../transports/zmtp/plain.ts";
import { assertFailed, bodyOf, converse, handshakeOf, names } from "./security-support.ts";
import { bytes, command, greeting, message, ready, text } from "./support.ts";

const client = (username = "gateway", password = "open sesame"): Handshake =>
  handshakeOf(plainClient(username, password), "SUB", "me");

const server = (authenticate: (request: PlainRequest) => boolean | Promise<boolean> = () => true): Handshake =>
  handshakeOf(plainServer(authenticate), "PUB");

const hello = (username: string, password: string): Buffer =>
  command("HELLO", Buffer.concat([counted(username), counted(password)]));

function counted(credential: string): Buffer {
  return Buffer.concat([Buffer.of(credential.length), bytes(credential)]);
}

const metadata = (socketType: string): Uint8Array => ready(socketType).subarray(8);
const plainGreeting = greeting(3, 1, "PLAIN");

test("plain: each side learns who the other is, after the server has accepted name and password", async () => {
  const requests: PlainRequest[] = [];
  const exchange = await converse(
    client("gätewäy", "p\u0000 ß"),
    server(async (request) => requests.push(request) === 1),
  );
  assert.deepEqual(names(exchange), ["client HELLO", "server WELCOME", "client INITIATE", "server READY"]);
  assert.equal(exchange.client?.done?.peer.socketType, "PUB");
  assert.equal(exchange.server?.done?.peer.socketType, "SUB");
  assert.equal(text(exchange.server?.done?.peer.identity), "me");
  assert.equal(exchange.client?.done?.codec, null);
  assert.deepEqual(requests, [{ mechanism: "PLAIN", address: "10.0.0.7", username: "gätewäy", password: "p\u0000 ß" }]);
});

test("plain: HELLO and WELCOME are on the wire as RFC 24 writes them", async () => {
  const { frames } = await converse(client("ab", "xyz"), server());
  assert.deepEqual(text(frames[0]?.frame), text(bytes("\x04\x0d\x05HELLO\x02ab\x03xyz")));
  assert.deepEqual(text(frames[1]?.frame), text(bytes("\x04\x08\x07WELCOME")));
  assert.deepEqual(text(bodyOf(frames[3]!.frame)), text(ready("PUB").subarray(2)));
});

test("plain: empty and longest names and passwords are passed on", async () => {
  for (const [username, password] of [
    ["", ""],
    ["u".repeat(255), "p".repeat(255)],
  ] as const) {
    const requests: PlainRequest[] = [];
    const exchange = await converse(
      client(username, password),
      server((request) => requests.push(request) === 1),
    );
    assert.deepEqual([requests[0]?.username, requests[0]?.password], [username, password]);
    assert.ok(exchange.client?.done);
  }
});

for (const [what, verdict] of [
  ["false", () => false],
  ["a promise of false", async () => false],
  ["anything that is not true", () => 1 as unknown as boolean],
] as const) {
  test(`plain: ${what} refuses the client, which is told so as libzmq would`, async () => {
    const exchange = await converse(client(), server(verdict));
    assertFailed(exchange.server, "authentication", /^authenticate refuses the client$/);
    assertFailed(exchange.client, "authentication", /the peer does not accept us: "400"; check our credentials/);
    assert.equal(text(exchange.frames[1]?.frame), "\x04\x0a\x05ERROR\x03400");
  });
}

for (const [what, authenticate] of [
  [
    "a throw",
    () => {
      throw new Error("the database says: open sesame");
    },
  ],
  ["a rejection", () => Promise.reject(new Error("the database says: open sesame"))],
] as const) {
  test(`plain: ${what} of authenticate refuses the client, and is the cause, not the message`, async () => {
    const exchange = await converse(client(), server(authenticate));
    assertFailed(exchange.server, "authentication", /^authenticate threw on the client$/);
    assert.match(String((exchange.server!.failure as TransportError).cause), /database/);
    assertFailed(exchange.client, "peer-error", /the peer refuses: "500"/);
  });
}

test("plain: libzmq's misspelt ERROR is understood", () => {
  const step = client().push(Buffer.concat([plainGreeting, Buffer.from("\x04\x09^RROR\x03400", "latin1")]));
  assertFailed(step, "authentication", /the peer does not accept us: "400"/);
});

for (const [what, data] of [
  ["nothing in it", ""],
  ["no password", "\x02ab"],
  ["a name that is cut off", "\x05abcd"],
  ["a password that is cut off", "\x01a\x05xyz"],
  ["something behind the password", "\x01a\x01bc"],
] as const) {
  test(`plain: HELLO with ${what} is refused before anybody is asked`, () => {
    const authenticate = (): never => assert.fail("was asked");
    const step = server(authenticate).push(Buffer.concat([plainGreeting, command("HELLO", bytes(data))]));
    assertFailed(step, "protocol", /malformed HELLO of PLAIN/);
    assert.equal(step.pending, undefined);
  });
}

test("plain: commands out of turn are refused by both sides", async () => {
  const cases: readonly (readonly [Handshake, Buffer, RegExp])[] = [
    [server(), command("INITIATE", metadata("SUB")), /"INITIATE" came instead of HELLO/],
    [server(), ready("SUB"), /"READY" came instead of HELLO; one side has to be the server/],
    [client(), ready("PUB"), /"READY" came instead of WELCOME/],
    [client(), hello("a", "b"), /"HELLO" came instead of WELCOME; one side has to be the server of PLAIN, the other/],
    [client(), command("WELCOME", bytes("x")), /WELCOME of PLAIN with data/],
    [client(), Buffer.concat([command("WELCOME"), command("WELCOME")]), /"WELCOME" came instead of READY/],
  ];
  for (const [shaking, sent, words] of cases) {
    assertFailed(shaking.push(Buffer.concat([plainGreeting, sent])), "protocol", words);
  }
});

test("plain: a client that does not wait for WELCOME is answered in order all the same", async () => {
  const shaking = server();
  const step = shaking.push(
    Buffer.concat([plainGreeting, hello("a", "b"), command("INITIATE", metadata("SUB")), message(bytes("rest"))]),
  );
  assert.deepEqual(step.send, []);
  const end = shaking.resume(await step.pending!(""));
  assert.deepEqual(end.send.map(text), [text(command("WELCOME")), text(ready("PUB"))]);
  assert.equal(text(end.done?.rest), text(message(bytes("rest"))));
});

test("plain: INITIATE that comes while the server is being asked lets nobody in", async () => {
  const shaking = server(() => false);
  const step = shaking.push(Buffer.concat([plainGreeting, hello("a", "b")]));
  for (const byte of command("INITIATE", metadata("SUB")))
    assert.deepEqual(shaking.push(Buffer.of(byte)), { send: [] });
  assertFailed(shaking.resume(await step.pending!("")), "authentication", /refuses/);
});

test("plain: who sends more than a handshake holds while the server is being asked is not waited for", () => {
  const shaking = server();
  assert.ok(shaking.push(Buffer.concat([plainGreeting, hello("a", "b"), Buffer.alloc(8_192)])).pending);
  assertFailed(shaking.push(Buffer.alloc(1)), "protocol", /8193 bytes came before the handshake was over/);
  const step = server().push(Buffer.concat([plainGreeting, hello("a", "b"), Buffer.alloc(8_193)]));
  assertFailed(step, "protocol", /8193 bytes came before/);
  assert.equal(step.pending, undefined);
});

test("plain: INITIATE before WELCOME is not looked at where the client is refused", async () => {
  const shaking = server(() => false);
  const step = shaking.push(Buffer.concat([plainGreeting, hello("a", "b"), command("INITIATE", metadata("SUB"))]));
  const end = shaking.resume(await step.pending!(""));
  assertFailed(end, "authentication", /refuses/);
  assert.equal(end.done, undefined);
});

test("plain: a peer that closes at our HELLO tells that it does not know us; later, or before, it tells nothing", async () => {
  const shaking = client();
  assert.equal(shaking.onSilentClose(), null);
  shaking.push(plainGreeting);
  assert.equal(shaking.onSilentClose()?.code, "authentication");
  shaking.push(command("WELCOME"));
  assert.equal(shaking.onSilentClose(), null);
});

test("zmtp 11: any bytes in a handshake of PLAIN end in a peer, a question, a wait or a TransportError", async () => {
  const frames = {
    client: [hello("a", "b"), command("INITIATE", metadata("SUB"))],
    server: [command("WELCOME"), ready("PUB")],
  };
  const anyTail = (known: readonly Buffer[]): fc.Arbitrary<Buffer> =>
    fc
      .array(fc.oneof(fc.constantFrom(...known), fc.uint8Array({ maxLength: 40 }).map(Buffer.from)), { maxLength: 4 })
      .map((parts) => Buffer.concat(parts))
      .chain((data) => fc.tuple(fc.constant(data), fc.nat(), fc.option(fc.nat(255))))
      .map(([data, place, byte]) => {
        if (byte !== null && data.length > 0) data[place % data.length] = byte;
        return data;
      });
  await fc.assert(
    fc.asyncProperty(anyTail(frames.client), anyTail(frames.server), fc.nat(), async (toServer, toClient, place) => {
      for (const [shaking, tail] of [
        [server(), toServer],
        [client(), toClient],
      ] as const) {
        const stream = Buffer.concat([plainGreeting, tail]);
        const at = place % (stream.length + 1);
        for (const chunk of [stream.subarray(0, at), stream.subarray(at)]) {
          let step = shaking.push(chunk);
          while (step.pending !== undefined) step = shaking.resume(await step.pending(""));
          if (step.failure !== undefined) assert.ok(step.failure instanceof TransportError, String(step.failure));
          if (step.done !== undefined || step.failure !== undefined) break;
        }
      }
    }),
    { numRuns: 300 },
  );
});
