import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import * as zeromq from "zeromq";
import { hasCode } from "../../conformance/bench.ts";
import { bytes, message, readerOf, text, texts } from "../../support/messages.ts";
import { stateLog } from "../../support/state-log.ts";
import { frame, greeting, rawConnect, ready } from "../zmtp/support.ts";
import { quick } from "./support.ts";

const TIMEOUT = { timeout: 30_000 };

/** Stops this thread, but not libzmq's. */
function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
}

test("IPv6 literals and names are bound and connected to without being asked for", TIMEOUT, async () => {
  const transport = await quick();
  for (const host of ["[::1]", "localhost", "*"]) {
    await using router = transport.router();
    await using dealer = transport.dealer();
    dealer.connect(await router.bind(`tcp://${host}:0`));
    dealer.send(message(host));
    assert.equal(text((await readerOf(router).next()).message[1]), host);
  }
});

test("ipc paths are bound and connected to, a generated one too", TIMEOUT, async (t) => {
  const transport = await quick();
  if (!transport.capabilities.schemes.includes("ipc")) return t.skip("this libzmq has no ipc");
  const folder = await mkdtemp(join(tmpdir(), "libzmq-"));
  try {
    for (const endpoint of [`ipc://${folder}/engine.sock`, "ipc://*"]) {
      await using router = transport.router();
      await using dealer = transport.dealer();
      dealer.connect(await router.bind(endpoint));
      dealer.send(message("by path"));
      assert.equal(text((await readerOf(router).next()).message[1]), "by path");
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("an address of another machine cannot be bound", TIMEOUT, async () => {
  await using publisher = (await quick()).publisher();
  await assert.rejects(publisher.bind("tcp://192.0.2.1:0"), (error: Error) => {
    assert.ok(hasCode("invalid-endpoint")(error));
    assert.match(error.message, /^libzmq tcp:\/\/192\.0\.2\.1:0: cannot bind \(EADDRNOTAVAIL\): choose an address/);
    return true;
  });
});

test("a dealer that cannot send still hears what comes", TIMEOUT, async () => {
  const transport = await quick();
  await using router = transport.router({ receiveHighWaterMark: 1 });
  await using dealer = transport.dealer({ sendHighWaterMark: 1 });
  dealer.connect(await router.bind("tcp://127.0.0.1:0"));
  dealer.send(message("hello"));
  const requests = readerOf(router);
  const [identity] = (await requests.next()).message;
  const answers = readerOf(dealer);
  const answer = answers.next();
  await turn();
  const fill = (): boolean => {
    try {
      dealer.send([new Uint8Array(100_000)]);
      return true;
    } catch {
      return false;
    }
  };
  // Full means that the system's buffers are, too, which grow as long as they are filled.
  for (let refused = 0; refused < 12; standStill()) {
    refused = fill() ? 0 : refused + 1;
    await turn();
  }
  assert.equal(router.send([identity!, bytes("answer")]), true);
  // The answer comes while nothing runs here; the next look at the full queue takes the notice of it.
  standStill();
  fill();
  assert.equal(text((await answer).message[0]), "answer");
});

test("a router queues for a full peer, says when that is full, and goes on when the peer reads", TIMEOUT, async () => {
  const transport = await quick();
  await using router = transport.router({ sendHighWaterMark: 4 });
  const dealer = new zeromq.Dealer({ receiveHighWaterMark: 1, linger: 0, routingId: "slow" });
  dealer.connect(await router.bind("tcp://127.0.0.1:0"));
  await dealer.send("hello");
  const [identity] = (await readerOf(router).next()).message;
  assert.equal(text(identity), "slow");
  let sent = 0;
  while (router.send([identity!, bytes(`${sent}`), new Uint8Array(1_000_000)])) {
    sent += 1;
    await turn();
  }
  for (let i = 0; i < sent; i += 1) assert.equal(text((await dealer.receive())[0]), `${i}`);
  assert.equal(router.send([identity!, bytes("after")]), true);
  assert.equal(text((await dealer.receive())[0]), "after");
  dealer.close();
});

test("bytes that wait outside of libzmq are bounded", TIMEOUT, async () => {
  await using dealer = (await quick()).dealer({ sendHighWaterMarkBytes: 10_000 });
  dealer.connect("tcp://127.0.0.1:1");
  for (let i = 0; i < 9; i += 1) dealer.send([new Uint8Array(1_000)]);
  assert.throws(() => dealer.send([new Uint8Array(1_000)]), hasCode("high-water-mark"));
});

test("a router that closes lets its peers take what waits for them", TIMEOUT, async () => {
  const transport = await quick({ lingerMs: 10_000 });
  const router = transport.router({ sendHighWaterMark: 2_000 });
  await using dealer = transport.dealer();
  dealer.connect(await router.bind("tcp://127.0.0.1:0"));
  dealer.send(message("hello"));
  const [identity] = (await readerOf(router).next()).message;
  for (let i = 0; i < 2_000; i += 1) assert.equal(router.send([identity!, bytes(`${i}`)]), true);
  await router.close();
  const answers = await readerOf(dealer).take(2_000);
  assert.deepEqual(
    texts(answers).flat().map(Number),
    Array.from({ length: 2_000 }, (_, i) => i),
  );
});

test("a router forgets whom libzmq does not know any more", TIMEOUT, async () => {
  const transport = await quick();
  await using router = transport.router();
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const requests = readerOf(router);
  const keeper = new zeromq.Dealer({ linger: 0, routingId: "keeper" });
  keeper.connect(endpoint);
  await keeper.send("hello");
  await requests.next();
  const passer = new zeromq.Dealer({ linger: 1_000, routingId: "passer" });
  passer.connect(endpoint);
  await passer.send("hello");
  await requests.next();
  passer.close();
  // Until libzmq has noticed, what is sent is queued and lost.
  while (router.send([bytes("passer"), bytes("x")])) await turn();
  assert.equal(router.send([bytes("keeper"), bytes("still here")]), true);
  assert.equal(text((await keeper.receive())[0]), "still here");
  keeper.close();
});

test("a router is not filled by peers that come and go", TIMEOUT, async () => {
  const transport = await quick();
  await using router = transport.router();
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const requests = readerOf(router);
  const visit = async (routingId: string): Promise<void> => {
    const dealer = new zeromq.Dealer({ linger: 1_000, routingId });
    dealer.connect(endpoint);
    await dealer.send("hello");
    await requests.next();
    dealer.close();
  };
  const keeper = new zeromq.Dealer({ linger: 0, routingId: "keeper" });
  keeper.connect(endpoint);
  for (let i = 0; i < 1_500; i += 1) await visit(`passer ${i}`);
  await keeper.send("hello");
  await requests.next();
  assert.equal(router.send([bytes("passer 0"), bytes("x")]), false);
  assert.equal(router.send([bytes("keeper"), bytes("still known")]), true);
  assert.equal(text((await keeper.receive())[0]), "still known");
  keeper.close();
});

test("a publisher that connects out tells of the topics that go with the connection", TIMEOUT, async () => {
  const transport = await quick();
  const seen: string[] = [];
  let wake = (): void => {};
  const publisher = transport.publisher({
    onSubscription: (topic, isNew) => {
      seen.push(`${isNew ? "+" : "-"}${text(topic)}`);
      wake();
    },
  });
  const count = async (reports: number): Promise<void> => {
    while (seen.length < reports) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const subscriber = transport.subscriber();
  for (const topic of ["a", "b"]) subscriber.subscribe(topic);
  publisher.connect(await subscriber.bind("tcp://127.0.0.1:0"));
  await count(2);
  await subscriber.close();
  await count(4);
  assert.deepEqual([...seen].sort(), ["+a", "+b", "-a", "-b"]);
  await publisher.close();
});

test("a message without frames is refused", TIMEOUT, async () => {
  const transport = await quick();
  await using dealer = transport.dealer();
  await using publisher = transport.publisher();
  await using router = transport.router();
  assert.throws(() => dealer.send([]), hasCode("unsupported"));
  assert.throws(() => publisher.send([]), hasCode("unsupported"));
  assert.throws(() => router.send(message("identity alone")), hasCode("unsupported"));
});

test("a second consumer is refused while one waits", TIMEOUT, async () => {
  await using subscriber = (await quick()).subscriber();
  const first = subscriber.receive()[Symbol.asyncIterator]().next();
  await assert.rejects(subscriber.receive()[Symbol.asyncIterator]().next(), hasCode("unsupported"));
  await subscriber.close();
  assert.equal((await first).done, true);
});

test("a bound socket's peer is ready before its messages come, though it sent both at once", TIMEOUT, async () => {
  const log = stateLog();
  await using subscriber = (await quick()).subscriber({ onConnection: log.listener });
  subscriber.subscribe("");
  const endpoint = await subscriber.bind("tcp://127.0.0.1:0");
  const reader = readerOf(subscriber);
  for (let i = 0; i < 50; i += 1) {
    const peer = await rawConnect(endpoint);
    await peer.write(greeting());
    await peer.read(64);
    await peer.readCommand();
    await peer.write(ready("PUB"), frame(0, bytes(`${i}`)));
    const { connectionId, message: frames } = await reader.next();
    assert.equal(text(frames[0]), `${i}`);
    assert.deepEqual(log.entries.at(-1)?.state, { status: "ready", connectionId });
    peer.socket.destroy();
    await log.next("closed");
  }
});
