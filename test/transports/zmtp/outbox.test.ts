import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ByteSink, Outbox } from "../../../transports/zmtp/outbox.ts";
import { bytes, deferred } from "./support.ts";

/** A sink whose kernel takes everything at once, or nothing until told. */
class FakeSink implements ByteSink {
  writable = true;
  writableLength = 0;
  taken: Buffer[] = [];
  writes = 0;
  isBlocked = false;
  #corked = 0;
  #callbacks: (() => void)[] = [];

  cork(): void {
    this.#corked += 1;
    if (this.#corked === 1) this.writes += 1;
  }

  uncork(): void {
    this.#corked -= 1;
    if (!this.isBlocked) this.release();
  }

  write(data: Uint8Array, done?: () => void): boolean {
    // A copy, for what was handed over may be reused once it is taken.
    this.taken.push(Buffer.from(data));
    this.writableLength += data.length;
    if (this.#corked === 0) this.writes += 1;
    if (done !== undefined) this.#callbacks.push(done);
    if (!this.isBlocked && this.#corked === 0) this.release();
    return true;
  }

  /** The kernel takes what it has got; callbacks come later, as Node's do. */
  release(): void {
    this.writableLength = 0;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    process.nextTick(() => {
      for (const callback of callbacks) callback();
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.taken);
  }
}

const LIMITS = { highWaterMark: 1_000_000, highWaterMarkBytes: 1_000_000_000 };
const tick = (): Promise<void> => {
  const { promise, resolve } = deferred();
  process.nextTick(resolve);
  return promise;
};

test("the messages of one tick go out in one write", async () => {
  const sink = new FakeSink();
  const outbox = new Outbox(sink, LIMITS);
  for (const name of ["a", "b", "c"]) outbox.push(bytes(name));
  assert.equal(sink.writes, 0);
  await tick();
  assert.equal(sink.writes, 1);
  assert.equal(sink.bytes.toString(), "abc");
});

test("a full piece does not wait for the end of the tick", () => {
  const sink = new FakeSink();
  const outbox = new Outbox(sink, LIMITS);
  for (let i = 0; i < 100; i += 1) outbox.push(Buffer.alloc(1_000));
  assert.ok(sink.bytes.length >= 65_000);
});

test("while the kernel is busy nothing more is handed over, and then all of it at once", async () => {
  const sink = new FakeSink();
  const outbox = new Outbox(sink, LIMITS);
  sink.isBlocked = true;
  outbox.push(bytes("first"));
  await tick();
  for (let i = 0; i < 200; i += 1) outbox.push(Buffer.alloc(1_000, i));
  await tick();
  assert.equal(sink.bytes.toString(), "first");
  sink.isBlocked = false;
  sink.release();
  await tick();
  await tick();
  assert.equal(sink.bytes.length, 200_005);
  assert.equal(sink.writes, 2);
});

test("a flush that was planned before the kernel was busy waits as well", async () => {
  const sink = new FakeSink();
  sink.isBlocked = true;
  const outbox = new Outbox(sink, LIMITS);
  outbox.push(bytes("small"));
  outbox.push(Buffer.alloc(70_000));
  outbox.push(bytes("later"));
  await tick();
  assert.equal(sink.bytes.length, 70_005);
});

test("zmtp 42: there is no room beyond the mark in messages or bytes, until the kernel has taken them", async () => {
  const sink = new FakeSink();
  sink.isBlocked = true;
  const outbox = new Outbox(sink, { highWaterMark: 3, highWaterMarkBytes: 100 });
  outbox.push(Buffer.alloc(10));
  await tick();
  outbox.push(Buffer.alloc(10));
  assert.equal(outbox.hasRoom(80), true);
  assert.equal(outbox.hasRoom(81), false);
  outbox.push(Buffer.alloc(10));
  assert.equal(outbox.hasRoom(0), false);
  sink.isBlocked = false;
  sink.release();
  await tick();
  await tick();
  assert.equal(outbox.hasRoom(100), true);
});

test("one message always has room when nothing is queued", () => {
  assert.equal(new Outbox(new FakeSink(), { highWaterMark: 1, highWaterMarkBytes: 1 }).hasRoom(1_000), true);
});

test("commands are counted until the kernel has taken them, and have no limit", async () => {
  const sink = new FakeSink();
  sink.isBlocked = true;
  const outbox = new Outbox(sink, { highWaterMark: 1, highWaterMarkBytes: 1 });
  outbox.pushControl(bytes("1"));
  await tick();
  outbox.pushControl(bytes("2"));
  assert.equal(outbox.controls, 2);
  sink.release();
  await tick();
  await tick();
  assert.equal(outbox.controls, 1);
  sink.release();
  await tick();
  await tick();
  assert.equal(outbox.controls, 0);
  assert.equal(sink.bytes.toString(), "12");
});

test("before the end, all is handed over though the kernel is busy", async () => {
  const sink = new FakeSink();
  sink.isBlocked = true;
  const outbox = new Outbox(sink, LIMITS);
  outbox.push(bytes("a"));
  await tick();
  outbox.push(bytes("b"));
  outbox.flushAll();
  assert.equal(sink.bytes.toString(), "ab");
});

test("a sink that has ended is not written to", async () => {
  const sink = new FakeSink();
  const outbox = new Outbox(sink, LIMITS);
  outbox.push(bytes("a"));
  sink.writable = false;
  await tick();
  assert.equal(sink.writes, 0);
});

test("messages and commands of any size come out in order, however the kernel takes them", async () => {
  const anyStep = fc.oneof(
    fc.record({ kind: fc.constant("message"), size: fc.oneof(fc.nat(300), fc.integer({ min: 8_000, max: 80_000 })) }),
    fc.record({ kind: fc.constant("control"), size: fc.nat(100) }),
    fc.record({ kind: fc.constantFrom("tick", "block", "release"), size: fc.constant(0) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), async (steps) => {
      const sink = new FakeSink();
      const outbox = new Outbox(sink, LIMITS);
      const expected: Buffer[] = [];
      for (const [i, { kind, size }] of steps.entries()) {
        if (kind === "tick") await tick();
        if (kind === "block") sink.isBlocked = true;
        if (kind === "release") {
          sink.isBlocked = false;
          sink.release();
        }
        if (kind !== "message" && kind !== "control") continue;
        const data = Buffer.alloc(size, i + 1);
        expected.push(Buffer.from(data));
        if (kind === "message") outbox.push(data);
        else outbox.pushControl(data);
        // What was gathered by copying may be changed at once.
        if (kind === "message" && size <= 8_192) data.fill(0);
      }
      sink.isBlocked = false;
      for (let i = 0; i < 4; i += 1) {
        sink.release();
        await tick();
      }
      assert.ok(sink.bytes.equals(Buffer.concat(expected)));
    }),
    { numRuns: 200 },
  );
});
