import assert from "node:assert/strict";
import { test } from "node:test";
import { TransportError } from "../../src/errors.ts";
import { workerOf } from "../../src/server/workers.ts";
import type { StreamInfo } from "../../src/sync/status.ts";
import { podInfo, serverBench } from "./support.ts";

const CAUSE = new TransportError("refused", "nobody listens there");

test("workers are listed with the state of each rank, and can be chosen", async () => {
  await using bench = await serverBench();
  const cause = new TransportError("refused", "zmtp tcp://c:5557: nobody listens there");
  bench.pods.push(
    podInfo("a", { blockSize: 16 }, [{}, { rank: 1, endpoint: "tcp://a:5558", status: "partial", missedBatches: 3 }]),
    podInfo("b", { modelName: "other" }, [{ status: "connecting", connection: { status: "connecting", attempt: 1 } }]),
    podInfo("c", { routingGroup: "blue" }, [
      { status: "connecting", connection: { status: "waiting", cause, attempt: 2, retryInMs: 5 }, idleMs: null },
    ]),
  );
  const { body } = await bench.send("/workers", {});
  const brief = body.map((worker: Record<string, unknown>) => [worker["instance_id"], worker["status"]]);
  assert.deepEqual(brief, [
    ["a", "active"],
    ["b", "pending"],
    ["c", "failed"],
  ]);
  assert.deepEqual([body[0].block_size, body[1].block_size, body[0].source], [16, null, "zmq"]);
  assert.deepEqual(body[0].endpoints, { 0: "tcp://a:5557", 1: "tcp://a:5558" });
  const { stream, missed_batches, last_sequence, idle_ms } = body[0].listeners[1];
  assert.deepEqual([stream, missed_batches, last_sequence, idle_ms], ["partial", 3, 7, 12]);
  assert.equal(body[2].listeners[0].last_error, cause.message);
  for (const [search, expected] of [
    ["?model_name=other", ["b"]],
    ["?routing_group=blue", ["c"]],
    ["?model_name=m&routing_group=default", ["a"]],
  ] as const) {
    const chosen = (await bench.send(`/workers${search}`, {})).body;
    assert.deepEqual(
      chosen.map((worker: Record<string, unknown>) => worker["instance_id"]),
      expected,
    );
  }
});

for (const [name, stream, status] of [
  ["was never tried", { status: "connecting", connection: undefined }, "pending"],
  [
    "is tried for the first time",
    { status: "connecting", connection: { status: "connecting", attempt: 1 } },
    "pending",
  ],
  ["is being greeted", { status: "connecting", connection: { status: "handshaking" } }, "pending"],
  ["is tried again", { status: "connecting", connection: { status: "connecting", attempt: 2 } }, "failed"],
  [
    "waits for another attempt",
    { status: "connecting", connection: { status: "waiting", cause: CAUSE, attempt: 2, retryInMs: 5 } },
    "failed",
  ],
  ["was given up", { status: "connecting", connection: { status: "closed", cause: CAUSE } }, "failed"],
  ["catches up", { status: "catching-up" }, "active"],
  ["is partial", { status: "partial" }, "active"],
  ["is live", { status: "live" }, "active"],
] as const) {
  test(`a rank that ${name} is ${status}, and so is its worker`, () => {
    const worker = workerOf(podInfo("a", {}, [stream as Partial<StreamInfo>]));
    assert.deepEqual([worker.status, worker.listeners["0"]?.status], [status, status]);
    const isTold = "connection" in stream && stream.connection !== undefined && "cause" in stream.connection;
    assert.equal(worker.listeners["0"]?.last_error, isTold ? CAUSE.message : undefined);
  });
}

test("a worker is what the worst of its ranks is, and pending where it has none", () => {
  const live = { status: "live" } as const;
  const pending = { status: "connecting", connection: { status: "handshaking" } } as const;
  const failed = { status: "connecting", connection: { status: "closed", cause: CAUSE } } as const;
  const statusOf = (...streams: readonly Partial<StreamInfo>[]): string =>
    workerOf(
      podInfo(
        "a",
        {},
        streams.map((stream, rank) => ({ ...stream, rank })),
      ),
    ).status;
  assert.equal(statusOf(live, live), "active");
  assert.equal(statusOf(live, pending), "pending");
  assert.equal(statusOf(live, pending, failed), "failed");
  assert.equal(statusOf(), "pending");
});
