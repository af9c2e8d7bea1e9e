import assert from "node:assert/strict";
import { test } from "node:test";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { type Reader, ReadTurns } from "../../../transports/zmtp/read-turns.ts";
import { bytes, message, RawServer, turn } from "./support.ts";

const CHUNK_BYTES = 65_536;

/** As many readers, of which each that is not held reads a chunk in a turn of the event loop, in the order given. */
class Readers {
  readonly turns = new ReadTurns();
  readonly held = new Set<number>();
  readonly readers: readonly Reader[];

  constructor(count: number) {
    this.readers = Array.from({ length: count }, (_, at) => ({
      hold: () => void this.held.add(at),
      release: () => void this.held.delete(at),
    }));
    for (const reader of this.readers) this.turns.add(reader);
  }

  /** Who read. */
  read(order: readonly number[], chunkBytes: number): number[] {
    const readable = order.filter((at) => !this.held.has(at));
    return readable.filter((at) => {
      if (this.held.has(at)) return false;
      this.turns.read(this.readers[at]!, chunkBytes);
      return true;
    });
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

test("of a thousand that have much to read, a few do in one turn, and all in the end", async () => {
  const fleet = new Readers(1_000);
  const reads = new Array<number>(1_000).fill(0);
  let most = 0;
  for (let turns = 0; turns < 1_000 && Math.min(...reads) < 2; turns++) {
    const read = fleet.read(upTo(1_000), CHUNK_BYTES);
    for (const at of read) reads[at]!++;
    most = Math.max(most, read.length);
    await turn();
  }
  assert.ok(most <= 8, `${most} in one turn`);
  assert.deepEqual([Math.min(...reads), Math.max(...reads) <= 3], [2, true]);
});

test("who is always asked last reads all the same", async () => {
  const fleet = new Readers(40);
  const reads = new Array<number>(40).fill(0);
  for (let turns = 0; turns < 200; turns++) {
    for (const at of fleet.read(upTo(40), CHUNK_BYTES)) reads[at]!++;
    await turn();
  }
  assert.ok(Math.min(...reads) > 0.8 * Math.max(...reads), `${Math.min(...reads)} and ${Math.max(...reads)}`);
});

test("a hundred that read little in one turn are not held, and those that are held are soon released", async () => {
  const fleet = new Readers(200);
  assert.equal(fleet.read(upTo(100), 300).length, 100);
  assert.equal(fleet.held.size, 0);
  await turn();
  fleet.read(upTo(10), CHUNK_BYTES);
  assert.equal(fleet.held.size, 200);
  while (fleet.held.size > 0) await turn();
  assert.equal(fleet.read(upTo(100), 300).length, 100);
});

test("where few fill a turn, no more are released than will read in the next one", async () => {
  const fleet = new Readers(40);
  const reads = new Array<number>(40).fill(0);
  let tooMany = 0;
  for (let turns = 0; turns < 100; turns++) {
    const released = turns === 0 ? 0 : 40 - fleet.held.size;
    const read = fleet.read(upTo(40), 2 * CHUNK_BYTES);
    for (const at of read) reads[at]!++;
    tooMany += Math.max(0, released - read.length);
    await turn();
  }
  assert.equal(tooMany, 0);
  assert.deepEqual([Math.min(...reads), Math.max(...reads)], [10, 10]);
});

test("whoever stopped by itself is not released", async () => {
  const fleet = new Readers(10);
  fleet.read(upTo(10), CHUNK_BYTES);
  fleet.turns.delete(fleet.readers[3]!);
  await turn();
  await turn();
  assert.deepEqual([...fleet.held], [3]);
});

test("sockets of one transport that are all full deliver a few chunks in a turn, and everything in order", async () => {
  const transport = zmtp();
  const servers = await Promise.all(upTo(30).map(() => RawServer.start()));
  const subscribers = servers.map(({ endpoint }) => {
    const subscriber = transport.subscriber({ receiveHighWaterMarkBytes: CHUNK_BYTES });
    subscriber.subscribe("");
    subscriber.connect(endpoint);
    return subscriber;
  });
  const peers = await Promise.all(servers.map((server) => server.accept()));
  await Promise.all(peers.map((peer) => peer.shake("PUB")));
  const count = 1_000;
  const payload = Buffer.alloc(1_000);
  const sent = Buffer.concat(upTo(count).map((i) => message(bytes("kv"), bytes(`${i}`), payload)));
  let received = 0;
  const done = subscribers.map(async (subscriber) => {
    let expected = 0;
    for await (const { messages } of subscriber.receive()) {
      for (const frames of messages) assert.equal(Buffer.from(frames[1]!).toString(), `${expected++}`);
      received += messages.length;
      if (expected === count) return;
    }
  });
  for (const peer of peers) void peer.write(sent);
  let most = 0;
  for (let before = 0; received < count * peers.length; before = received) {
    await turn();
    most = Math.max(most, received - before);
  }
  await Promise.all(done);
  for (const each of [...subscribers, ...servers]) await each[Symbol.asyncDispose]();
  // Eight chunks in a turn, and a ninth that the system had read already. This turn may begin in the middle of theirs.
  assert.ok(most > 0 && most <= 2 * 9 * 66, `${most} messages in one turn`);
});
