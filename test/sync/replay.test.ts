import assert from "node:assert/strict";
import { test } from "node:test";
import { Gate } from "../../src/sync/gate.ts";
import { Replay } from "../../src/sync/replay.ts";
import { TurnQueue } from "../../src/sync/turn-queue.ts";
import { memory } from "../../transports/memory/index.ts";
import { chat, engine } from "../support/pipeline.ts";
import { settled, virtualClock } from "../support/virtual-clock.ts";

test("answers that wait until they may be applied are no silence of the engine", {
  timeout: 30_000,
}, async (context) => {
  const transport = memory();
  const time = virtualClock();
  const delays: number[] = [];
  const setTimeout = (callback: () => void, delayMs: number): unknown => {
    delays.push(delayMs);
    return time.setTimeout(callback, delayMs);
  };
  const clock = { now: time.now, setTimeout, clearTimeout: time.clearTimeout };
  const gate = new Gate();
  const pod = await engine(transport, "ns/a");
  context.after(() => pod.stop());
  chat(pod, 6);
  const hold = gate.hold();
  const sequences: number[] = [];
  let end = "";
  const ended = new Promise<void>((resolve) => {
    const replay = new Replay({
      transport,
      clock,
      gate,
      turns: new TurnQueue(clock),
      endpoint: pod.ranks[0]!.replayEndpoint!,
      from: 0,
      timeoutMs: 5_000,
      idleMs: 1_000,
      onAnswered: () => {},
      onBatch: (sequence) => sequences.push(sequence),
      hasMore: () => false,
      goOn: () => {},
      onEnd: (how) => {
        end = how;
        resolve();
      },
      onError: assert.fail,
    });
    context.after(() => replay.close());
  });
  // The first answer ends the time for it, and begins that for the next.
  while (!delays.includes(1_000)) await settled();
  await time.advance(10_000);
  assert.deepEqual([sequences, end], [[], ""]);
  hold[Symbol.dispose]();
  await ended;
  assert.equal(end, "marker");
  assert.deepEqual(
    sequences,
    Array.from({ length: pod.nextSequence() }, (_, sequence) => sequence),
  );
});

test("time in which we worked is no silence of the engine", { timeout: 30_000 }, async (context) => {
  const clock = virtualClock();
  const transport = memory({ clock });
  const router = transport.router();
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  const [sequence, payload] = [new Uint8Array(8), new Uint8Array(1)];
  const serve = async (): Promise<void> => {
    for await (const { messages } of router.receive()) {
      for (const [identity, empty] of messages) router.send([identity!, empty!, sequence, payload]);
    }
  };
  const served = serve();
  let aheadMs = 0;
  const turns = new TurnQueue({ ...clock, now: () => clock.now() + aheadMs });
  let end = "";
  const replay = new Replay({
    transport,
    clock,
    gate: new Gate(),
    turns,
    endpoint,
    from: 0,
    timeoutMs: 5_000,
    idleMs: 1_000,
    onAnswered: () => {},
    onBatch: () => {},
    hasMore: () => false,
    goOn: () => {},
    onEnd: (how) => {
      end = how;
    },
    onError: assert.fail,
  });
  context.after(async () => {
    await clock.run(replay.close());
    await clock.run(router.close());
    await served;
  });
  await clock.advance(500);
  // Of the time to come, so much is worked.
  turns.work(() => {
    aheadMs = 800;
  });
  aheadMs = 0;
  await clock.advance(1_299);
  assert.equal(end, "");
  await clock.advance(1);
  assert.equal(end, "silence");
});
