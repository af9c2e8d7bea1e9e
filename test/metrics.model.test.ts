import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Registry } from "prom-client";
import { TransportError } from "../src/errors.ts";
import { createMetrics } from "../src/metrics.ts";
import type { StreamId, StreamStatus, SyncObserver } from "../src/sync/status.ts";
import type { ConnectionState } from "../src/transport.ts";
import { podSeries, scrape } from "./metrics/scrape.ts";

type Call = (observer: SyncObserver, open: Map<string, StreamId>, ready: Set<string>) => void;

const streamId: fc.Arbitrary<StreamId> = fc.record({
  pod: fc.constantFrom("default/a", 'a"b\\c\n'),
  model: fc.constantFrom("m", "n"),
  rank: fc.nat(1),
});
/** Also what nobody should ever say. */
const number = fc.oneof(fc.nat(1_000), fc.double());
const state: fc.Arbitrary<ConnectionState> = fc.oneof(
  fc.constant({ status: "connecting", attempt: 1 } as const),
  fc.constant({ status: "handshaking" } as const),
  fc.constant({ status: "ready", connectionId: 1 } as const),
  fc.constant({
    status: "waiting",
    cause: new TransportError("refused", "nobody"),
    attempt: 1,
    retryInMs: 1,
  } as const),
  fc.constant({ status: "closed" } as const),
);
const keyOf = (id: StreamId): string => JSON.stringify([id.pod, id.model, id.rank]);

const call: fc.Arbitrary<Call> = fc.oneof(
  streamId.map(
    (id): Call =>
      (observer, open, ready) => {
        observer.onStreamOpened?.(id);
        // One that is open already stays as it is.
        if (open.has(keyOf(id))) return;
        open.set(keyOf(id), id);
        ready.delete(keyOf(id));
      },
  ),
  streamId.map(
    (id): Call =>
      (observer, open, ready) => {
        observer.onStreamClosed?.(id);
        open.delete(keyOf(id));
        ready.delete(keyOf(id));
      },
  ),
  fc.tuple(streamId, state).map(
    ([id, next]): Call =>
      (observer, open, ready) => {
        observer.onConnection?.(id, next);
        if (next.status === "ready" && open.has(keyOf(id))) ready.add(keyOf(id));
        else ready.delete(keyOf(id));
      },
  ),
  fc.tuple(streamId, number, fc.dictionary(fc.string(), number), number).map(
    ([id, sequence, events, seconds]): Call =>
      (observer) =>
        observer.onBatch?.(id, sequence, events, seconds),
  ),
  fc.tuple(streamId, fc.string()).map(
    ([id, kind]): Call =>
      (observer) =>
        observer.onError?.(id, kind, new Error(kind)),
  ),
  fc.tuple(streamId, number).map(
    ([id, batches]): Call =>
      (observer) =>
        observer.onMissed?.(id, batches),
  ),
  fc.tuple(streamId, fc.boolean(), number).map(
    ([id, succeeded, seconds]): Call =>
      (observer) =>
        observer.onReplayEnded?.(id, succeeded, seconds),
  ),
  fc.tuple(streamId, fc.constantFrom<StreamStatus>("live", "partial", "connecting")).map(
    ([id, status]): Call =>
      (observer) =>
        observer.onStatus?.(id, status),
  ),
);

test("whatever is said: pods with open streams have series and no others, no counter falls, and what is connected is what came minus what went", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(call, { maxLength: 20 }), { minLength: 1, maxLength: 4 }), async (rounds) => {
      const registry = new Registry();
      using metrics = createMetrics(registry);
      const open = new Map<string, StreamId>();
      const ready = new Set<string>();
      let before: ReadonlyMap<string, number> = new Map();
      for (const round of rounds) {
        const reopened = new Set<string>();
        for (const step of round) {
          step(metrics, open, ready);
          for (const pod of ["default/a", 'a"b\\c\n']) {
            if (![...open.values()].some((id) => id.pod === pod)) reopened.add(escaped(pod));
          }
        }
        const series = await scrape(registry);
        const pods = new Set([...open.values()].map(({ pod }) => escaped(pod)));
        const seen = new Set((await podSeries(registry)).map((name) => /pod_key="((?:[^"\\]|\\.)*)"/.exec(name)![1]!));
        assert.deepEqual(seen, pods);
        for (const [name, value] of series) {
          const pod = /pod_key="((?:[^"\\]|\\.)*)"/.exec(name)?.[1] ?? "";
          assert.ok(Number.isFinite(value), name);
          if (!/_total|_bucket|_count|_sum/.test(name)) continue;
          assert.ok(value >= (reopened.has(pod) ? 0 : (before.get(name) ?? 0)), name);
        }
        for (const pod of pods) {
          const value = (name: string) => series.get(`kvcache_zmq_${name}_total{pod_key="${pod}"}`)!;
          const connected = [...ready].filter((key) => escaped(JSON.parse(key)[0]) === pod).length;
          assert.equal(value("connections") - value("disconnections"), connected);
        }
        before = series;
      }
    }),
    { numRuns: 200 },
  );
});

/** As Prometheus writes it in a label. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
