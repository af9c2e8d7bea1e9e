import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionState } from "../../../src/transport.ts";
import { bytes, message, readerOf, text } from "../../support/messages.ts";
import { stateLog } from "../../support/state-log.ts";
import { quick, tcpServer } from "./support.ts";

const TIMEOUT = { timeout: 30_000 };

type Waiting = Extract<ConnectionState, { readonly status: "waiting" }>;

/** Connects a subscriber there and gives the first two causes: one attempt is never the last. */
async function causesAt(endpoint: string, options: Parameters<typeof quick>[0] = {}): Promise<Waiting[]> {
  const log = stateLog();
  await using subscriber = (await quick(options)).subscriber({ onConnection: log.listener });
  subscriber.connect(endpoint);
  const causes = [await log.next("waiting"), await log.next("waiting")];
  assert.ok(causes.every(({ cause }) => cause.message.startsWith(`libzmq ${endpoint}: `)));
  return causes;
}

test("a host name without an address is told from a port where nobody listens", TIMEOUT, async () => {
  const [dns] = await causesAt("tcp://no-such-host.invalid:5557");
  assert.equal(dns!.cause.code, "dns");
  const [refused] = await causesAt("tcp://127.0.0.1:1");
  assert.equal(refused!.cause.code, "refused");
});

test("a peer that does not speak ZMTP is tried again and again, and named", TIMEOUT, async () => {
  await using http = await tcpServer((peer) => peer.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
  for (const { cause } of await causesAt(http.endpoint)) {
    assert.ok(["protocol", "mechanism-mismatch", "disconnected"].includes(cause.code), cause.message);
  }
});

test("a peer that wants another security mechanism is named, and tried again", TIMEOUT, async () => {
  const greeting = Buffer.alloc(64);
  greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1]);
  greeting.write("PLAIN", 12);
  await using plain = await tcpServer((peer) => peer.write(greeting));
  const causes = await causesAt(plain.endpoint);
  assert.deepEqual(
    causes.map(({ cause }) => cause.code),
    ["mechanism-mismatch", "mechanism-mismatch"],
  );
});

test("a peer that says nothing is given up after the time for a handshake", TIMEOUT, async () => {
  await using silent = await tcpServer(() => {});
  const [first] = await causesAt(silent.endpoint, { handshakeTimeoutMs: 50 });
  assert.equal(first!.cause.code, "handshake-timeout");
});

test("a frame above the limit ends the connection, which is made again", TIMEOUT, async () => {
  const transport = await quick({ maxMessageBytes: 1_000 });
  const log = stateLog();
  await using publisher = transport.publisher({ onSubscription: (_topic, isNew) => isNew && publish() });
  let sends = 0;
  const publish = (): void => {
    publisher.send([bytes("small")]);
    if (sends === 0) publisher.send([new Uint8Array(1_001)]);
    sends += 1;
  };
  await using subscriber = transport.subscriber({ onConnection: log.listener });
  subscriber.subscribe("");
  subscriber.connect(await publisher.bind("tcp://127.0.0.1:0"));
  const reader = readerOf(subscriber);
  const before = await reader.next();
  const { cause } = await log.next("waiting");
  assert.equal(cause.code, "message-too-large");
  assert.match(cause.message, /maxMessageBytes 1000/);
  const after = await reader.next();
  assert.deepEqual([text(before.message[0]), text(after.message[0])], ["small", "small"]);
  assert.ok(after.connectionId > before.connectionId);
});

test("delays double while a peer breaks off, and have jitter", TIMEOUT, async () => {
  await using rude = await tcpServer((peer) => peer.destroy());
  const log = stateLog();
  const transport = await quick({ reconnectMinMs: 4, reconnectMaxMs: 16, random: () => 0.5 });
  await using subscriber = transport.subscriber({ onConnection: log.listener });
  subscriber.connect(rude.endpoint);
  const delays: number[] = [];
  for (let i = 0; i < 4; i += 1) delays.push((await log.next("waiting")).retryInMs);
  assert.deepEqual(delays, [3, 6, 12, 12]);
});

test("what came before the connection ended is received, though nobody read until then", TIMEOUT, async () => {
  const transport = await quick();
  const log = stateLog();
  await using subscriber = transport.subscriber({ receiveHighWaterMark: 100, onConnection: log.listener });
  subscriber.subscribe("");
  const count = 150;
  let endpoint = "tcp://127.0.0.1:0";
  for (const run of ["first", "second"]) {
    let join = (): void => {};
    const joined = new Promise<void>((resolve) => {
      join = resolve;
    });
    const publisher = transport.publisher({ onSubscription: () => join() });
    endpoint = await publisher.bind(endpoint);
    subscriber.connect(endpoint);
    await joined;
    for (let i = 0; i < count; i += 1) publisher.send(message(run, `${i}`));
    await publisher.close();
    await log.next("waiting");
    if (run === "second") break;
    const reader = readerOf(subscriber);
    const received = await reader.take(count);
    assert.deepEqual(
      received.map((frames) => Number(text(frames[1]))),
      Array.from({ length: count }, (_, i) => i),
    );
  }
});

test("what a bound socket's peers do is told under its own endpoint", TIMEOUT, async () => {
  const transport = await quick();
  const log = stateLog();
  await using router = transport.router({ onConnection: log.listener });
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  for (let i = 0; i < 2; i += 1) {
    await using dealer = transport.dealer();
    dealer.connect(endpoint);
    await log.next("ready");
  }
  await log.until((entries) => entries.filter(({ state }) => state.status === "closed").length === 2);
  assert.ok(log.entries.every((entry) => entry.endpoint === endpoint));
  const ids = log.entries.flatMap(({ state }) => (state.status === "ready" ? [state.connectionId] : []));
  assert.equal(ids.length, 2);
  assert.ok(ids[0]! < ids[1]!);
});
