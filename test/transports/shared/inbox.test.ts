import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { TransportError } from "../../../src/errors.ts";
import type { Message } from "../../../src/transport.ts";
import { Inbox } from "../../../transports/shared/inbox.ts";
import { bytes, texts } from "../zmtp/support.ts";

const messages = (...names: readonly string[]): Message[] => names.map((name) => [bytes(name)]);

function inbox(highWaterMark = 100, highWaterMarkBytes = 1_000): { box: Inbox; rooms: { count: number } } {
  const rooms = { count: 0 };
  const box = new Inbox({ transport: "test", highWaterMark, highWaterMarkBytes }, () => {
    rooms.count += 1;
  });
  return { box, rooms };
}

const next = async (iterator: AsyncIterator<{ readonly messages: readonly Message[] }>): Promise<string[][] | null> => {
  const result = await iterator.next();
  return result.done ? null : texts(result.value.messages);
};

test("a waiting consumer gets a batch as it came", async () => {
  const { box } = inbox();
  const waiting = next(box.receive()[Symbol.asyncIterator]());
  box.push(1, messages("a", "b"), 2);
  assert.deepEqual(await waiting, [["a"], ["b"]]);
});

test("what comes while the consumer is busy is joined, but never over two connections", async () => {
  const { box } = inbox();
  const iterator = box.receive()[Symbol.asyncIterator]();
  for (const [id, name] of [
    [1, "a"],
    [1, "b"],
    [2, "c"],
    [1, "d"],
  ] as const)
    box.push(id, messages(name), 1);
  const seen = [];
  for (let i = 0; i < 3; i += 1) {
    const { connectionId, messages } = (await iterator.next()).value!;
    seen.push([connectionId, texts(messages).flat().join("")]);
  }
  assert.deepEqual(seen, [
    [1, "ab"],
    [2, "c"],
    [1, "d"],
  ]);
});

test("zmtp 40: it is full at the mark in messages, and has room again at half of it", async () => {
  const { box, rooms } = inbox(4);
  const iterator = box.receive()[Symbol.asyncIterator]();
  box.push(1, messages("a"), 1);
  box.push(2, messages("b"), 1);
  box.push(3, messages("c"), 1);
  assert.equal(box.full, false);
  box.push(4, messages("d"), 1);
  assert.equal(box.full, true);
  await iterator.next();
  assert.deepEqual([box.full, rooms.count], [true, 0]);
  await iterator.next();
  assert.deepEqual([box.full, rooms.count], [false, 1]);
  await iterator.next();
  assert.equal(rooms.count, 1);
});

test("zmtp 40: it is full at the mark in bytes", async () => {
  const { box, rooms } = inbox(100, 1_000);
  box.push(1, messages("a"), 999);
  assert.equal(box.full, false);
  box.push(2, messages("b"), 1);
  assert.equal(box.full, true);
  await next(box.receive()[Symbol.asyncIterator]());
  assert.deepEqual([box.full, rooms.count], [false, 1]);
});

test("closing ends a waiting consumer and every later one, and drops what was not taken", async () => {
  const { box } = inbox();
  const waiting = next(box.receive()[Symbol.asyncIterator]());
  box.close();
  assert.equal(await waiting, null);
  box.push(1, messages("late"), 1);
  assert.equal(await next(box.receive()[Symbol.asyncIterator]()), null);
});

test("an aborted signal rejects the waiting consumer with its reason, and loses nothing", async () => {
  const { box } = inbox();
  const controller = new AbortController();
  const iterator = box.receive(controller.signal)[Symbol.asyncIterator]();
  const waiting = iterator.next();
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  assert.equal(await next(iterator), null);
  box.push(1, messages("a"), 1);
  assert.deepEqual(await next(box.receive()[Symbol.asyncIterator]()), [["a"]]);
});

test("a signal that was aborted before, or between two batches, rejects the next one", async () => {
  const { box } = inbox();
  const reason = new Error("enough");
  await assert.rejects(next(box.receive(AbortSignal.abort(reason))[Symbol.asyncIterator]()), reason);
  const controller = new AbortController();
  const iterator = box.receive(controller.signal)[Symbol.asyncIterator]();
  box.push(1, messages("a"), 1);
  await iterator.next();
  controller.abort(reason);
  await assert.rejects(iterator.next(), reason);
});

test("the signal keeps no listener, whichever way an iteration ends", async () => {
  for (const end of ["close", "return", "abort"]) {
    const { box } = inbox();
    const controller = new AbortController();
    const iterator = box.receive(controller.signal)[Symbol.asyncIterator]();
    const waiting = iterator.next().catch(() => {});
    assert.equal(getEventListeners(controller.signal, "abort").length, 1);
    if (end === "close") box.close();
    if (end === "return") await iterator.return?.();
    if (end === "abort") controller.abort();
    await waiting;
    assert.equal(getEventListeners(controller.signal, "abort").length, 0, end);
  }
});

test("leaving a loop keeps the rest for the next one", async () => {
  const { box } = inbox();
  box.push(1, messages("a"), 1);
  box.push(2, messages("b"), 1);
  for await (const batch of box.receive()) {
    assert.deepEqual(texts(batch.messages), [["a"]]);
    break;
  }
  assert.deepEqual(await next(box.receive()[Symbol.asyncIterator]()), [["b"]]);
});

test("a second consumer is refused while the first one waits; one that asks ahead is served in order", async () => {
  const { box } = inbox();
  const iterator = box.receive()[Symbol.asyncIterator]();
  const ahead = [next(iterator), next(iterator)];
  await assert.rejects(
    next(box.receive()[Symbol.asyncIterator]()),
    (error) => error instanceof TransportError && error.code === "unsupported",
  );
  box.push(1, messages("a"), 1);
  box.push(1, messages("b"), 1);
  assert.deepEqual(await Promise.all(ahead), [[["a"]], [["b"]]]);
});

test("many batches are taken in order", async () => {
  const { box } = inbox(1_000_000, 1_000_000);
  const count = 5_000;
  for (let i = 0; i < count; i += 1) box.push(i, messages(`${i}`), 1);
  let expected = 0;
  for await (const batch of box.receive()) {
    assert.equal(batch.connectionId, expected);
    expected += 1;
    if (expected === count) break;
  }
});

test("a chunk is read when the batch after its own is asked for", async () => {
  const read: number[] = [];
  const limits = { transport: "test", highWaterMark: 100, highWaterMarkBytes: 1_000 };
  const box = new Inbox(
    limits,
    () => {},
    (chunk) => void read.push(chunk[0]!),
  );
  const iterator = box.receive()[Symbol.asyncIterator]();
  const first = next(iterator);
  box.push(1, messages("a"), 1, bytes("a"));
  assert.deepEqual(await first, [["a"]]);
  // Joined, with one that has no chunk of its own among them.
  box.push(1, messages("b"), 1, bytes("b"));
  box.push(1, messages("c"), 1);
  box.push(1, messages("d"), 1, bytes("d"));
  assert.deepEqual(read, []);
  assert.deepEqual(await next(iterator), [["b"], ["c"], ["d"]]);
  assert.deepEqual(read, [...bytes("a")]);
  const asked = [next(iterator), next(iterator)];
  assert.deepEqual(read, [...bytes("abd")]);
  box.push(1, messages("e"), 1, bytes("e"));
  box.push(1, messages("f"), 1, bytes("f"));
  assert.deepEqual(await Promise.all(asked), [[["e"]], [["f"]]]);
  assert.deepEqual(read, [...bytes("abd")]);
  await iterator.return?.();
  assert.deepEqual(read, [...bytes("abd")]);
});
