import assert from "node:assert/strict";
import { test } from "node:test";
import { TransportError } from "../../../src/errors.ts";
import type { Subscriber } from "../../../src/transport.ts";
import { type ZmtpOptions, zmtp } from "../../../transports/zmtp/index.ts";
import { bytes, command, message, type RawPeer, RawServer, rawConnect, States, take, text, texts } from "./support.ts";

/** A subscriber that is ready, and the raw publisher it talks to. */
async function subscribed(
  server: RawServer,
  options: ZmtpOptions = {},
  minor = 1,
): Promise<{ readonly sub: Subscriber; readonly states: States; readonly peer: RawPeer }> {
  const states = new States();
  const sub = zmtp(options).subscriber({ onConnection: states.listener });
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB", minor);
  await states.next("ready");
  return { sub, states, peer };
}

test("zmtp 24: a peer of 3.1 gets SUBSCRIBE and CANCEL commands", async () => {
  await using server = await RawServer.start();
  const { sub, peer } = await subscribed(server);
  await using _ = sub;
  sub.subscribe("kv");
  sub.unsubscribe("kv");
  assert.deepEqual(await peer.readCommand(), { name: "SUBSCRIBE", data: Buffer.from("kv") });
  assert.deepEqual(await peer.readCommand(), { name: "CANCEL", data: Buffer.from("kv") });
});

test("zmtp 24: a peer of 3.0 gets messages that begin with 1 and 0", async () => {
  await using server = await RawServer.start();
  const { sub, peer } = await subscribed(server, {}, 0);
  await using _ = sub;
  sub.subscribe(Buffer.of(0xff, 0));
  sub.unsubscribe(Buffer.of(0xff, 0));
  assert.deepEqual(await peer.readMessage(), [Buffer.of(1, 0xff, 0)]);
  assert.deepEqual(await peer.readMessage(), [Buffer.of(0, 0xff, 0)]);
});

test("zmtp 24: a publisher takes subscriptions in both forms from anyone", async () => {
  const seen: string[] = [];
  await using pub = zmtp().publisher({ onSubscription: (topic, on) => seen.push(`${on ? "+" : "-"}${text(topic)}`) });
  const endpoint = await pub.bind("tcp://127.0.0.1:0");
  for (const minor of [0, 1]) {
    const peer = await rawConnect(endpoint);
    await peer.shake("SUB", minor);
    await peer.write(
      command("SUBSCRIBE", bytes("a")),
      message(bytes("\x01b")),
      command("CANCEL", bytes("a")),
      message(bytes("\x00b")),
      command("PING", bytes("\0\0")),
    );
    await peer.readCommand();
    assert.deepEqual(seen.splice(0), ["+a", "+b", "-a", "-b"]);
  }
});

test("zmtp 24: other messages to a publisher are ignored", async () => {
  const seen: string[] = [];
  await using pub = zmtp().publisher({ onSubscription: (topic) => seen.push(text(topic)) });
  const peer = await rawConnect(await pub.bind("tcp://127.0.0.1:0"));
  await peer.shake("SUB");
  await peer.write(message(bytes("")), message(bytes("\x02x")), message(bytes("\x01x"), bytes("y")));
  await peer.write(message(bytes("\x01kv")), command("PING", bytes("\0\0")));
  assert.equal((await peer.readCommand()).name, "PONG");
  assert.deepEqual(seen, ["kv"]);
});

for (const length of [244, 245, 246, 254, 255, 256]) {
  test(`zmtp 25: a topic of ${length} bytes arrives whole, in the short or the LONG form as it needs`, async () => {
    await using server = await RawServer.start();
    const { sub, peer } = await subscribed(server);
    await using _ = sub;
    const topic = "t".repeat(length);
    sub.subscribe(topic);
    const { flags, body } = await peer.readFrame();
    assert.equal(flags, 1 + 9 + length > 255 ? 6 : 4);
    assert.equal(text(body), `\x09SUBSCRIBE${topic}`);
    const old = await subscribed(server, {}, 0);
    await using __ = old.sub;
    old.sub.subscribe(topic);
    const asMessage = await old.peer.readFrame();
    assert.equal(asMessage.flags, 1 + length > 255 ? 2 : 0);
    assert.equal(text(asMessage.body), `\x01${topic}`);
  });
}

test("zmtp 26: a topic subscribed to twice is sent once, and cancelled with the last", async () => {
  await using server = await RawServer.start();
  const { sub, peer } = await subscribed(server);
  await using _ = sub;
  sub.subscribe("kv");
  sub.subscribe("kv");
  sub.unsubscribe("kv");
  sub.unsubscribe("never");
  sub.subscribe("mark");
  sub.unsubscribe("kv");
  const sent = [await peer.readCommand(), await peer.readCommand(), await peer.readCommand()];
  assert.deepEqual(
    sent.map(({ name, data }) => `${name} ${text(data)}`),
    ["SUBSCRIBE kv", "SUBSCRIBE mark", "CANCEL kv"],
  );
});

test("zmtp 26: messages that no local topic asks for are not delivered", async () => {
  await using server = await RawServer.start();
  const { sub, peer } = await subscribed(server);
  await using _ = sub;
  sub.subscribe("kv");
  await peer.write(message(bytes("other")), message(bytes("k")), message(bytes("kv@pod"), bytes("1")));
  assert.deepEqual(texts(await take(sub, 1)), [["kv@pod", "1"]]);
});

for (const [length, echoed] of [
  [0, 0],
  [3, 3],
  [16, 16],
  [56, 16],
] as const) {
  test(`zmtp 27: a PING with a context of ${length} bytes is answered with ${echoed} of them`, async () => {
    await using server = await RawServer.start();
    const { sub, peer } = await subscribed(server);
    await using _ = sub;
    const context = Buffer.alloc(length, 0xc5);
    await peer.write(command("PING", Buffer.concat([Buffer.of(0, 0), context])));
    assert.deepEqual(await peer.readCommand(), { name: "PONG", data: context.subarray(0, echoed) });
  });
}

test("zmtp 27: a PING of a peer of 3.0 is answered too", async () => {
  await using server = await RawServer.start();
  const { sub, peer } = await subscribed(server, {}, 0);
  await using _ = sub;
  await peer.write(command("PING", bytes("\0\0?")));
  assert.deepEqual(await peer.readCommand(), { name: "PONG", data: Buffer.from("?") });
});

for (const data of ["", "\0"]) {
  test(`zmtp 27: a PING with ${data.length} bytes of TTL is malformed`, async () => {
    await using server = await RawServer.start();
    const { sub, states, peer } = await subscribed(server);
    await using _ = sub;
    await peer.write(command("PING", bytes(data)));
    assert.equal(await states.cause(), "protocol");
  });
}

test("zmtp 27: a peer that asks without reading does not make us hoard answers", async () => {
  await using server = await RawServer.start();
  const { sub, peer } = await subscribed(server);
  await using _ = sub;
  peer.socket.pause();
  const ping = command("PING", Buffer.concat([Buffer.of(0, 0), Buffer.alloc(16)]));
  const flood = Buffer.concat(Array.from({ length: 100_000 }, () => ping));
  for (let i = 0; i < 4; i += 1) await peer.write(flood);
  sub.subscribe("mark");
  peer.socket.resume();
  let pongs = 0;
  for (;;) {
    const { name } = await peer.readCommand();
    if (name === "SUBSCRIBE") break;
    pongs += 1;
  }
  assert.ok(pongs > 0 && pongs < 400_000, `${pongs}`);
});

test("zmtp 21: an ERROR after the handshake ends the connection as well", async () => {
  await using server = await RawServer.start();
  const { sub, states, peer } = await subscribed(server);
  await using _ = sub;
  await peer.write(command("ERROR", bytes("\x04enough")));
  const { cause } = await states.next("waiting");
  assert.equal(cause.code, "peer-error");
  assert.match(cause.message, /the peer refuses: "enou"/);
});

test("zmtp 29: unknown commands are ignored, and so are a publisher's that it does not need", async () => {
  await using server = await RawServer.start();
  const { sub, peer } = await subscribed(server);
  await using _ = sub;
  sub.subscribe("");
  await peer.write(command("XYZZY", bytes("data")), command("SUBSCRIBE", bytes("a")), command("PONG"));
  await peer.write(message(bytes("still")));
  assert.deepEqual(texts(await take(sub, 1)), [["still"]]);
});

test("the memory of one peer's subscriptions is limited", async () => {
  const states = new States();
  await using pub = zmtp({ maxSubscriptionBytes: 10_000 }).publisher({ onConnection: states.listener });
  const peer = await rawConnect(await pub.bind("tcp://127.0.0.1:0"));
  await peer.shake("SUB");
  await peer.write(...Array.from({ length: 60 }, (_, i) => command("SUBSCRIBE", bytes(`topic ${i}`))));
  const { cause } = await states.next("closed");
  assert.ok(cause instanceof TransportError);
  assert.equal(cause.code, "message-too-large");
  assert.match(cause.message, /exceed maxSubscriptionBytes 10000/);
});
