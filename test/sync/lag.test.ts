import assert from "node:assert/strict";
import { test } from "node:test";
import type { SyncObserver } from "../../src/sync/status.ts";
import { memory } from "../../transports/memory/index.ts";
import { chat, engine, pipeline, podOf } from "../support/pipeline.ts";

test("a live batch lags by the time since its publication, a replayed one by nothing that counts", async (context) => {
  const transport = memory();
  const lags = new Map<number, number | undefined>();
  const observer: SyncObserver = { onBatch: (_stream, sequence, _events, _seconds, lag) => lags.set(sequence, lag) };
  // An hour ahead of the engine.
  const bench = pipeline(transport, { observers: [observer], unixMs: () => Date.now() + 3_600_000 });
  const pod = await engine(transport, "ns/a");
  context.after(async () => {
    await bench.manager.stop();
    await pod.stop();
  });
  chat(pod, 2);
  const replayed = pod.nextSequence();
  bench.manager.onPodAdd(podOf(pod));
  await bench.caughtUp(pod);
  chat(pod, 2);
  await bench.caughtUp(pod);
  const sequences = Array.from({ length: pod.nextSequence() }, (_, sequence) => sequence);
  assert.ok(replayed > 0 && sequences.length > replayed);
  for (const sequence of sequences) {
    const lag = lags.get(sequence);
    if (sequence < replayed) assert.equal(lag, undefined, `batch ${sequence} came by replay`);
    else assert.ok(lag! >= 3_600 && lag! < 3_700, `batch ${sequence} lags ${lag} s`);
  }
});
