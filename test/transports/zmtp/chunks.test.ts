import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../../src/transport.ts";
import { Chunks, READ_BYTES } from "../../../transports/zmtp/chunks.ts";
import type { Connection } from "../../../transports/zmtp/connection.ts";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { resolveOptions } from "../../../transports/zmtp/options.ts";
import { resolveSecurity } from "../../../transports/zmtp/security.ts";
import { SubscriberSocket } from "../../../transports/zmtp/subscriber.ts";
import { bytes, message, RawServer, text } from "./support.ts";

const read = (length: number, content = 1): Uint8Array => new Uint8Array(length).fill(content);

test("what is read is copied, and large chunks that come back are filled again", () => {
  const chunks = new Chunks(2);
  const source = read(READ_BYTES - 1);
  const first = chunks.copyOf(source);
  source.fill(9);
  assert.deepEqual(first, Buffer.alloc(READ_BYTES - 1, 1));
  chunks.giveBack(first);
  const second = chunks.copyOf(read(READ_BYTES, 2));
  assert.equal(second.buffer, first.buffer);
  assert.deepEqual(second, Buffer.alloc(READ_BYTES, 2));
  assert.notEqual(chunks.copyOf(source).buffer, second.buffer);
});

test("a chunk can be used again where some are kept, and it is a large one", () => {
  const chunks = new Chunks(1);
  assert.ok(chunks.isReusable(chunks.copyOf(read(READ_BYTES / 2 + 1))));
  assert.ok(!chunks.isReusable(chunks.copyOf(read(READ_BYTES / 2))));
  const none = new Chunks(0);
  assert.ok(!none.isReusable(none.copyOf(read(READ_BYTES))));
});

test("what is read of little has memory of its own size, which is not kept", () => {
  const chunks = new Chunks(2);
  for (const length of [1, 300, READ_BYTES / 2]) {
    const chunk = chunks.copyOf(read(length));
    assert.equal(chunk.buffer.byteLength, length);
    chunks.giveBack(chunk);
    assert.notEqual(chunks.copyOf(read(length)).buffer, chunk.buffer);
  }
});

test("no more chunks are kept than were allowed, and where none will come back each is as large as what it holds", () => {
  const chunks = new Chunks(2);
  const given = [1, 2, 3].map(() => chunks.copyOf(read(READ_BYTES)));
  for (const chunk of given) chunks.giveBack(chunk);
  const again = [1, 2, 3].map(() => chunks.copyOf(read(READ_BYTES)).buffer);
  assert.equal(given.filter(({ buffer }) => again.includes(buffer)).length, 2);
  const none = new Chunks(0);
  const own = none.copyOf(read(READ_BYTES - 1));
  assert.equal(own.buffer.byteLength, READ_BYTES - 1);
  none.giveBack(none.copyOf(read(READ_BYTES)));
});

const COUNT = 3_000;
const numbered = Array.from({ length: COUNT }, (_, i) =>
  message(bytes("kv"), bytes(`${i}`), Buffer.alloc(1_000, i % 251)),
);

for (const reusesMemory of [true, false]) {
  test(`a batch is whole until the next one is asked for, and its memory ${reusesMemory ? "used again" : "its own"}`, async () => {
    await using server = await RawServer.start();
    await using sub = zmtp().subscriber({ reusesMemory, receiveHighWaterMarkBytes: 65_536 });
    sub.subscribe("");
    sub.connect(server.endpoint);
    const peer = await server.accept();
    await peer.shake("PUB");
    void peer.write(...numbered);
    let expected = 0;
    const payloads: Uint8Array[] = [];
    for await (const { messages } of sub.receive()) {
      for (const [, number, payload] of messages) {
        assert.equal(text(number), `${expected}`);
        assert.ok(payload!.every((byte) => byte === expected % 251));
        payloads.push(payload!);
        expected++;
      }
      if (expected === COUNT) break;
    }
    const areIntact = payloads.every((payload, i) => payload.every((byte) => byte === i % 251));
    assert.equal(areIntact, !reusesMemory);
  });
}

/** What its connections deliver. */
class Watched extends SubscriberSocket {
  readonly delivered: { readonly messages: Message[]; readonly bytes: number; readonly chunk?: Uint8Array }[] = [];

  constructor(reusesMemory: boolean) {
    super(resolveSecurity(), resolveOptions(), { reusesMemory });
  }

  override deliver(connection: Connection, messages: Message[], bytes: number, chunk?: Uint8Array): void {
    this.delivered.push({ messages: [...messages], bytes, ...(chunk && { chunk }) });
    super.deliver(connection, messages, bytes, chunk);
  }
}

/** Payloads that cross chunks, so that none is a view into one. */
const long = Array.from({ length: 20 }, () => message(bytes("kv"), Buffer.alloc(READ_BYTES + 5_000)));

async function receiveLong(sub: Watched): Promise<void> {
  await using server = await RawServer.start();
  sub.subscribe("");
  sub.connect(server.endpoint);
  const peer = await server.accept();
  await peer.shake("PUB");
  void peer.write(...long);
  let received = 0;
  for await (const { messages } of sub.receive()) {
    received += messages.length;
    if (received === long.length) break;
  }
}

test("a chunk that will not be filled again is kept by views into it alone", async () => {
  await using sub = new Watched(false);
  await receiveLong(sub);
  assert.ok(sub.delivered.every(({ chunk }) => chunk === undefined));
});

test("of a chunk that will be filled again all memory is counted, beside that of frames which crossed chunks", async () => {
  await using sub = new Watched(true);
  await receiveLong(sub);
  const kept = sub.delivered.filter(({ chunk }) => chunk !== undefined);
  assert.ok(kept.length > 0);
  for (const { messages, bytes, chunk } of kept) {
    const copies = messages.flat().filter(({ buffer }) => buffer !== chunk!.buffer);
    const copied = copies.reduce((sum, { length }) => sum + length, 0);
    assert.ok(bytes >= READ_BYTES + copied, `${READ_BYTES} and ${copied} bytes are kept, ${bytes} are counted`);
  }
});
