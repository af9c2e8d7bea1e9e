import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { KVEventSyncError } from "../../src/errors.ts";
import { decodeEventBatch } from "../../src/events/decode.ts";
import type { KVEvent } from "../../src/events/event.ts";
import { type EventPublisher, type EventPublisherOptions, startPublisher } from "../../src/simulator/publisher.ts";
import type { Dealer, Message, SocketOptions } from "../../src/transport.ts";
import { memory } from "../../transports/memory/index.ts";
import { ManualClock } from "./manual-clock.ts";
import { Reader, readReplay, requestReplay, sequenceOf, subscribe, type WatchedTransport, watch } from "./peers.ts";

const CLEARED: readonly KVEvent[] = [{ type: "AllBlocksCleared" }];
const END = new Uint8Array(8).fill(0xff);

interface Setup {
  readonly transport: WatchedTransport;
  readonly publisher: EventPublisher;
  dealer(options?: SocketOptions): { dealer: Dealer; reader: Reader };
}

async function setUp(context: TestContext, options: Partial<EventPublisherOptions> = {}): Promise<Setup> {
  const transport = watch(memory());
  const publisher = await startPublisher({
    transport,
    endpoint: "inproc://engine",
    replayEndpoint: "inproc://replay",
    nowSeconds: () => 1.5,
    ...options,
  });
  context.after(() => publisher.close());
  const dealer: Setup["dealer"] = (socketOptions) => {
    const socket = transport.dealer(socketOptions);
    context.after(() => socket.close());
    socket.connect(publisher.replayEndpoint!);
    return { dealer: socket, reader: new Reader(socket) };
  };
  return { transport, publisher, dealer };
}

function publish(publisher: EventPublisher, count: number): void {
  for (let batch = 0; batch < count; batch++) publisher.publish(CLEARED);
}

function sequences(messages: readonly Message[]): readonly number[] {
  return messages.map(sequenceOf);
}

test("a batch is published as topic, sequence from 0 and payload", async (context) => {
  const { transport, publisher } = await setUp(context, { topic: "kv@a", rank: 3 });
  const { subscriber, reader } = subscribe(transport, publisher.endpoint);
  context.after(() => subscriber.close());
  await transport.subscribed(1);
  assert.deepEqual([publisher.publish(CLEARED), publisher.publish([])], [0, 1]);
  const [first, second] = await reader.take(2);
  const [topic, sequence, payload] = first!;
  assert.equal(new TextDecoder().decode(topic), "kv@a");
  assert.deepEqual([...sequence!], [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(decodeEventBatch(payload!).batch, { ts: 1.5, events: CLEARED, dataParallelRank: 3 });
  assert.deepEqual([...second![1]!], [0, 0, 0, 0, 0, 0, 0, 1]);
});

test("a publisher can connect to a subscriber that binds", async (context) => {
  const transport = watch(memory());
  const subscriber = transport.subscriber();
  context.after(() => subscriber.close());
  subscriber.subscribe("");
  const endpoint = await subscriber.bind("inproc://central");
  const publisher = await startPublisher({ transport, endpoint, mode: "connect" });
  context.after(() => publisher.close());
  await transport.subscribed(1);
  publisher.publish(CLEARED);
  assert.equal(sequenceOf(await new Reader(subscriber).next()), 0);
});

test("a replay gives every batch from the one asked for, and an end marker", async (context) => {
  const { publisher, dealer: connect } = await setUp(context, { topic: "t", replayFraming: "topic" });
  publish(publisher, 4);
  const { dealer, reader } = connect();
  requestReplay(dealer, 2);
  const messages = await readReplay(reader);
  assert.deepEqual(sequences(messages), [2, 3, -1]);
  const [delimiter, topic, , payload] = messages[0]!;
  assert.deepEqual([delimiter!.length, new TextDecoder().decode(topic)], [0, "t"]);
  assert.deepEqual(decodeEventBatch(payload!).batch.events, CLEARED);
});

test("framing legacy leaves the topic out of replies", async (context) => {
  const { publisher, dealer: connect } = await setUp(context, { topic: "t", replayFraming: "legacy" });
  publish(publisher, 1);
  const { dealer, reader } = connect();
  requestReplay(dealer, 0);
  const [batch, end] = await readReplay(reader);
  assert.deepEqual([batch!.length, batch![0]!.length, sequenceOf(batch!)], [3, 0, 0]);
  assert.deepEqual(end, [new Uint8Array(), END, new Uint8Array()]);
});

test("framing topic has an end marker of four frames with an empty payload", async (context) => {
  const { dealer: connect } = await setUp(context, { replayFraming: "topic" });
  const { dealer, reader } = connect();
  requestReplay(dealer, 0);
  assert.deepEqual(await readReplay(reader), [[new Uint8Array(), new Uint8Array(), END, new Uint8Array()]]);
});

test("the live stream and a replay carry the same bytes", async (context) => {
  const { transport, publisher, dealer: connect } = await setUp(context);
  const { subscriber, reader: live } = subscribe(transport, publisher.endpoint);
  context.after(() => subscriber.close());
  await transport.subscribed(1);
  publish(publisher, 1);
  const { dealer, reader } = connect();
  requestReplay(dealer, 0);
  const [replayed] = await readReplay(reader);
  assert.deepEqual(replayed!.slice(1), await live.next());
});

test("only the last bufferSteps batches can be replayed", async (context) => {
  const { publisher, dealer: connect } = await setUp(context, { bufferSteps: 3 });
  publish(publisher, 10);
  const { dealer, reader } = connect();
  requestReplay(dealer, 0);
  assert.deepEqual(sequences(await readReplay(reader)), [7, 8, 9, -1]);
});

for (const [name, start] of [
  ["the next batch", 5],
  ["a batch far ahead", 1_000_000],
  ["the largest number", -1],
] as const) {
  test(`a replay from ${name} is an end marker`, async (context) => {
    const { publisher, dealer: connect } = await setUp(context);
    publish(publisher, 5);
    const { dealer, reader } = connect();
    requestReplay(dealer, start);
    assert.deepEqual(sequences(await readReplay(reader)), [-1]);
  });
}

test("a malformed request is ignored", async (context) => {
  const { publisher, dealer: connect } = await setUp(context);
  publish(publisher, 2);
  const { dealer, reader } = connect();
  dealer.send([new Uint8Array()]);
  dealer.send([new Uint8Array(8)]);
  dealer.send([new Uint8Array(), new Uint8Array(7)]);
  dealer.send([new Uint8Array(), new Uint8Array(8), new Uint8Array()]);
  requestReplay(dealer, 1);
  assert.deepEqual(sequences(await readReplay(reader)), [1, -1]);
});

test("a long replay to a slow peer is complete", async (context) => {
  const { publisher, dealer: connect } = await setUp(context, { replayHighWaterMark: 3 });
  publish(publisher, 700);
  const { dealer, reader } = connect({ receiveHighWaterMark: 2 });
  requestReplay(dealer, 0);
  const expected = [...Array.from({ length: 700 }, (_, sequence) => sequence), -1];
  assert.deepEqual(sequences(await readReplay(reader)), expected);
});

test("with overflow drop a replay loses what the queue does not take, as vLLM's does", async (context) => {
  const { publisher, dealer: connect } = await setUp(context, { replayHighWaterMark: 3, replayOverflow: "drop" });
  publish(publisher, 700);
  const { dealer, reader } = connect({ receiveHighWaterMark: 2 });
  requestReplay(dealer, 0);
  const first = await reader.next();
  assert.equal(sequenceOf(first), 0);
  requestReplay(dealer, 699);
  const messages = await readReplay(reader);
  assert.ok(messages.length < 20, `${messages.length} messages`);
});

test("two peers are served side by side, and two requests of one in order", async (context) => {
  const { publisher, dealer: connect } = await setUp(context, { replayHighWaterMark: 2 });
  publish(publisher, 300);
  const [slow, quick] = [connect({ receiveHighWaterMark: 1 }), connect()];
  requestReplay(slow.dealer, 0);
  requestReplay(slow.dealer, 299);
  assert.equal(sequenceOf(await slow.reader.next()), 0);
  requestReplay(quick.dealer, 298);
  assert.deepEqual(sequences(await readReplay(quick.reader)), [298, 299, -1]);
  assert.equal((await readReplay(slow.reader)).length, 300);
  assert.deepEqual(sequences(await readReplay(slow.reader)), [299, -1]);
});

test("the live stream goes on during a paced replay", async (context) => {
  const clock = new ManualClock();
  const { transport, publisher, dealer: connect } = await setUp(context, { replayHighWaterMark: 1, clock });
  publish(publisher, 10);
  const { subscriber, reader: live } = subscribe(transport, publisher.endpoint);
  context.after(() => subscriber.close());
  await transport.subscribed(1);
  const { dealer, reader } = connect({ receiveHighWaterMark: 1 });
  requestReplay(dealer, 0);
  await reader.next();
  publisher.publish(CLEARED);
  assert.equal(sequenceOf(await live.next()), 10);
});

test("closing during a replay leaves no timer", async (context) => {
  const clock = new ManualClock();
  const { publisher, dealer: connect } = await setUp(context, { replayHighWaterMark: 1, clock });
  publish(publisher, 10);
  const { dealer, reader } = connect({ receiveHighWaterMark: 1 });
  requestReplay(dealer, 0);
  await reader.next();
  assert.equal(clock.pending, 1);
  await publisher.close();
  assert.equal(clock.pending, 0);
});

test("without a replay endpoint nobody listens there", async (context) => {
  const transport = memory();
  const publisher = await startPublisher({ transport, endpoint: "inproc://engine" });
  context.after(() => publisher.close());
  assert.equal(publisher.replayEndpoint, undefined);
});

test("closing twice is closing once, and publishing afterwards is refused", async (context) => {
  const { publisher } = await setUp(context);
  await Promise.all([publisher.close(), publisher.close()]);
  assert.throws(
    () => publisher.publish(CLEARED),
    (error) => error instanceof KVEventSyncError && error.code === "closed",
  );
});

test("where the replay endpoint is taken the publisher's own is free again", async (context) => {
  const transport = memory();
  const first = await startPublisher({ transport, endpoint: "inproc://a", replayEndpoint: "inproc://r" });
  context.after(() => first.close());
  await assert.rejects(startPublisher({ transport, endpoint: "inproc://b", replayEndpoint: "inproc://r" }), {
    code: "address-in-use",
  });
  const second = await startPublisher({ transport, endpoint: "inproc://b" });
  await second.close();
});
