import assert from "node:assert/strict";
import { assertMessage, bytes, message, text, texts } from "../support/messages.ts";
import { type ConformanceTest, joined, readSubscriber, SubscriptionWatch, withWatch } from "./bench.ts";

/** Sizes at which ZMTP, and what lies below it, change their ways. */
const FRAME_SIZES = [0, 1, 254, 255, 256, 65_536, 1_048_576];

/** No limit of the transport may decide the outcome. */
const ROOMY = { sendHighWaterMark: 100_000, receiveHighWaterMark: 100_000 };

const MOST_ROUNDS = 10_000;

function patterned(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 255);
}

/** What a publisher sends, and a subscriber gets. */
export const deliveryTests: readonly ConformanceTest[] = [
  {
    name: "frames of every size arrive as they were sent",
    async run(bench) {
      const { publisher, reader } = await bench.pubSub(["kv"]);
      for (const size of FRAME_SIZES) publisher.send([bytes("kv"), patterned(size)]);
      for (const size of FRAME_SIZES) assertMessage((await reader.next()).message, ["kv", patterned(size)]);
    },
  },
  {
    name: "messages of one frame and of many, empty ones among them, keep their frames",
    async run(bench) {
      const { publisher, reader } = await bench.pubSub([""]);
      const sent = [
        ["alone"],
        [""],
        ["", "", ""],
        ["topic", "", "payload"],
        ["topic", patterned(70_000), "", patterned(255), ""],
        Array.from({ length: 100 }, (_, i) => `frame ${i}`),
      ];
      for (const frames of sent) publisher.send(message(...frames));
      for (const frames of sent) assertMessage((await reader.next()).message, frames);
    },
  },
  {
    name: "messages come in the order in which they were sent",
    async run(bench) {
      const { publisher, reader } = await bench.pubSub(["kv"], { publisher: ROOMY, subscriber: ROOMY });
      const count = 10_000;
      for (let i = 0; i < count; i += 1) publisher.send(message("kv", `${i}`, new Uint8Array(i % 300)));
      for (let i = 0; i < count; i += 1) {
        const { message: frames } = await reader.next();
        assert.equal(text(frames[1]), `${i}`);
        assert.equal(frames[2]?.length, i % 300);
      }
    },
  },
  {
    name: "a sender may use its buffers again at once",
    async run(bench) {
      const { publisher, reader } = await bench.pubSub([""]);
      for (const size of [10, 100_000]) {
        const frame = new Uint8Array(size).fill(7);
        publisher.send([frame]);
        frame.fill(9);
        assertMessage((await reader.next()).message, [new Uint8Array(size).fill(7)]);
      }
    },
  },
  {
    name: "a subscription matches as a prefix of the first frame, byte by byte",
    async run(bench) {
      const { publisher, reader } = await bench.pubSub(["kv", Uint8Array.of(0xff, 0x80)]);
      const topics = ["kv", "k", "", "kv@pod", "KV", " kv", "kw", "x"].map(bytes);
      const binary = [
        Uint8Array.of(0xff),
        Uint8Array.of(0xff, 0x80),
        Uint8Array.of(0xff, 0x80, 0),
        Uint8Array.of(0x80),
      ];
      for (const topic of [...topics, ...binary]) publisher.send([topic, bytes("kv")]);
      publisher.send(message("kv end"));
      const received = (await reader.take(5)).map(([topic]) => Buffer.from(topic!).toString("latin1"));
      assert.deepEqual(received, ["kv", "kv@pod", "\xff\x80", "\xff\x80\0", "kv end"]);
    },
  },
  {
    name: "the empty subscription matches everything",
    async run(bench) {
      const { publisher, reader } = await bench.pubSub([""]);
      for (const topic of ["", "kv", "\0"]) publisher.send(message(topic));
      assert.deepEqual(texts(await reader.take(3)), [[""], ["kv"], ["\0"]]);
    },
  },
  {
    name: "without a subscription nothing is received",
    needs: ["server.connectionStates", "server.subscriptionEvents"],
    async run(bench) {
      let becomeReady = (): void => {};
      const isReady = new Promise<void>((resolve) => {
        becomeReady = resolve;
      });
      const { publisher, watch, endpoint } = await bench.publisher({
        onConnection: (_endpoint, { status }) => {
          if (status === "ready") becomeReady();
        },
      });
      const { subscriber, reader } = bench.subscriber([endpoint], []);
      await isReady;
      publisher.send(message("before"));
      subscriber.subscribe("");
      await watch.count(1);
      publisher.send(message("after"));
      assert.deepEqual(texts(await reader.take(1)), [["after"]]);
    },
  },
  {
    name: "a topic subscribed to twice is wanted until it is unsubscribed from twice",
    async run(bench) {
      const { publisher, subscriber, reader } = await bench.pubSub(["kv", "end"]);
      subscriber.subscribe("kv");
      subscriber.unsubscribe("kv");
      publisher.send(message("kv"));
      publisher.send(message("end"));
      assert.deepEqual(texts(await reader.take(2)), [["kv"], ["end"]]);
      subscriber.unsubscribe("kv");
      // The publisher learns of it in its own time.
      for (let round = 0; round < MOST_ROUNDS; round += 1) {
        publisher.send(message("kv"));
        publisher.send(message("end"));
        if (text((await reader.next()).message[0]) === "end") return;
        await reader.next();
      }
      assert.fail("the topic still came after it was unsubscribed from");
    },
  },
  {
    name: "unsubscribing from a topic that was not subscribed to changes nothing",
    async run(bench) {
      const { publisher, subscriber, reader } = await bench.pubSub(["kv"]);
      subscriber.unsubscribe("k");
      subscriber.unsubscribe("kv@");
      subscriber.unsubscribe("");
      publisher.send(message("kv@pod"));
      assert.deepEqual(texts(await reader.take(1)), [["kv@pod"]]);
    },
  },
  {
    name: "a publisher is told of a topic when it is first subscribed to and when it is last unsubscribed from",
    needs: ["server.subscriptionEvents"],
    async run(bench) {
      const { subscriber, watch } = await bench.pubSub(["a"]);
      subscriber.subscribe("a");
      subscriber.subscribe("b");
      subscriber.unsubscribe("a");
      subscriber.subscribe("");
      subscriber.unsubscribe("a");
      await watch.count(4);
      assert.deepEqual(watch.seen, ["+a", "+b", "+", "-a"]);
    },
  },
  {
    name: "topics of every length reach the publisher",
    needs: ["server.subscriptionEvents"],
    async run(bench) {
      const topics = [1, 244, 245, 246, 254, 255, 256, 1_000].map((length) => "t".repeat(length));
      const { publisher, watch, reader } = await bench.pubSub(topics);
      assert.deepEqual(watch.seen.map((seen) => seen.length - 1).sort(), topics.map((topic) => topic.length).sort());
      publisher.send(message("t"));
      assert.deepEqual(texts(await reader.take(1)), [["t"]]);
    },
  },
  {
    name: "every subscriber gets what it asked for",
    async run(bench) {
      const bound = await bench.publisher();
      const subscribers = [["a"], ["b"], ["a", "b"]].map((topics) => bench.subscriber([bound.endpoint], topics));
      await joined(bound, subscribers);
      for (const topic of ["a", "b", "a"]) bound.publisher.send(message(topic));
      const expected = [["a", "a"], ["b"], ["a", "b", "a"]];
      for (const [i, { reader }] of subscribers.entries()) {
        assert.deepEqual(texts(await reader.take(expected[i]!.length)).flat(), expected[i]);
      }
    },
  },
  {
    name: "several publishers are all heard by one subscriber, each in its order and over its own connection",
    async run(bench) {
      const bounds = await Promise.all([0, 1, 2].map(() => bench.publisher(ROOMY)));
      const subscriber = bench.subscriber(
        bounds.map(({ endpoint }) => endpoint),
        ["kv"],
        ROOMY,
      );
      for (const bound of bounds) await joined(bound, [subscriber]);
      const count = 500;
      for (let i = 0; i < count; i += 1) {
        for (const [p, { publisher }] of bounds.entries()) publisher.send(message("kv", `${p}`, `${i}`));
      }
      const next = bounds.map(() => 0);
      const connections = bounds.map(() => new Set<number>());
      for (let received = 0; received < count * bounds.length; received += 1) {
        const { message: frames, connectionId } = await subscriber.reader.next();
        const p = Number(text(frames[1]));
        assert.equal(text(frames[2]), `${next[p]}`);
        next[p]! += 1;
        connections[p]!.add(connectionId);
      }
      assert.deepEqual(
        connections.map(({ size }) => size),
        [1, 1, 1],
      );
      assert.equal(new Set(connections.flatMap((ids) => [...ids])).size, 3);
    },
  },
  {
    name: "a subscriber binds, and publishers connect to it",
    needs: ["server.subscriberBinds"],
    async run(bench) {
      const subscriber = bench.open(bench.server.subscriber());
      subscriber.subscribe("kv");
      const endpoint = await subscriber.bind(bench.endpoint());
      const reading = readSubscriber(subscriber, ["kv"]);
      for (const name of ["first", "second"]) {
        const watch = new SubscriptionWatch();
        const isReporting = bench.client.capabilities.subscriptionEvents;
        const publisher = bench.open(bench.client.publisher(withWatch({}, watch, isReporting)));
        publisher.connect(endpoint);
        await joined({ publisher, watch }, [reading]);
        publisher.send(message("kv", name));
        assert.deepEqual(texts(await reading.reader.take(1)), [["kv", name]]);
      }
    },
  },
  {
    name: "a bound subscriber tells the connections of its publishers apart",
    needs: ["server.subscriberBinds", "server.acceptedConnections"],
    async run(bench) {
      const subscriber = bench.open(bench.server.subscriber());
      subscriber.subscribe("kv");
      const endpoint = await subscriber.bind(bench.endpoint());
      const reading = readSubscriber(subscriber, ["kv"]);
      const publishers = [];
      for (let i = 0; i < 2; i += 1) {
        const watch = new SubscriptionWatch();
        const isReporting = bench.client.capabilities.subscriptionEvents;
        const publisher = bench.open(bench.client.publisher(withWatch({}, watch, isReporting)));
        publisher.connect(endpoint);
        await joined({ publisher, watch }, [reading]);
        publishers.push(publisher);
      }
      const ids: number[] = [];
      for (const publisher of [...publishers, ...publishers]) {
        publisher.send(message("kv"));
        ids.push((await reading.reader.next()).connectionId);
      }
      assert.deepEqual(ids.slice(0, 2), ids.slice(2));
      assert.notEqual(ids[0], ids[1]);
    },
  },
  {
    name: "connecting twice to one endpoint receives everything once",
    async run(bench) {
      const { publisher, subscriber, reader, endpoint } = await bench.pubSub(["kv"]);
      subscriber.connect(endpoint);
      for (const name of ["1", "2", "3"]) publisher.send(message("kv", name));
      assert.deepEqual(
        texts(await reader.take(3)).map(([, name]) => name),
        ["1", "2", "3"],
      );
    },
  },
];
