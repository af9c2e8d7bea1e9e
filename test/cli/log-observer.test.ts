import assert from "node:assert/strict";
import { test } from "node:test";
import { type Logger, pino } from "pino";
import { LimitedLog } from "../../src/cli/limited-log.ts";
import { logObserver, watchLog } from "../../src/cli/log-observer.ts";
import { TransportError } from "../../src/errors.ts";
import type { StreamId, SyncObserver } from "../../src/sync/status.ts";
import { type VirtualClock, virtualClock } from "../support/virtual-clock.ts";

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly pod?: string;
  readonly [field: string]: unknown;
}

interface Bench {
  readonly clock: VirtualClock;
  readonly logger: Logger;
  readonly log: LimitedLog;
  readonly observer: Required<SyncObserver>;
  /** What was logged since the last time. */
  news(): readonly Line[];
}

const STREAM: StreamId = { pod: "ns/a", model: "m", rank: 0 };
const [DEBUG, INFO, WARN] = [20, 30, 40];
const REFUSED = new TransportError("refused", "tcp://a:1: cannot connect (ECONNREFUSED)");

function bench(level = "info"): Bench {
  const lines: Line[] = [];
  const logger = pino({ level }, { write: (text: string) => lines.push(JSON.parse(text)) });
  const clock = virtualClock();
  const log = new LimitedLog(logger, clock);
  const observer = logObserver(logger, log) as Required<SyncObserver>;
  return { clock, logger, log, observer, news: () => lines.splice(0) };
}

test("a connection that is lost is a warning with the pod, the cause and the time of the next attempt", () => {
  const { observer, news } = bench();
  observer.onConnection(STREAM, { status: "waiting", cause: REFUSED, attempt: 1, retryInMs: 250 });
  const [line, ...others] = news();
  assert.deepEqual(others, []);
  const { level, pod, model, rank, code, retryInMs, msg } = line!;
  assert.deepEqual([level, pod, model, rank, code, retryInMs], [WARN, "ns/a", "m", 0, "refused", 250]);
  assert.match(msg, /tcp:\/\/a:1: cannot connect/);
});

test("what a person would act on is logged by default, and what only leads to it is not", () => {
  const { observer, news } = bench();
  observer.onStreamOpened(STREAM);
  observer.onConnection(STREAM, { status: "connecting", attempt: 1 });
  observer.onConnection(STREAM, { status: "ready", connectionId: 1 });
  observer.onStatus(STREAM, "catching-up");
  observer.onReplayRequested(STREAM, 0);
  observer.onReplayEnded(STREAM, true, 0.1);
  observer.onStatus(STREAM, "live");
  observer.onBatch(STREAM, 0, {}, 0.1);
  observer.onMissed(STREAM, 1);
  observer.onPurge(STREAM, "gap");
  observer.onPurge(STREAM, "restart");
  observer.onError(STREAM, "event-type", new Error("event 0 is of type X"));
  observer.onStreamClosed(STREAM);
  assert.deepEqual(
    news().map(({ level, msg, pod }) => [level, msg.split(":")[0], pod]),
    [
      [INFO, "stream opened", "ns/a"],
      [INFO, "stream is live", "ns/a"],
      [WARN, "forgot all blocks", "ns/a"],
      [INFO, "forgot all blocks", "ns/a"],
      [WARN, "event 0 is of type X", "ns/a"],
      [INFO, "stream closed", "ns/a"],
    ],
  );
});

test("debug tells what leads to it as well, trace each batch", () => {
  for (const [level, batches] of [
    ["debug", 0],
    ["trace", 1],
  ] as const) {
    const { observer, news } = bench(level);
    observer.onConnection(STREAM, { status: "ready", connectionId: 1 });
    observer.onReplayRequested(STREAM, 7);
    observer.onBatch(STREAM, 8, { BlockStored: 1 }, 0.1, 0.2);
    const lines = news();
    assert.deepEqual(
      lines.slice(0, 2).map(({ level: at, msg }) => [at, msg]),
      [
        [DEBUG, "connection is ready"],
        [DEBUG, "asks for a replay from 7"],
      ],
    );
    assert.equal(lines.filter(({ msg }) => msg === "batch 8").length, batches);
  }
});

test("an engine that flaps is heard six times, then in one line at the same level", async () => {
  const { clock, observer, news } = bench();
  for (let attempt = 1; attempt <= 20; attempt++) {
    observer.onConnection(STREAM, { status: "waiting", cause: REFUSED, attempt, retryInMs: 250 });
  }
  observer.onConnection({ ...STREAM, pod: "ns/b" }, { status: "waiting", cause: REFUSED, attempt: 1, retryInMs: 250 });
  assert.deepEqual(
    news().map(({ pod }) => pod),
    [...new Array<string>(6).fill("ns/a"), "ns/b"],
  );
  await clock.advance(60_000);
  const [sum, ...others] = news();
  assert.deepEqual(others, []);
  assert.deepEqual([sum?.level, sum?.["suppressed"], sum?.["subjects"]], [WARN, 14, ["ns/a"]]);
  assert.equal(sum?.msg, "connections lost: 14 more lines were left out, about ns/a");
});

test("a pod that comes and goes again and again does not get its lines back each time", () => {
  const { observer, news } = bench();
  for (let time = 0; time < 20; time++) {
    observer.onStreamOpened(STREAM);
    observer.onStreamClosed(STREAM);
  }
  assert.equal(news().length, 12);
});

test("lines of a level that is off take nothing from what is left of the minute", () => {
  const { logger, observer, news, log } = bench("warn");
  for (let time = 0; time < 20; time++) observer.onStreamOpened(STREAM);
  logger.level = "info";
  observer.onStreamOpened(STREAM);
  log[Symbol.dispose]();
  assert.deepEqual(
    news().map(({ msg }) => msg),
    ["stream opened"],
  );
});

test("a watch that fails again and again is heard a few times, with its cause", () => {
  const { log, news } = bench();
  const watch = watchLog(log);
  for (let time = 0; time < 20; time++) watch.onTrouble?.("list", new Error("403 Forbidden"));
  watch.onTrouble?.("idle", new Error("quiet"));
  const lines = news();
  assert.equal(lines.length, 6);
  assert.deepEqual([lines[0]?.level, lines[0]?.["trouble"], lines[0]?.msg], [WARN, "list", "403 Forbidden"]);
});
