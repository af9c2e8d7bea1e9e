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
      onBatch: (sequence) => sequences.push(sequence),
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

test("while others wait for their turn, an engine's silence may be ours, and is borne as long as for a first answer", {
  timeout: 30_000,
}, async (context) => {
  const clock = virtualClock();
  const transport = memory({ clock });
  const router = transport.router();
  const endpoint = await router.bind("tcp://127.0.0.1:0");
  context.after(() => clock.run(router.close()));
  const [sequence, payload] = [new Uint8Array(8), new Uint8Array(1)];
  const serve = async (): Promise<void> => {
    for await (const { messages } of router.receive()) {
      for (const [identity, empty] of messages) router.send([identity!, empty!, sequence, payload]);
    }
  };
  void serve();
  const turns = new TurnQueue(clock);
  let isBusy = true;
  const loop = async (): Promise<void> => {
    while (isBusy) await turns.next();
  };
  const start = (): { end: string } => {
    const outcome = { end: "" };
    const replay = new Replay({
      transport,
      clock,
      gate: new Gate(),
      turns,
      endpoint,
      from: 0,
      timeoutMs: 5_000,
      idleMs: 1_000,
      onBatch: () => {},
      onEnd: (end) => {
        outcome.end = end;
      },
      onError: assert.fail,
    });
    context.after(() => clock.run(replay.close()));
    return outcome;
  };
  const whileBusy = start();
  const busy = loop();
  await clock.advance(4_999);
  assert.equal(whileBusy.end, "");
  await clock.advance(1);
  assert.equal(whileBusy.end, "silence");
  const untilIdle = start();
  await clock.advance(1_500);
  isBusy = false;
  await busy;
  await clock.advance(499);
  assert.equal(untilIdle.end, "");
  await clock.advance(1);
  assert.equal(untilIdle.end, "silence");
});
