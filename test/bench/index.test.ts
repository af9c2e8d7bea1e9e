import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isRight, wrongAnswers } from "../../bench/index/answers.ts";
import { Arena, contendersOf } from "../../bench/index/contenders.ts";
import { CONTESTANTS } from "../../bench/index/contestants.ts";
import { BLOCK_SIZE, makeWorkload, SHAPES, type Workload } from "../../bench/index/workload.ts";
import {
  decodeWorkload,
  type Encoding,
  encodeWorkload,
  eventsOf,
  type FileEvent,
  type FileMessage,
  type FileWorkload,
  fileWorkload,
} from "../../bench/index/workload-file.ts";
import type { TraceRequest } from "../../bench/routing/trace.ts";
import { seededRandom } from "../support/random.ts";

const VOCABULARY = 100_000;

/** Prompts that share beginnings, so long that pools of 9,000 blocks overflow, with answers of up to 100 tokens. */
function requests(): TraceRequest[] {
  const random = seededRandom(2);
  const some = (length: number): number[] => Array.from({ length }, () => Math.floor(VOCABULARY * random()));
  const starts = Array.from({ length: 6 }, () => some(400));
  return Array.from({ length: 90 }, () => {
    const start = starts[Math.floor(random() * starts.length)]!.slice(0, 16 * Math.floor(25 * random()));
    const rest = some(5_000 + Math.floor(16 * random()));
    const outputTokens = 1 + Math.floor(100 * random());
    return { atMs: 0, outputTokens, seenTokens: 0, tokens: Uint32Array.from([...start, ...rest]) };
  });
}

const [workload, oneBlockWorkload] = SHAPES.map((shape) => makeWorkload(requests(), 2, 22_000, 16, shape)) as [
  Workload,
  Workload,
];

/** What the pods of a workload hold after each of its messages: texts of tokens by the engine's name. Throws at events that cannot be. */
class Simulated {
  readonly pods: readonly Map<bigint, string>[];

  constructor({ pods }: Workload) {
    this.pods = pods.map(() => new Map());
  }

  take(pod: number, payload: Uint8Array): void {
    const held = this.pods[pod]!;
    for (const event of eventsOf(payload)) {
      if (event.type === "BlockRemoved") {
        for (const hash of event.blockHashes) assert.ok(held.delete(hash), "removes only what is there");
        continue;
      }
      let text = event.parentBlockHash === null ? "" : held.get(event.parentBlockHash);
      assert.notEqual(text, undefined, "a parent is there");
      assert.equal(event.tokenIds.length, BLOCK_SIZE * event.blockHashes.length);
      for (const [at, hash] of event.blockHashes.entries()) {
        assert.ok(!held.has(hash), "announces nothing that is there");
        text += ` ${event.tokenIds.subarray(at * BLOCK_SIZE, (at + 1) * BLOCK_SIZE).join(" ")}`;
        held.set(hash, text!);
      }
    }
  }
}

for (const [at, made] of [workload, oneBlockWorkload].entries()) {
  test(`the index bench, ${SHAPES[at]}: the generator knows what a set of tokens for each pod knows`, () => {
    const simulated = new Simulated(made);
    for (const { pod, payload } of made.messages) simulated.take(pod, payload);
    const held = simulated.pods.map((names) => new Set(names.values()));
    const depthOf = (pod: number, tokens: Uint32Array): number => {
      let text = "";
      let depth = 0;
      for (; (depth + 1) * BLOCK_SIZE <= tokens.length; depth++) {
        text += ` ${tokens.subarray(depth * BLOCK_SIZE, (depth + 1) * BLOCK_SIZE).join(" ")}`;
        if (!held[pod]!.has(text)) break;
      }
      return depth;
    };
    assert.ok(made.removedBlocks > 1_000 && made.questions.length > 5);
    for (const { tokens, blocksByPod } of made.questions) {
      const expected = made.pods.map((_, pod) => depthOf(pod, tokens));
      assert.deepEqual(
        made.pods.map((_, pod) => blocksByPod.get(pod) ?? 0),
        expected,
      );
    }
    assert.equal(
      made.heldPairs,
      held.reduce((sum, { size }) => sum + size, 0),
      "no two blocks of a pod have the same tokens before them",
    );
  });
}

test("the index bench: a pod never holds more than its pool, at no message", () => {
  const simulated = new Simulated(workload);
  for (const { pod, payload } of workload.messages) {
    simulated.take(pod, payload);
    assert.ok(simulated.pods[pod]!.size <= 9_000);
  }
  assert.deepEqual(
    simulated.pods.map(({ size }) => size),
    [9_000, 9_000],
  );
});

test("the index bench: a message has the removals of one block each, and then one store of a step's blocks", () => {
  const stored: number[] = [];
  let storedBlocks = 0;
  let removedBlocks = 0;
  for (const { payload } of workload.messages) {
    const events = eventsOf(payload);
    const last = events.at(-1)!;
    assert.equal(last.type, "BlockStored");
    stored.push(last.blockHashes.length);
    storedBlocks += last.blockHashes.length;
    for (const event of events.slice(0, -1)) {
      assert.equal(event.type, "BlockRemoved");
      assert.equal(event.blockHashes.length, 1);
      removedBlocks++;
    }
  }
  assert.equal(Math.max(...stored), 128);
  assert.ok(stored.filter((count) => count === 1).length > stored.length / 2, "most messages have one block");
  assert.ok(stored.reduce((sum, count) => sum + (count > 16 ? count : 0), 0) > storedBlocks / 2, "most blocks do not");
  assert.deepEqual([storedBlocks, removedBlocks], [workload.storedBlocks, workload.removedBlocks]);
});

test("the index bench: what is generated continues the prompt, from its last partial block on", () => {
  const tokens = Uint32Array.from({ length: 40 }, (_, at) => at);
  const { messages } = makeWorkload([{ atMs: 0, outputTokens: 30, seenTokens: 0, tokens }], 1, 1, 0);
  const [prompt, ...generated] = messages.slice(0, 3).flatMap(({ payload }) => eventsOf(payload));
  assert.ok(prompt?.type === "BlockStored" && prompt.blockHashes.length === 2);
  // 40 tokens of a prompt, 30 of an answer, of which the last is never computed: 69 are 4 blocks.
  assert.equal(generated.length, 2);
  const [first, second] = generated as [typeof prompt, typeof prompt];
  assert.equal(first.parentBlockHash, prompt.blockHashes[1]);
  assert.deepEqual(first.tokenIds.slice(0, 8), tokens.slice(32));
  assert.equal(second.parentBlockHash, first.blockHashes[0]);
  // Served a second time, by the same pod: the prompt is there, the answer is another one.
  const [again] = eventsOf(messages[3]!.payload) as [typeof prompt];
  assert.equal(messages.length, 5);
  assert.equal(again.parentBlockHash, prompt.blockHashes[1]);
  assert.notDeepEqual(again.tokenIds, first.tokenIds);
});

test("the index bench: with one block a message the same happens", () => {
  for (const { payload } of oneBlockWorkload.messages) {
    const events = eventsOf(payload);
    assert.deepEqual([events.length, events[0]!.blockHashes.length], [1, 1]);
  }
  assert.deepEqual({ ...oneBlockWorkload, messages: [] }, { ...workload, messages: [] });
});

/** What is written to a file for a contender, and read by it. */
const reread = (made: Workload, encoding: Encoding): FileWorkload =>
  decodeWorkload(bytesOf(fileWorkload(made, encoding)), false);

const KINDS = ["ours", "ours-decoded", "naive"] as const;

for (const [encoding, kinds] of [
  ["map", KINDS],
  ["array", ["ours", "ours-decoded"]],
] as const) {
  for (const kind of kinds) {
    test(`the index bench: ${kind} gives the known answers, given a file of ${encoding}s`, () => {
      for (const made of [workload, oneBlockWorkload]) {
        const index = CONTESTANTS[kind](reread(made, encoding))();
        index.ingest();
        const answers = made.questions.map(({ tokens }) => Object.fromEntries(index.answer(tokens)));
        assert.equal(wrongAnswers("blocks", made, answers), 0);
        assert.equal(index.holders(), made.heldPairs);
      }
    });

    test(`the index bench: ${kind} has a block less for each removal, and nothing of a pod that is cleared, given ${encoding}s`, () => {
      const index = CONTESTANTS[kind](reread(workload, encoding))();
      index.ingest();
      index.remove();
      assert.equal(workload.removals.length, 9_000);
      assert.equal(index.holders(), workload.heldPairs - workload.removals.length);
      index.clear();
      assert.equal(index.holders(), 4_500);
    });
  }
}

test("the index bench: contenders run in processes of their own, and tell all that the table has", async () => {
  const contenders = contendersOf(new Map(), 22_000);
  assert.deepEqual(
    contenders.map(({ name, given }) => [name, given]),
    [
      ["ours", "maps"],
      ["naive", "maps"],
    ],
  );
  using arena = new Arena(workload, new Set(["map"]));
  for (const contender of contenders) {
    const { collected, clearMs, ...reading } = await arena.run(contender);
    assert.equal(reading.wrong, 0);
    assert.ok((reading.match512Us ?? 0) > 0);
    assert.ok(reading.ingestCpuSeconds > 0 && reading.removeCpuSeconds > 0 && (reading.bytesPerHolder ?? 0) > 1);
    assert.ok((collected?.gcMs ?? -1) >= (collected?.maxGcMs ?? 0) && (clearMs ?? 0) > 0);
  }
});

test("the index bench: a contender is not started without the memory that it needs", async () => {
  const llmd = contendersOf(new Map([["llm-d", "/nowhere/llm-d"]]), 1e12).find(({ name }) => name.startsWith("llm-d"))!;
  using arena = new Arena(workload, new Set());
  await assert.rejects(arena.run(llmd), /may need 3000000 GB of memory/);
});

test("the index bench: an answer with a pod too many, too few, or another depth is wrong", () => {
  const question = { tokens: new Uint32Array(64), blocksByPod: new Map([[0, 2]]) };
  assert.equal(isRight(question, ["a", "b"], new Map([["a", 2]])), true);
  assert.equal(isRight(question, ["a", "b"], new Map([["a", 3]])), false);
  assert.equal(isRight(question, ["a", "b"], new Map([["b", 2]])), false);
  assert.equal(isRight(question, ["a", "b"], new Map(Object.entries({ a: 2, b: 1 }))), false);
  assert.equal(isRight(question, ["a", "b"], new Map()), false);
});

test("the index bench: answers count as wrong where they differ, in blocks or in per cent", () => {
  const pods = ["a"];
  const questions = [{ tokens: new Uint32Array(6 * BLOCK_SIZE), blocksByPod: new Map([[0, 1]]) }];
  assert.equal(wrongAnswers("blocks", { pods, questions }, [{ a: 1 }]), 0);
  assert.equal(wrongAnswers("blocks", { pods, questions }, [{ a: 16 }]), 1);
  assert.equal(wrongAnswers("per cent", { pods, questions }, [{ a: 16 }]), 0);
  assert.equal(wrongAnswers("per cent", { pods, questions }, [{ a: 17 }]), 1);
  assert.equal(wrongAnswers("blocks", { pods, questions }, []), 1);
});

const words = fc.uint32Array({ maxLength: 20 });
const event: fc.Arbitrary<FileEvent> = fc.record(
  {
    type: fc.constantFrom(0 as const, 1 as const),
    parent: fc.option(fc.bigInt(0n, (1n << 64n) - 1n)),
    hashes: fc.array(fc.bigInt(0n, (1n << 64n) - 1n), { maxLength: 4 }),
    tokens: words,
  },
  { noNullPrototype: true },
);
const message: fc.Arbitrary<FileMessage> = fc.record(
  {
    pod: fc.nat({ max: 0xffff_ffff }),
    payload: fc.uint8Array({ maxLength: 40 }),
    events: fc.array(event, { maxLength: 4 }),
  },
  { noNullPrototype: true },
);
const question = fc.record({ tokens: words, deepestBlocks: fc.nat({ max: 0xffff_ffff }) }, { noNullPrototype: true });
const file = fc.record(
  {
    blockSize: fc.nat({ max: 1_024 }),
    pods: fc.array(fc.string({ unit: "binary", maxLength: 8 }), { maxLength: 4 }),
    messages: fc.array(message, { maxLength: 10 }),
    removals: fc.array(message, { maxLength: 3 }),
    questions: fc.array(question, { maxLength: 4 }),
  },
  { noNullPrototype: true },
);

/** A view of bytes and a Buffer are the same here. */
const plain = (workload: FileWorkload, withEvents: boolean): unknown => {
  const messages = (some: Iterable<FileMessage>): unknown =>
    [...some].map(({ pod, payload, events }) => ({
      pod,
      payload: Uint8Array.from(payload),
      events: withEvents ? events : [],
    }));
  return { ...workload, messages: messages(workload.messages), removals: messages(workload.removals) };
};

const bytesOf = (written: FileWorkload): Uint8Array => Buffer.concat([...encodeWorkload(written)]);

test("the workload file: what is written is read again, with events as numbers or without", () => {
  fc.assert(
    fc.property(file, fc.boolean(), (written, withEvents) =>
      assert.deepEqual(plain(decodeWorkload(bytesOf(written), withEvents), true), plain(written, withEvents)),
    ),
  );
});

test("the workload file: one that is cut off or of another format is refused", () => {
  const bytes = bytesOf({ blockSize: 16, pods: ["a"], messages: [], removals: [], questions: [] });
  assert.throws(() => decodeWorkload(bytes.subarray(0, -1), true), RangeError);
  assert.throws(() => decodeWorkload(Buffer.from("KVWORK99 and more"), true), /starts with "KVWORK02", not "KVWORK99"/);
});

test("the workload file: it has the events of the messages as numbers, and how deep each question goes", () => {
  const { messages, questions } = decodeWorkload(bytesOf(fileWorkload(workload, "array")), true);
  for (const [at, read] of [...messages].entries()) {
    const events = eventsOf(workload.messages[at]!.payload);
    assert.equal(read.pod, workload.messages[at]!.pod);
    assert.deepEqual(
      read.events,
      events.map((event) =>
        event.type === "BlockStored"
          ? { type: 0, parent: event.parentBlockHash, hashes: event.blockHashes, tokens: event.tokenIds }
          : { type: 1, parent: null, hashes: event.blockHashes, tokens: new Uint32Array() },
      ),
    );
    assert.deepEqual(eventsOf(read.payload), events);
  }
  assert.deepEqual(
    questions.map(({ deepestBlocks }) => deepestBlocks),
    workload.questions.map(({ blocksByPod }) => Math.max(0, ...blocksByPod.values())),
  );
});
