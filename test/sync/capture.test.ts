import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../src/clock.ts";
import { systemClock } from "../../src/clock.ts";
import type { SimulatedPod } from "../../src/simulator/index.ts";
import { Gate } from "../../src/sync/gate.ts";
import type { StreamOptions } from "../../src/sync/options.ts";
import type { StreamState } from "../../src/sync/stream-state.ts";
import { type MemoryTransport, memory } from "../../transports/memory/index.ts";
import { assertExact, chat, engine, type Pipeline, pipeline, podOf } from "../support/pipeline.ts";

const limit = { timeout: 30_000 };

/** Every look at it finds a turn over. */
function hastyClock(): Clock {
  let nowMs = 0;
  return {
    ...systemClock,
    now: () => {
      nowMs += 10;
      return nowMs;
    },
  };
}

interface Setting {
  readonly bench: Pipeline;
  readonly pod: SimulatedPod;
  readonly transport: MemoryTransport;
}

async function setUp(context: TestContext, changes: StreamOptions = {}): Promise<Setting> {
  const transport = memory({ reconnectMinMs: 1, reconnectMaxMs: 20 });
  const options = { replayTimeoutMs: 2_000, replayIdleMs: 200, quietCheckMs: 0, replayRetryMinMs: 20, ...changes };
  const bench = pipeline(transport, { clock: hastyClock(), options });
  const pod = await engine(transport, "ns/a");
  context.after(async () => {
    await bench.manager.stop();
    await pod.stop();
  });
  chat(pod, 6);
  bench.manager.onPodAdd(podOf(pod));
  await bench.caughtUp(pod);
  return { bench, pod, transport };
}

/** What is captured: the watermark, at every step. */
function* watermarks({ bench }: { readonly bench: Pipeline }, steps: number, { lastSequence }: StreamState) {
  const seen = [lastSequence];
  for (let i = 0; i < steps; i++) {
    yield;
    seen.push(bench.manager.pods()[0]!.streams[0]!.lastSequence ?? -1);
  }
  return seen;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test("nothing is applied while a stream is captured, and all of it afterwards", limit, async (context) => {
  const { bench, pod } = await setUp(context);
  const before = pod.nextSequence() - 1;
  const captured = all(bench.manager.capture((state) => watermarks({ bench }, 50, state)));
  chat(pod, 6);
  const [seen] = await captured;
  assert.deepEqual(new Set(seen), new Set([before]));
  await bench.caughtUp(pod);
  assert.ok(pod.nextSequence() - 1 > before);
  assertExact(bench, pod);
});

test("nothing that is replayed is applied while a stream is captured, either", limit, async (context) => {
  const { bench, pod, transport } = await setUp(context);
  transport.faults.cut({ endpoint: pod.ranks[0]!.endpoint }, { forMs: 5 });
  await bench.watch.until(() => bench.stream(pod).status === "connecting");
  chat(pod, 12);
  await bench.watch.until(() => bench.stream(pod).status === "catching-up");
  let tries = 0;
  const captured = await all(
    bench.manager.capture((state) => {
      tries++;
      return watermarks({ bench }, 200, state);
    }),
  );
  assert.deepEqual([tries, new Set(captured[0]).size], [1, 1]);
  await bench.caughtUp(pod);
  assertExact(bench, pod);
});

test("a stream that is purged meanwhile is read anew, and left out where nothing is left", limit, async (context) => {
  const { bench, pod, transport } = await setUp(context, { replayTimeoutMs: 20 });
  transport.faults.set({ drop: 1 }, { from: "router" });
  let tries = 0;
  const captured = all(
    bench.manager.capture(function* () {
      tries++;
      while (bench.watch.purges.length === 0) yield;
      yield;
    }),
  );
  transport.faults.cut({ endpoint: pod.ranks[0]!.endpoint }, { forMs: 5 });
  assert.deepEqual([await captured, tries, bench.watch.purges], [[], 1, ["unverified"]]);
  transport.faults.clear();
});

test("a stream that ends meanwhile is left out", limit, async (context) => {
  const { bench, pod } = await setUp(context);
  const captured = all(
    bench.manager.capture(function* () {
      bench.manager.onPodDelete(podOf(pod));
      yield;
      yield;
    }),
  );
  assert.deepEqual(await captured, []);
});

test("a reader that takes its time holds no stream up", limit, async (context) => {
  const { bench, pod } = await setUp(context);
  const captures = bench.manager.capture(function* (state) {
    yield;
    return state.lastSequence;
  });
  await captures.next();
  chat(pod, 6);
  await bench.caughtUp(pod);
  assert.equal((await captures.next()).done, true);
});

test("two captures at once see the same, and the stream goes on after both", limit, async (context) => {
  const { bench, pod } = await setUp(context);
  const captures = [3, 30].map((steps) => all(bench.manager.capture((state) => watermarks({ bench }, steps, state))));
  chat(pod, 6);
  const [[short], [long]] = (await Promise.all(captures)) as [number[][], number[][]];
  assert.equal(new Set([...short!, ...long!]).size, 1);
  await bench.caughtUp(pod);
});

test("a stream that closes does not wait for its capture", limit, async (context) => {
  const { bench, pod } = await setUp(context);
  const captured = all(bench.manager.capture((state) => watermarks({ bench }, 1_000_000, state)));
  await setImmediate();
  await bench.manager.stop();
  assert.deepEqual(await captured, []);
  assert.equal(pod.isRunning, true);
});

test("a gate opens when the last holder lets go, once for each", async () => {
  const gate = new Gate();
  const first = gate.hold();
  const second = gate.hold();
  let isOpened = false;
  const opened = gate.opened().then(() => {
    isOpened = true;
  });
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await setImmediate();
  assert.deepEqual([gate.isHeld, isOpened], [true, false]);
  second[Symbol.dispose]();
  await opened;
  assert.equal(gate.isHeld, false);
});
