import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { TransportError } from "../../../src/errors.ts";
import type { Authenticate, CurveRequest } from "../../../transports/zmtp/authentication.ts";
import { nobleSecretbox } from "../../../transports/zmtp/curve/box.ts";
import { curveClient } from "../../../transports/zmtp/curve/client.ts";
import { type KeyPair, keyPairOf, newKeyPair, sharedKey } from "../../../transports/zmtp/curve/keys.ts";
import { curveServer } from "../../../transports/zmtp/curve/server.ts";
import type { Handshake } from "../../../transports/zmtp/handshake.ts";
import { COMMAND, encodeFrame } from "../../../transports/zmtp/wire.ts";
import { decodeZ85, encodeZ85 } from "../../../transports/zmtp/z85.ts";
import { assertFailed, bodyOf, converse, flipped, handshakeOf, names, reframed } from "./security-support.ts";
import { bytes, greeting, message, ready, text } from "./support.ts";

const secretbox = nobleSecretbox;
const SERVER = newKeyPair();
const CLIENT = newKeyPair();

const client = (keys: KeyPair = CLIENT, serverKey: Uint8Array = SERVER.publicKey): Handshake =>
  handshakeOf(curveClient({ keys, serverKey, secretbox }), "SUB", "me");

const server = (authenticate: Authenticate<CurveRequest> | null = null, keys: KeyPair = SERVER): Handshake =>
  handshakeOf(curveServer({ keys, authenticate, secretbox }), "PUB");

const curveGreeting = greeting(3, 1, "CURVE");

/** Where HELLO has zeros that nobody looks at: behind its name and version. */
const isPadding = (index: number, place: number): boolean => index === 0 && place >= 8 && place < 80;

/** Commands of an ordinary handshake, as templates of their sizes. */
const { frames: SAMPLE } = await converse(client(), server());
const COMMANDS = ["HELLO", "WELCOME", "INITIATE", "READY"] as const;

test("the pair of libzmq's manual belongs together", () => {
  const { publicKey } = keyPairOf(decodeZ85("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")!);
  assert.equal(encodeZ85(publicKey), "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
});

test("the key that two pairs share is what NaCl calls crypto_box_beforenm", () => {
  // From the tests of NaCl: Alice's secret key, Bob's public key, and what it names their first key.
  const alice = keyPairOf(Buffer.from("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", "hex"));
  const bob = Buffer.from("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", "hex");
  const first = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389";
  assert.equal(Buffer.from(sharedKey(alice.secretKey, bob)).toString("hex"), first);
});

test("both halves of a new pair belong together", () => {
  const [one, two] = [newKeyPair(), newKeyPair()];
  assert.deepEqual(sharedKey(one.secretKey, two.publicKey), sharedKey(two.secretKey, one.publicKey));
  assert.notDeepEqual(one.publicKey, two.publicKey);
});

test("a new pair is made without an export, in which Node 20 may stand still for good", (t) => {
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const exports = [publicKey, privateKey].map((key) => t.mock.method(Object.getPrototypeOf(key), "export"));
  newKeyPair();
  assert.deepEqual(
    exports.map(({ mock }) => mock.callCount()),
    [0, 0],
  );
});

test("zmtp 50: HELLO has 200 bytes, 72 of them padding, WELCOME 168, and INITIATE and READY what their boxes hold", () => {
  const sizes = SAMPLE.map(({ frame }) => bodyOf(frame).length);
  const clientMetadata = ready("SUB", "me").length - 8;
  const serverMetadata = ready("PUB").length - 8;
  assert.deepEqual(sizes, [200, 168, 257 + clientMetadata, 30 + serverMetadata]);
  const hello = bodyOf(SAMPLE[0]!.frame);
  assert.equal(text(hello.subarray(0, 8)), "\x05HELLO\x01\x00");
  assert.ok(hello.subarray(8, 80).every((byte) => byte === 0));
});

test("zmtp 50: each side learns who the other is", async () => {
  const exchange = await converse(client(), server());
  assert.deepEqual(names(exchange), ["client HELLO", "server WELCOME", "client INITIATE", "server READY"]);
  assert.equal(exchange.client?.done?.peer.socketType, "PUB");
  assert.equal(exchange.server?.done?.peer.socketType, "SUB");
  assert.equal(text(exchange.server?.done?.peer.identity), "me");
});

test("zmtp 50: what follows the handshake can be read by the other side alone, in both directions", async () => {
  const exchange = await converse(client(), server());
  const ends = { client: exchange.client!.done!.codec!, server: exchange.server!.done!.codec! };
  for (const [from, to] of [
    [ends.client, ends.server],
    [ends.server, ends.client],
  ] as const) {
    const target = new Uint8Array(5 + from.overheadBytes);
    from.wrap(0, bytes("hello"), target, 0);
    assert.ok(!text(target).includes("hello"));
    assert.equal(text(to.unwrap(target).body), "hello");
  }
});

test("zmtp 50: metadata are encrypted, both the client's and the server's", () => {
  for (const { frame } of SAMPLE) assert.ok(!text(frame).includes("Socket-Type"));
});

test("zmtp 50: every connection has keys of its own, so that none can be read with another's", async () => {
  const first = await converse(client(), server());
  const second = await converse(client(), server());
  for (const side of ["client", "server"] as const) {
    const target = new Uint8Array(5 + 33);
    first[side]!.done!.codec!.wrap(0, bytes("hello"), target, 0);
    const other = second[side === "client" ? "server" : "client"]!.done!.codec!;
    assert.throws(() => other.unwrap(target), { code: "authentication" });
  }
});

for (const [index, name] of COMMANDS.entries()) {
  const size = bodyOf(SAMPLE[index]!.frame).length;
  const receiver = index % 2 === 0 ? "server" : "client";

  test(`zmtp 50: one changed bit anywhere in ${name} ends the handshake`, async () => {
    for (let place = 0; place < size; place += 1) {
      if (isPadding(index, place)) continue;
      const tamper = (frame: Uint8Array, i: number): Uint8Array => (i === index ? flipped(frame, place) : frame);
      assertFailed((await converse(client(), server(), tamper))[receiver], "(authentication|protocol)", /./);
    }
  });

  test(`zmtp 50: ${name} cut off anywhere ends the handshake`, async () => {
    for (let length = 0; length < size; length += 1) {
      const tamper = (frame: Uint8Array, i: number): Uint8Array =>
        i === index ? reframed(frame, bodyOf(frame).subarray(0, length)) : frame;
      assertFailed((await converse(client(), server(), tamper))[receiver], "(authentication|protocol)", /./);
    }
  });

  test(`zmtp 50: ${name} too short for its fields says so`, async () => {
    const tamper = (frame: Uint8Array, i: number): Uint8Array =>
      i === index ? reframed(frame, bodyOf(frame).subarray(0, 20)) : frame;
    const step = (await converse(client(), server(), tamper))[receiver];
    assertFailed(step, "protocol", new RegExp(`^${name} of CURVE with \\d+ of \\d+ bytes; check the peer$`));
  });
}

test("zmtp 50: what HELLO is padded with does not matter", async () => {
  const tamper = (frame: Uint8Array, i: number): Uint8Array => (i === 0 ? flipped(frame, 40) : frame);
  assert.ok((await converse(client(), server(), tamper)).client?.done);
});

test("zmtp 50: another version of CurveZMQ is refused by its number", async () => {
  const tamper = (frame: Uint8Array, i: number): Uint8Array => (i === 0 ? flipped(frame, 7) : frame);
  const exchange = await converse(client(), server(), tamper);
  assertFailed(exchange.server, "protocol", /the peer speaks CurveZMQ 1\.1, not 1\.0/);
});

test("zmtp 50: a client that has another server's key is refused, and knows what the closing means", async () => {
  const shaking = client(CLIENT, newKeyPair().publicKey);
  assertFailed((await converse(shaking, server())).server, "authentication", /HELLO was sealed for another server/);
  assert.equal(shaking.onSilentClose()?.code, "authentication");
  assert.match(shaking.onSilentClose()!.message, /closed the connection at our HELLO; check that serverKey/);
});

test("zmtp 50: a client that is let down at INITIATE names the key that it showed; before HELLO nothing is suspected", async () => {
  const shaking = client();
  assert.equal(shaking.onSilentClose(), null);
  await converse(shaking, server(), (frame, i) => (i === 2 ? flipped(frame, 200) : frame));
  assert.ok(shaking.onSilentClose()!.message.includes(encodeZ85(CLIENT.publicKey)));
});

test("zmtp 50: a server that only has the public half of its key cannot answer", async () => {
  const impostor = { publicKey: SERVER.publicKey, secretKey: newKeyPair().secretKey };
  const hello = client().push(curveGreeting).send[0]!;
  assertFailed(server(null, impostor).push(Buffer.concat([curveGreeting, hello])), "authentication", /HELLO/);
  const recorded = SAMPLE[1]!.frame;
  const shaking = client();
  shaking.push(curveGreeting);
  assertFailed(shaking.push(recorded), "authentication", /WELCOME was not sealed by the owner of serverKey/);
});

test("zmtp 50: a client cannot show a key whose secret half it does not hold", async () => {
  const thief = { publicKey: CLIENT.publicKey, secretKey: newKeyPair().secretKey };
  const asked = (): never => assert.fail("was asked");
  assertFailed((await converse(client(thief), server(asked))).server, "authentication", /vouch was not sealed by/);
});

test("zmtp 50: a recorded INITIATE is worth nothing on another connection", async () => {
  const recorded = SAMPLE[2]!.frame;
  const exchange = await converse(client(), server(), (frame, i) => (i === 2 ? recorded : frame));
  assertFailed(exchange.server, "authentication", /another connection's cookie: it is replayed/);
});

test("zmtp 50: a vouch for another server is not taken", async () => {
  // A server that a client trusts hands the client's INITIATE on to another one: here by claiming that one's key.
  const content = { publicKey: SERVER.publicKey, secretKey: SERVER.secretKey };
  const other = newKeyPair();
  const shaking = handshakeOf(
    curveClient({ keys: CLIENT, serverKey: SERVER.publicKey, secretbox: vouching(other.publicKey) }),
    "SUB",
  );
  const exchange = await converse(shaking, server(null, content));
  assertFailed(exchange.server, "authentication", /vouch is for another connection or another server/);
});

/** Seals as ever, but a vouch for this server. */
function vouching(serverKey: Uint8Array): typeof secretbox {
  return {
    ...secretbox,
    seal: (content, nonce, key) => {
      const isVouch = text(nonce).startsWith("VOUCH---");
      return secretbox.seal(isVouch ? Buffer.concat([content.subarray(0, 32), serverKey]) : content, nonce, key);
    },
  };
}

test("zmtp 50: keys that give everybody the same secret are refused, short-term and permanent ones", async () => {
  const zero = new Uint8Array(32);
  const weak = (frame: Uint8Array, i: number): Uint8Array => {
    if (i > 0) return frame;
    const body = Uint8Array.from(bodyOf(frame));
    body.set(zero, 80);
    return reframed(frame, body);
  };
  assertFailed((await converse(client(), server(), weak)).server, "authentication", /of low order/);
  const nobody = { publicKey: zero, secretKey: CLIENT.secretKey };
  assertFailed((await converse(client(nobody), server())).server, "authentication", /of low order/);
  assertFailed((await converse(client(CLIENT, zero), server())).client, "authentication", /of low order/);
});

test("zmtp 50: commands out of turn are refused by both sides", async () => {
  const [hello, welcome, initiate, readyFrame] = SAMPLE.map(({ frame }) => frame);
  const cases: readonly (readonly [Handshake, Uint8Array, RegExp])[] = [
    [server(), initiate!, /"INITIATE" came instead of HELLO/],
    [server(), Buffer.concat([hello!, hello!]), /"HELLO" came instead of INITIATE/],
    [server(), ready("SUB"), /"READY" came instead of HELLO; one side has to be the server of CURVE/],
    [client(), readyFrame!, /"READY" came instead of WELCOME/],
    [client(), hello!, /"HELLO" came instead of WELCOME; one side has to be the server of CURVE, the other its/],
    [client(), encodeFrame(0, bodyOf(welcome!)), /frame with flags 0 came before/],
  ];
  for (const [shaking, sent, words] of cases) {
    assertFailed(shaking.push(Buffer.concat([curveGreeting, sent])), "protocol", words);
  }
});

test("zmtp 50: INITIATE is taken up to the limit of a handshake's commands, and refused by its header above", () => {
  const header = Buffer.concat([Buffer.of(COMMAND | 2), Buffer.from("0000000000002001", "hex")]);
  const shaking = server();
  shaking.push(Buffer.concat([curveGreeting, client().push(curveGreeting).send[0]!]));
  assertFailed(shaking.push(header), "message-too-large", /8193 bytes exceeds 8192/);
});

test("zmtp 50: authenticate hears which key, from where and under which name, and decides", async () => {
  const requests: CurveRequest[] = [];
  const exchange = await converse(
    client(),
    server(async (request) => requests.push(request) === 1),
  );
  assert.ok(exchange.client?.done);
  const publicKey = encodeZ85(CLIENT.publicKey);
  assert.deepEqual(
    requests.map((request) => ({ ...request, identity: text(request.identity) })),
    [{ mechanism: "CURVE", address: "10.0.0.7", publicKey, identity: "me" }],
  );
});

test("zmtp 50: a client that authenticate refuses is told so as libzmq would, and named by its key", async () => {
  const exchange = await converse(
    client(),
    server(() => false),
  );
  const key = encodeZ85(CLIENT.publicKey);
  assertFailed(exchange.server, "authentication", /^authenticate refuses the client with the key /);
  assert.ok((exchange.server!.failure as Error).message.endsWith(key));
  assertFailed(exchange.client, "authentication", /the peer does not accept us: "400"/);
  assert.deepEqual(names(exchange).at(-1), "server ERROR");
});

test("zmtp 50: what a client sends behind INITIATE is copied until the verdict, and then handed on", async () => {
  const shaking = server(() => true);
  const talking = client();
  const [hello] = talking.push(curveGreeting).send;
  const [welcome] = shaking.push(Buffer.concat([curveGreeting, hello!])).send;
  const [initiate] = talking.push(welcome!).send;
  const chunk = Buffer.concat([initiate!, message(bytes("early"))]);
  const step = shaking.push(chunk);
  chunk.fill(0);
  const end = shaking.resume(await step.pending!(""));
  assert.equal(text(end.done?.rest), text(message(bytes("early"))));
});

test("zmtp 11: any bytes in a handshake of CURVE end in a peer, a wait or a TransportError, in both roles", () => {
  const mutation = fc.record({
    command: fc.nat(3),
    place: fc.nat(),
    cut: fc.nat(),
    bytes: fc.uint8Array({ maxLength: 12 }),
    mode: fc.constantFrom("overwrite", "insert", "cut", "replace"),
  });
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), fc.nat(), (mutations, split) => {
      const sides = { server: server(), client: client() };
      for (const side of ["server", "client"] as const) {
        const shaking = sides[side];
        let step = shaking.push(curveGreeting);
        for (const { command: which, place, cut, bytes: noise, mode } of mutations) {
          if (step.failure !== undefined || step.done !== undefined) break;
          const whole = Buffer.from(SAMPLE[which]!.frame);
          const at = place % whole.length;
          const rest = {
            overwrite: whole.subarray(at + noise.length),
            insert: whole.subarray(at),
            cut: whole.subarray(at + (cut % whole.length)),
            replace: whole.subarray(0, 0),
          };
          const data = Buffer.concat([whole.subarray(0, mode === "replace" ? 0 : at), noise, rest[mode]]);
          step = shaking.push(data.subarray(0, split % (data.length + 1)));
          if (step.failure === undefined && step.done === undefined)
            step = shaking.push(data.subarray(split % (data.length + 1)));
        }
        if (step.failure !== undefined) assert.ok(step.failure instanceof TransportError, String(step.failure));
      }
    }),
    { numRuns: 300 },
  );
});
