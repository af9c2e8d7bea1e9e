import assert from "node:assert/strict";
import { test } from "node:test";
import * as jszmq from "jszmq";
import { bytes, message, readerOf, text, texts } from "../../support/messages.ts";
import { quick } from "./support.ts";

/** The other side of every test here is a socket of jszmq itself. */
const TIMEOUT = { timeout: 30_000 };

/** The next message of such a socket, as text. */
function nextOf(socket: {
  once(event: "message", listener: (...frames: Buffer[]) => void): unknown;
}): Promise<string[]> {
  return new Promise((resolve) => {
    socket.once("message", (...frames) => resolve(frames.map((frame) => frame.toString())));
  });
}

test("jszmq's subscriber is told what it asked for", TIMEOUT, async () => {
  const transport = await quick();
  let join = (): void => {};
  const joined = new Promise<void>((resolve) => {
    join = resolve;
  });
  await using publisher = transport.publisher({ onSubscription: () => join() });
  const subscriber = new jszmq.Sub();
  subscriber.subscribe("kv");
  subscriber.connect(await publisher.bind("ws://127.0.0.1:0/events"));
  await joined;
  const next = nextOf(subscriber);
  publisher.send(message("other", "not asked for"));
  publisher.send(message("kv@pod", "", "events"));
  assert.deepEqual(await next, ["kv@pod", "", "events"]);
  subscriber.close();
});

test("jszmq's dealer asks, and is answered by our router", TIMEOUT, async () => {
  await using router = (await quick()).router();
  const dealer = new jszmq.Dealer();
  dealer.options.routingId = "engine 7";
  dealer.connect(await router.bind("ws://127.0.0.1:0"));
  const answer = nextOf(dealer);
  dealer.send(["", "question"]);
  assert.deepEqual(texts([(await readerOf(router).next()).message]), [["engine 7", "", "question"]]);
  assert.equal(router.send([bytes("engine 7"), bytes(""), bytes("answer")]), true);
  assert.deepEqual(await answer, ["", "answer"]);
  dealer.close();
});

test(
  "our dealer asks, and is answered by jszmq's router; our subscriber hears jszmq's publisher",
  TIMEOUT,
  async () => {
    const transport = await quick();
    // jszmq takes no free port by itself.
    const vacant = transport.router();
    const endpoint = await vacant.bind("ws://127.0.0.1:0");
    await vacant.close();
    const router = new jszmq.Router();
    router.bind(`${endpoint}/`);
    router.on("message", (identity: Buffer, ...frames: Buffer[]) => router.send([identity, ...frames, "answer"]));
    await using dealer = transport.dealer();
    dealer.connect(endpoint);
    dealer.send(message("", "question"));
    assert.deepEqual(texts([(await readerOf(dealer).next()).message]), [["", "question", "answer"]]);
    await dealer.close();
    router.close();

    const publisher = new jszmq.Pub();
    publisher.bind(`${endpoint}/`);
    await using subscriber = transport.subscriber();
    subscriber.subscribe("kv");
    subscriber.connect(endpoint);
    const publishing = setInterval(() => publisher.send(["kv", "hello"]), 1);
    assert.equal(text((await readerOf(subscriber).next()).message[1]), "hello");
    clearInterval(publishing);
    await subscriber.close();
    publisher.close();
  },
);
