import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Counter, Registry } from "prom-client";
import { systemClock } from "../../src/clock.ts";
import { exposition } from "../../src/metrics/exposition.ts";
import { createMetrics } from "../../src/metrics.ts";

async function text(registry: Registry): Promise<string> {
  return Buffer.from(await exposition(registry)).toString();
}

/** Lines in any order: labels as they are, without what only parts the series. */
function lines(exposed: string): readonly string[] {
  return exposed
    .split("\n")
    .filter((line) => line !== "")
    .sort();
}

test("a scrape says what prom-client would, whatever pods are called and whatever was counted", async () => {
  const pod = fc.record({
    pod: fc.oneof(fc.string(), fc.constantFrom('a"b', "a\\b", "a\nb", "é€", "")),
    model: fc.string(),
    rank: fc.nat(3),
    seconds: fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(Number.NaN, -1)),
    sequence: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(pod, { maxLength: 5 }), async (pods) => {
      const registry = new Registry();
      using metrics = createMetrics(registry);
      for (const { seconds, sequence, ...id } of pods) {
        metrics.onStreamOpened?.(id);
        metrics.onBatch?.(id, sequence, { BlockStored: 2 }, seconds, seconds);
        metrics.routing.decided({ model: id.model, usingKvSync: true }, "prefix_match", 50, seconds);
      }
      assert.deepEqual(lines(await text(registry)), lines(await registry.metrics()));
    }),
    { numRuns: 50 },
  );
});

test("labels that a host gave its registry, and its format, are kept", async () => {
  const labelled = new Registry();
  using _metrics = createMetrics(labelled);
  labelled.setDefaultLabels({ region: "north" });
  assert.equal(await text(labelled), await labelled.metrics());
  assert.match(await text(labelled), /region="north"/);
  const open = new Registry();
  open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
  new Counter({ name: "of_the_host_total", help: "its own", registers: [open] }).inc();
  assert.match(await text(open), /# EOF\n$/);
});

test("others have their turn while a scrape is written", async () => {
  const registry = new Registry();
  using metrics = createMetrics(registry);
  for (let pod = 0; pod < 20; pod++) metrics.onStreamOpened?.({ pod: `ns/${pod}`, model: "m", rank: 0 });
  let nowMs = 0;
  // Each look at it is a millisecond later.
  const clock = { ...systemClock, now: () => nowMs++ };
  let turns = 0;
  let isWritten = false;
  const others = (async () => {
    while (!isWritten) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
  })();
  await exposition(registry, clock);
  isWritten = true;
  await others;
  assert.ok(turns > 50, `${turns} turns`);
});

test("a pod that goes while a scrape is written does not end it", async () => {
  const registry = new Registry();
  using metrics = createMetrics(registry);
  const pods = Array.from({ length: 50 }, (_, pod) => ({ pod: `ns/${pod}`, model: "m", rank: 0 }));
  for (const pod of pods) metrics.onStreamOpened?.(pod);
  let nowMs = 0;
  const written = exposition(registry, { ...systemClock, now: () => nowMs++ });
  await new Promise((resolve) => setImmediate(resolve));
  for (const pod of pods) metrics.onStreamClosed?.(pod);
  const exposed = Buffer.from(await written).toString();
  assert.ok(exposed.includes('pod_key="ns/0"'));
  assert.match(exposed, /aibrix_kvcache_event_loop_delay_seconds gauge\n/);
});
