import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { TransportError } from "../../src/errors.ts";
import type { Dealer, Message } from "../../src/transport.ts";
import { bytes, message, readerOf, text } from "../support/messages.ts";
import { type ConformanceTest, joined } from "./bench.ts";

/** Large, so that what the system buffers between two sockets does not hide the marks. */
const PAYLOAD_BYTES = 65_536;

/** 64 MiB: what two small marks and the system's buffers hold together is far below. */
const MOST_HELD = 1_000;

const SMALL_MARKS = { sendHighWaterMark: 20, receiveHighWaterMark: 10 };

function numbered(i: number): Message {
  return message("kv", `${i}`, new Uint8Array(PAYLOAD_BYTES).fill(i));
}

/** The number; throws unless the message is whole. */
function numberOf(frames: Message): number {
  const [topic, name, payload] = frames.slice(-3);
  const i = Number(text(name));
  assert.equal(text(topic), "kv");
  assert.equal(payload!.length, PAYLOAD_BYTES);
  assert.ok(Buffer.from(payload!).equals(Buffer.alloc(PAYLOAD_BYTES, i)), `message ${i} is torn`);
  return i;
}

/** Sends until the queue is full, letting the system take what it can; returns how many were accepted. */
async function fill(send: (i: number) => boolean): Promise<number> {
  for (let i = 0; i < MOST_HELD; i += 1) {
    if (!send(i)) return i;
    await turn();
  }
  return MOST_HELD;
}

function sendOrFull(dealer: Dealer, i: number): boolean {
  try {
    dealer.send(numbered(i));
    return true;
  } catch (error) {
    assert.ok(error instanceof TransportError && error.code === "high-water-mark", `${error}`);
    return false;
  }
}

/** What happens when somebody does not keep up. */
export const flowTests: readonly ConformanceTest[] = [
  {
    name: "a slow subscriber alone loses messages, whole ones, and goes on",
    async run(bench) {
      const bound = await bench.publisher({ sendHighWaterMark: 20 });
      const fast = bench.subscriber([bound.endpoint], ["kv"]);
      const slow = bench.subscriber([bound.endpoint], ["kv", "end"], { receiveHighWaterMark: 10 });
      await joined(bound, [fast, slow]);
      const count = 600;
      for (let i = 0; i < count; i += 1) {
        bound.publisher.send(numbered(i));
        assert.equal(numberOf((await fast.reader.next()).message), i);
      }
      let isOver = false;
      const ending = (async () => {
        for (; !isOver; await turn()) bound.publisher.send(message("end"));
      })();
      const received: number[] = [];
      for (;;) {
        const { message: frames } = await slow.reader.next();
        if (text(frames[0]) === "end") break;
        received.push(numberOf(frames));
      }
      isOver = true;
      await ending;
      assert.ok(received.length >= 10 && received.length < count, `${received.length} of ${count}`);
      assert.deepEqual(
        received,
        [...new Set(received)].sort((a, b) => a - b),
      );
      assert.equal(received[0], 0);
    },
  },
  {
    name: "a router that does not read holds its dealer back, and nothing is lost",
    async run(bench) {
      const router = bench.open(bench.server.router({ receiveHighWaterMark: 10 }));
      const dealer = bench.open(bench.client.dealer({ sendHighWaterMark: 20 }));
      dealer.connect(await router.bind(bench.endpoint()));
      const accepted = await fill((i) => sendOrFull(dealer, i));
      assert.ok(accepted >= 20 && accepted < MOST_HELD, `${accepted} were accepted`);
      const reader = readerOf(router);
      for (let i = 0; i < accepted; i += 1) assert.equal(numberOf((await reader.next()).message), i);
      dealer.send(numbered(accepted));
      assert.equal(numberOf((await reader.next()).message), accepted);
    },
  },
  {
    name: "a router's send is false for a slow dealer alone, which gets all that was queued",
    async run(bench) {
      const router = bench.open(bench.server.router(SMALL_MARKS));
      const endpoint = await router.bind(bench.endpoint());
      const [slow, fast] = [bench.open(bench.client.dealer(SMALL_MARKS)), bench.open(bench.client.dealer(SMALL_MARKS))];
      const identities = new Map<string, Uint8Array>();
      const requests = readerOf(router);
      for (const [name, dealer] of [["slow", slow] as const, ["fast", fast] as const]) {
        dealer.connect(endpoint);
        dealer.send(message(name));
        const [identity] = (await requests.next()).message;
        identities.set(name, identity!);
      }
      const accepted = await fill((i) => router.send([identities.get("slow")!, ...numbered(i)]));
      assert.ok(accepted >= 20 && accepted < MOST_HELD, `${accepted} were queued`);
      const [fastReader, slowReader] = [readerOf(fast), readerOf(slow)];
      for (let i = 0; i < 50; i += 1) {
        assert.equal(router.send([identities.get("fast")!, ...numbered(i)]), true);
        assert.equal(numberOf((await fastReader.next()).message), i);
      }
      for (let i = 0; i < accepted; i += 1) assert.equal(numberOf((await slowReader.next()).message), i);
    },
  },
  {
    name: "marks in bytes hold a dealer back as those in messages do",
    needs: ["server.highWaterMarkBytes", "client.highWaterMarkBytes"],
    async run(bench) {
      const router = bench.open(bench.server.router({ receiveHighWaterMarkBytes: 10 * PAYLOAD_BYTES }));
      const dealer = bench.open(bench.client.dealer({ sendHighWaterMarkBytes: 20 * PAYLOAD_BYTES }));
      dealer.connect(await router.bind(bench.endpoint()));
      const accepted = await fill((i) => sendOrFull(dealer, i));
      assert.ok(accepted >= 15 && accepted < MOST_HELD, `${accepted} were accepted`);
      const reader = readerOf(router);
      for (let i = 0; i < accepted; i += 1) assert.equal(numberOf((await reader.next()).message), i);
    },
  },
  {
    name: "a full subscriber holds back all its publishers, and then hears them all",
    async run(bench) {
      const bounds = await Promise.all([0, 1, 2].map(() => bench.publisher()));
      const reading = bench.subscriber(
        bounds.map(({ endpoint }) => endpoint),
        ["kv"],
        { receiveHighWaterMark: 2 },
      );
      for (const bound of bounds) await joined(bound, [reading]);
      const count = 200;
      for (let i = 0; i < count; i += 1) {
        for (const { publisher } of bounds) publisher.send(message("kv", `${i}`, bytes("")));
        if (i % 20 === 0) await turn();
      }
      const next = new Map<number, number>();
      for (let received = 0; received < count * bounds.length; received += 1) {
        const { connectionId, message: frames } = await reading.reader.next();
        const expected = next.get(connectionId) ?? 0;
        assert.equal(text(frames[1]), `${expected}`);
        next.set(connectionId, expected + 1);
      }
      assert.deepEqual([...next.values()], [count, count, count]);
    },
  },
];
