import assert from "node:assert/strict";
import { test } from "node:test";
import { Sequencer } from "../../src/sync/sequencer.ts";

/** What a process published under a sequence. */
function payload(process: string, sequence: number, bytes = 0): Uint8Array {
  return Buffer.concat([Buffer.from(`${process}${sequence}`), new Uint8Array(bytes)]);
}

interface Bench {
  readonly sequencer: Sequencer;
  /** `a0`, `b7`, `purge restart`, `restarted`, `missed 3`, `duplicate`, `overflowed`, in order. */
  readonly log: string[];
  /** What was applied and had come live. */
  readonly appliedLive: string[];
  live(process: string, ...sequences: readonly number[]): void;
  /** Answers the replay that is wanted. */
  replay(process: string, ...sequences: readonly number[]): void;
  end(end: "marker" | "silence" | "unanswered"): void;
  /** The replay that is wanted: its number, its purpose, and the first sequence to ask for. */
  asked(): readonly unknown[];
  /** What was logged since the last time. */
  news(): string[];
}

function bench(options: { readonly canReplay?: boolean; readonly maxHeldBytes?: number } = {}): Bench {
  const log: string[] = [];
  const appliedLive: string[] = [];
  const sequencer = new Sequencer(
    {
      apply: (_sequence, bytes, isLive) => {
        const name = Buffer.from(bytes).toString().replaceAll("\0", "");
        log.push(name);
        if (isLive) appliedLive.push(name);
      },
      purge: (reason) => log.push(`purge ${reason}`),
      verified: () => {},
      restarted: () => log.push("restarted"),
      missed: (batches) => log.push(`missed ${batches}`),
      duplicate: () => log.push("duplicate"),
      overflowed: () => log.push("overflowed"),
    },
    { canReplay: options.canReplay ?? true, maxHeldBytes: options.maxHeldBytes ?? 10_000 },
  );
  let told = 0;
  return {
    sequencer,
    log,
    appliedLive,
    live(process, ...sequences) {
      for (const sequence of sequences) sequencer.live(1, sequence, payload(process, sequence));
    },
    replay(process, ...sequences) {
      const id = sequencer.request!.id;
      for (const sequence of sequences) {
        sequencer.replayed(id, sequence, payload(process, sequence));
        while (sequencer.hasMore) sequencer.goOn();
      }
    },
    end: (end) => sequencer.ended(sequencer.request!.id, end),
    asked: () => [sequencer.request?.id, sequencer.request?.purpose, sequencer.replayFrom],
    news() {
      const news = log.slice(told);
      told = log.length;
      return news;
    },
  };
}

/** A bench that knows batches 0 to `last` of process a, on connection 1. */
function knowing(last: number, options: Parameters<typeof bench>[0] = {}): Bench {
  const made = bench(options);
  made.sequencer.connected(1);
  if (options.canReplay !== false) made.end("marker");
  made.live("a", ...Array.from({ length: last + 1 }, (_, sequence) => sequence));
  made.news();
  return made;
}

test("a stream begins with a replay from 0, and what comes live meanwhile follows it in order", () => {
  const { sequencer, live, replay, end, news, asked } = bench();
  sequencer.connected(1);
  assert.deepEqual(asked(), [1, "start", 0]);
  live("a", 3, 4);
  assert.equal(sequencer.status, "catching-up");
  assert.deepEqual(news(), []);
  replay("a", 0, 1, 2, 3);
  assert.deepEqual(news(), ["a0", "a1", "a2", "a3", "a4"]);
  assert.equal(sequencer.request, null, "it has met the live stream");
  assert.equal(sequencer.status, "live");
  assert.throws(() => end("marker"));
});

test("what waited for a replay is applied one at a time, and what comes live in between follows it", () => {
  const { sequencer, live, news } = bench();
  sequencer.connected(1);
  live("a", 1, 2, 3);
  sequencer.replayed(1, 0, payload("a", 0));
  assert.deepEqual([news(), sequencer.hasMore], [["a0", "a1"], true]);
  live("a", 4);
  sequencer.goOn();
  assert.deepEqual([news(), sequencer.hasMore, sequencer.status], [["a2"], true, "catching-up"]);
  sequencer.goOn();
  sequencer.goOn();
  assert.deepEqual([news(), sequencer.hasMore, sequencer.status], [["a3", "a4"], false, "live"]);
  live("a", 5);
  assert.deepEqual(news(), ["a5"]);
});

test("what came live is told from what a replay brought, be it that it had to wait", () => {
  const { sequencer, live, replay, appliedLive } = bench();
  sequencer.connected(1);
  live("a", 3, 4);
  assert.equal(sequencer.heldBatches, 2);
  replay("a", 0, 1, 2);
  assert.deepEqual(appliedLive, ["a3", "a4"]);
  assert.equal(sequencer.heldBatches, 0);
  live("a", 5, 7);
  assert.equal(sequencer.heldBatches, 1);
  replay("a", 5, 6);
  assert.deepEqual(appliedLive, ["a3", "a4", "a5", "a7"]);
});

test("what waited for a replay that never came was live all the same", () => {
  const { sequencer, live, replay, end, appliedLive, news } = bench();
  sequencer.connected(1);
  live("a", 6);
  replay("a", 2);
  end("unanswered");
  assert.deepEqual([appliedLive, news().filter((name) => name.startsWith("a"))], [["a6"], ["a2", "a6"]]);
});

test("what a replay brought too early is not live, though it is applied beside what is", () => {
  const { sequencer, replay, end, appliedLive, news } = knowing(0);
  sequencer.disconnected();
  sequencer.connected(2);
  replay("a", 5);
  sequencer.live(2, 7, payload("a", 7));
  assert.equal(sequencer.heldBatches, 2);
  end("unanswered");
  assert.deepEqual(
    news().filter((name) => name.startsWith("a")),
    ["a5", "a7"],
  );
  assert.deepEqual(appliedLive, ["a0", "a7"]);
});

test("an engine that has said nothing yet is live, and its first batch is awaited", () => {
  const { sequencer, live, end, news } = bench();
  sequencer.connected(1);
  end("marker");
  assert.equal(sequencer.status, "live");
  live("a", 0);
  assert.deepEqual(news(), ["a0"]);
});

test("a replay that begins above 0 makes the stream partial, and it asks once more for all", () => {
  const { sequencer, replay, end, news } = bench();
  sequencer.connected(1);
  replay("a", 5, 6);
  end("marker");
  assert.deepEqual(news(), ["a5", "a6"]);
  assert.equal(sequencer.status, "partial");
  assert.equal(sequencer.firstSequence, 5);
  for (const _ of [1, 2]) {
    assert.ok(sequencer.wantsRebuild);
    sequencer.rebuild();
    assert.equal(sequencer.status, "partial", "nothing waits for a rebuild");
    replay("a", 5);
    assert.equal(sequencer.request, null, "the first reply shows that it is in vain");
  }
  assert.ok(!sequencer.wantsRebuild);
  assert.deepEqual(news(), []);
});

test("a rebuild that reaches further back makes the picture anew", () => {
  const { sequencer, live, replay, end, news } = bench();
  sequencer.connected(1);
  live("a", 4);
  end("unanswered");
  assert.deepEqual(news(), ["a4"]);
  assert.equal(sequencer.status, "partial");
  sequencer.rebuild();
  live("a", 5);
  replay("a", 0);
  live("a", 6);
  replay("a", 1, 2, 3, 4, 5, 6);
  assert.deepEqual(news(), ["a5", "purge rebuild", "a0", "a1", "a2", "a3", "a4", "a5", "a6"]);
  assert.equal(sequencer.status, "live");
});

test("a gap is filled by a replay that begins with the last batch known", () => {
  const { sequencer, live, replay, news, asked } = knowing(2);
  live("a", 5, 6);
  assert.deepEqual(asked(), [2, "fill", 2]);
  replay("a", 2, 3, 4, 5);
  assert.deepEqual(news(), ["missed 2", "a3", "a4", "a5", "a6"]);
  assert.equal(sequencer.status, "live");
});

test("without a replay endpoint a gap costs what came before it", () => {
  const { sequencer, live, news } = knowing(2, { canReplay: false });
  live("a", 4, 5);
  assert.deepEqual(news(), ["missed 1", "purge gap", "a4", "a5"]);
  assert.equal(sequencer.status, "partial");
});

test("a hole within a replay is asked for again, from the last batch before it", () => {
  const { sequencer, live, replay, end, news, asked } = knowing(0);
  live("a", 9);
  replay("a", 0, 1, 4, 5, 8);
  end("silence");
  assert.ok(!sequencer.wasReplayComplete);
  assert.deepEqual(asked(), [3, "fill", 1]);
  replay("a", 1, 2, 5);
  end("silence");
  replay("a", 2, 3, 6);
  end("marker");
  assert.equal(sequencer.replayFrom, 6);
  replay("a", 6, 7);
  assert.deepEqual(news(), ["missed 8", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"]);
});

test("a hole that three replays cannot fill costs what came before it, and the stream goes on", () => {
  const { sequencer, live, replay, end, news } = knowing(1);
  live("a", 6);
  for (const _ of [1, 2, 3]) {
    replay("a", 1, 4, 5, 6);
    end("marker");
  }
  assert.deepEqual(news(), ["missed 4", "purge gap", "a4", "a5", "a6"]);
  assert.equal(sequencer.request, null);
  assert.equal(sequencer.status, "partial");
});

test("where the endpoint has the last batch known no more, the second reply says so at once", () => {
  const { live, replay, end, news, asked } = knowing(1);
  live("a", 9);
  replay("a", 5, 6);
  end("silence");
  replay("a", 5);
  assert.deepEqual(news(), ["missed 7", "purge gap", "a5", "a6"]);
  assert.deepEqual(asked(), [4, "fill", 6]);
  replay("a", 6, 7, 8);
  assert.deepEqual(news(), ["a7", "a8", "a9"]);
});

test("an endpoint that never answers stalls a stream once, and no gap after it", () => {
  const { sequencer, live, end, news } = knowing(1);
  live("a", 3, 4, 6);
  end("unanswered");
  assert.deepEqual(news(), ["missed 1", "missed 1", "purge gap", "a3", "a4", "purge gap", "a6"]);
  live("a", 8);
  assert.deepEqual(news(), ["missed 1", "purge gap", "a8"]);
  assert.equal(sequencer.request, null);
  assert.ok(sequencer.wantsRebuild, "it is asked again when nobody waits for it");
});

test("a replay without an end marker is over when another one brings nothing new", () => {
  const { sequencer, replay, end, news, asked } = bench();
  sequencer.connected(1);
  replay("a", 0, 1);
  end("silence");
  assert.deepEqual(asked(), [2, "start", 1]);
  replay("a", 1);
  end("silence");
  assert.equal(sequencer.request, null);
  assert.equal(sequencer.status, "live");
  assert.deepEqual(news(), ["a0", "a1"]);
});

test("a duplicate is dropped, however late", () => {
  const { live, news } = knowing(3);
  live("a", 3, 0);
  assert.deepEqual(news(), ["duplicate", "duplicate"]);
});

test("a duplicate of a batch that waits is dropped", () => {
  const { live, news } = knowing(0);
  live("a", 3, 3);
  assert.deepEqual(news(), ["missed 2", "duplicate"]);
});

test("a sequence that starts over is a restart, with and without a replay endpoint", () => {
  for (const canReplay of [true, false]) {
    const { sequencer, live, news } = knowing(3, { canReplay });
    live("b", 0, 1);
    assert.deepEqual(news(), ["restarted", "purge restart", "b0", "b1"]);
    assert.equal(sequencer.status, "live");
  }
});

test("a sequence that goes backwards is a restart, and its beginning is asked for", () => {
  const { live, replay, news, asked } = knowing(3);
  live("b", 2);
  assert.deepEqual(asked(), [2, "start", 0]);
  replay("b", 0, 1, 2);
  assert.deepEqual(news(), ["restarted", "purge restart", "b0", "b1", "b2"]);
});

test("without replay a sequence that goes backwards leaves a partial stream", () => {
  const { sequencer, live, news } = knowing(3, { canReplay: false });
  live("b", 2);
  assert.deepEqual(news(), ["restarted", "purge restart", "b2"]);
  assert.equal(sequencer.status, "partial");
});

test("after a new connection the same process is recognised, and nothing is forgotten", () => {
  const { sequencer, replay, news, asked } = knowing(3);
  sequencer.disconnected();
  assert.equal(sequencer.status, "connecting");
  sequencer.connected(2);
  assert.deepEqual(asked(), [2, "verify", 3]);
  sequencer.live(2, 6, payload("a", 6));
  assert.deepEqual(news(), [], "what comes live waits until then");
  replay("a", 3, 4, 5);
  assert.deepEqual(news(), ["missed 2", "a4", "a5", "a6"]);
});

test("after a new connection another process is recognised by what it published under a known sequence", () => {
  const { sequencer, replay, news, asked } = knowing(3);
  sequencer.disconnected();
  sequencer.connected(2);
  sequencer.live(2, 4, payload("b", 4));
  replay("b", 3);
  assert.deepEqual(asked(), [3, "start", 0]);
  assert.ok(sequencer.wasReplayComplete, "the first replay has told what it was asked");
  replay("b", 0, 1, 2, 3);
  assert.deepEqual(news(), ["restarted", "purge restart", "b0", "b1", "b2", "b3", "b4"]);
});

test("after a new connection another process is recognised by what it has not published", () => {
  const { sequencer, replay, end, news, asked } = knowing(3);
  sequencer.disconnected();
  sequencer.connected(2);
  end("marker");
  assert.deepEqual(asked(), [3, "start", 0]);
  replay("b", 0);
  end("marker");
  assert.deepEqual(news(), ["restarted", "purge restart", "b0"]);
});

test("without a replay endpoint a new connection costs all: nothing proves that the process is the same", () => {
  const { sequencer, news } = knowing(3, { canReplay: false });
  sequencer.disconnected();
  assert.deepEqual(news(), [], "until then it is the best that is known");
  sequencer.connected(2);
  assert.deepEqual(news(), ["purge unverified"]);
  assert.equal(sequencer.status, "partial");
  sequencer.live(2, 0, payload("b", 0));
  assert.equal(sequencer.status, "live");
});

test("what an earlier connection left behind is ignored", () => {
  const { sequencer, replay, news } = knowing(3);
  sequencer.disconnected();
  sequencer.live(1, 4, payload("a", 4));
  sequencer.connected(2);
  sequencer.live(1, 4, payload("a", 4));
  replay("b", 3);
  assert.deepEqual(news(), ["restarted", "purge restart"]);
});

test("a batch of a connection that nobody announced announces it", () => {
  const { sequencer, replay } = knowing(3);
  sequencer.live(2, 4, payload("a", 4));
  assert.equal(sequencer.request?.purpose, "verify");
  replay("a", 3, 4);
  assert.equal(sequencer.lastSequence, 4);
});

test("a quiet stream finds out what it lost at its end", () => {
  const { sequencer, replay, end, news, asked } = knowing(3);
  sequencer.check();
  assert.deepEqual(asked(), [2, "check", 3]);
  assert.equal(sequencer.status, "live", "nothing waits for a check");
  replay("a", 3, 4);
  end("marker");
  assert.deepEqual(news(), ["a4"]);
  assert.ok(sequencer.wasReplayComplete);
});

test("an endpoint that answers for another engine is not believed while the live connection stands", () => {
  const { sequencer, live, replay, news } = knowing(3);
  sequencer.check();
  replay("b", 3);
  assert.equal(sequencer.request, null);
  assert.ok(!sequencer.wasReplayComplete);
  live("a", 6);
  assert.deepEqual(news(), ["missed 2", "purge gap", "a6"]);
});

test("where a replay and the live stream contradict each other, the live one is right", () => {
  const { sequencer, live, replay, news } = bench();
  sequencer.connected(1);
  live("a", 1, 2);
  replay("b", 1);
  assert.deepEqual(news(), ["b1", "purge restart", "a1", "a2"]);
  assert.equal(sequencer.status, "partial");
});

test("a process that takes over behind the same connection, during a replay, is followed", () => {
  const { sequencer, live, replay, news } = knowing(3);
  live("a", 7);
  live("b", 7);
  live("b", 0, 1);
  assert.deepEqual(news(), ["missed 3", "restarted", "purge restart", "b0", "b1"]);
  assert.equal(sequencer.request, null);
  assert.throws(() => replay("a", 3));
});

test("of too many batches that wait the oldest go, and are asked for again", () => {
  const { sequencer, live, replay, end, news } = knowing(0, { maxHeldBytes: 3 * 140 });
  live("a", 2, 3, 4, 5);
  assert.deepEqual(news(), ["missed 1", "overflowed"]);
  assert.ok(sequencer.heldBytes <= 3 * 140);
  replay("a", 0, 1);
  end("marker");
  assert.equal(sequencer.replayFrom, 1);
  replay("a", 1, 2, 3);
  assert.deepEqual(news(), ["a1", "a2", "a3", "a4", "a5"]);
});

test("answers to another replay than the one that is wanted are ignored", () => {
  const { sequencer, live, news } = knowing(0);
  live("a", 3);
  const old = sequencer.request!.id;
  sequencer.disconnected();
  sequencer.connected(2);
  sequencer.replayed(old, 1, payload("a", 1));
  sequencer.ended(old, "marker");
  assert.deepEqual(news(), ["missed 2"]);
  assert.equal(sequencer.request?.purpose, "verify");
});

test("a batch 0 makes an end of all that waited: it was another process's", () => {
  const { sequencer, live, news } = bench();
  sequencer.connected(1);
  live("a", 5);
  live("b", 0, 1);
  assert.deepEqual(news(), ["b0", "b1"]);
  assert.equal(sequencer.heldBytes, 0);
});

test("of two processes that wait under one sequence the later is followed", () => {
  const { sequencer, live, replay, news } = bench();
  sequencer.connected(1);
  live("a", 5, 6);
  live("b", 5);
  replay("b", 3, 4, 5);
  assert.deepEqual(news(), ["b3", "b4", "b5"]);
  assert.equal(sequencer.heldBytes, 0);
});

test("what a process before the last one replayed is not mixed with the last one's", () => {
  const { sequencer, replay, end, news } = knowing(3);
  sequencer.disconnected();
  sequencer.connected(2);
  replay("b", 5);
  end("silence");
  replay("c", 3);
  replay("c", 0, 1, 2, 3, 4);
  end("marker");
  assert.deepEqual(news(), ["restarted", "purge restart", "c0", "c1", "c2", "c3", "c4"]);
  assert.equal(sequencer.request, null);
});

test("a replay that has not shown whose it is fills no hole", () => {
  const { live, replay, news } = knowing(1);
  live("a", 9);
  replay("b", 2, 3);
  live("a", 2);
  assert.deepEqual(news(), ["missed 7", "a2"]);
});

test("a check that finds the engine's buffer beyond what is known begins anew with it", () => {
  const { sequencer, replay, end, news } = knowing(1);
  sequencer.check();
  replay("a", 5, 6);
  end("marker");
  replay("a", 5);
  assert.deepEqual(news(), ["purge gap", "a5", "a6"]);
  assert.equal(sequencer.status, "partial");
});

test("a check that cannot fill a hole costs what came before it", () => {
  const { sequencer, replay, end, news } = knowing(1);
  sequencer.check();
  for (const _ of [1, 2, 3]) {
    replay("a", 1, 4);
    end("marker");
  }
  assert.deepEqual(news(), ["purge gap", "a4"]);
});

test("a check in which the endpoint contradicts itself changes nothing", () => {
  const { sequencer, replay, news } = knowing(2);
  sequencer.check();
  replay("b", 7, 2);
  assert.deepEqual(news(), []);
  assert.equal(sequencer.request, null);
  assert.equal(sequencer.heldBytes, 0);
});
