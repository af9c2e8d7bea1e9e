import assert from "node:assert/strict";
import { test } from "node:test";
import { TransportError } from "../src/errors.ts";
import { Readiness } from "../src/readiness.ts";
import type { StreamId } from "../src/sync/status.ts";
import type { ConnectionState } from "../src/transport.ts";

const a: StreamId = { model: "m", pod: "a", rank: 0 };
const b: StreamId = { model: "m", pod: "b", rank: 0 };
const cause = new TransportError("refused", "zmtp tcp://a:1: refused");
const WAITING: ConnectionState = { status: "waiting", cause, attempt: 1, retryInMs: 100 };

function opened(...streams: readonly StreamId[]): Readiness {
  const readiness = new Readiness();
  for (const stream of streams) readiness.onStreamOpened(stream);
  return readiness;
}

test("without pods it is ready as soon as it has started", () => {
  const readiness = opened();
  assert.ok(!readiness.isReady);
  readiness.started();
  assert.ok(readiness.isReady);
});

test("it is ready when the last stream has caught up, be it in part", () => {
  const readiness = opened(a, b);
  readiness.started();
  readiness.onConnection(a, { status: "ready", connectionId: 1 });
  readiness.onStatus(a, "catching-up");
  readiness.onStatus(a, "live");
  assert.ok(!readiness.isReady);
  readiness.onStatus(b, "partial");
  assert.ok(readiness.isReady);
});

test("the ranks of a pod, and a pod under two models, are streams of their own", () => {
  const others = [
    { ...a, rank: 1 },
    { ...a, model: "n" },
  ];
  const readiness = opened(a, ...others);
  readiness.started();
  readiness.onStatus(a, "live");
  readiness.onStatus(others[0]!, "live");
  assert.ok(!readiness.isReady);
  readiness.onStatus(others[1]!, "live");
  assert.ok(readiness.isReady);
});

test("streams that catch up before all pods are announced do not make it ready", () => {
  const readiness = opened(a);
  readiness.onStatus(a, "live");
  assert.ok(!readiness.isReady);
  readiness.started();
  assert.ok(readiness.isReady);
});

for (const [name, state] of [
  ["cannot be reached now", WAITING],
  ["has an endpoint that cannot be used", { status: "closed", cause }],
] as const) {
  test(`an engine that ${name} does not keep it from being ready`, () => {
    const readiness = opened(a, b);
    readiness.started();
    readiness.onStatus(a, "live");
    readiness.onConnection(b, { status: "connecting", attempt: 1 });
    assert.ok(!readiness.isReady);
    readiness.onConnection(b, state);
    assert.ok(readiness.isReady);
  });
}

test("a pod that goes is not waited for", () => {
  const readiness = opened(a);
  readiness.started();
  readiness.onStreamClosed(a);
  assert.ok(readiness.isReady);
});

test("pods that come later do not take it back", () => {
  const readiness = opened(a);
  readiness.started();
  readiness.onStatus(a, "live");
  readiness.onStreamOpened(b);
  readiness.onConnection(a, WAITING);
  assert.ok(readiness.isReady);
});

test("who waits is told when it is ready, and at once when it is already", async () => {
  const readiness = opened(a);
  const waiting = [readiness.whenReady(), readiness.whenReady()];
  readiness.started();
  readiness.onStatus(a, "live");
  await Promise.all(waiting);
  await readiness.whenReady();
});

test("who waits is told when it never will be", async () => {
  const readiness = opened(a);
  const waiting = readiness.whenReady();
  readiness.close();
  await assert.rejects(waiting, { code: "closed" });
  await assert.rejects(readiness.whenReady(), { code: "closed" });
});

test("after the end it is not ready any more", () => {
  const readiness = opened();
  readiness.started();
  readiness.close();
  assert.ok(!readiness.isReady);
});

test("a wait can be given up, by which the others are not disturbed", async () => {
  const readiness = opened(a);
  const controller = new AbortController();
  const [givenUp, other] = [readiness.whenReady(controller.signal), readiness.whenReady()];
  controller.abort(new Error("enough"));
  await assert.rejects(givenUp, /enough/);
  await assert.rejects(readiness.whenReady(controller.signal), /enough/);
  readiness.started();
  readiness.onStatus(a, "live");
  await other;
});
