import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import xxhash from "xxhash-wasm";
import { decodedEvents, isRight, naive, ours, oursDecoded } from "../../bench/index/measures.ts";
import { wrongAnswers } from "../../bench/index/peers.ts";
import { BLOCK_SIZE, makeWorkload, type Workload } from "../../bench/index/workload.ts";
import {
  asArrays,
  decodeWorkload,
  encodeWorkload,
  eventOf,
  type FileMessage,
  type FileWorkload,
  fileWorkload,
} from "../../bench/index/workload-file.ts";
import type { TraceRequest } from "../../bench/routing/trace.ts";
import { seededRandom } from "../support/random.ts";

/** Prompts that share beginnings, so long that pools of 9,000 blocks overflow. */
function prompts(): TraceRequest[] {
  const random = seededRandom(2);
  const starts = Array.from({ length: 6 }, () => Array.from({ length: 400 }, () => Math.floor(1e6 * random())));
  return Array.from({ length: 90 }, () => {
    const start = starts[Math.floor(random() * starts.length)]!.slice(0, 16 * Math.floor(25 * random()));
    const rest = Array.from({ length: 5_000 }, () => Math.floor(1e6 * random()));
    return { atMs: 0, outputTokens: 1, seenTokens: 0, tokens: Uint32Array.from([...start, ...rest]) };
  });
}

const workload: Workload = makeWorkload(prompts(), 2, 22_000, 16);

test("the index bench: the generator knows what a set of tokens for each pod knows", () => {
  const held = workload.pods.map(() => new Set<string>());
  const textOf = workload.pods.map(() => new Map<bigint, string>());
  for (const { pod, payload } of workload.messages) {
    const event = eventOf(payload);
    const [hash] = event.blockHashes as [bigint];
    if (event.type === "BlockRemoved") {
      assert.ok(held[pod]!.delete(textOf[pod]!.get(hash)!), "removes only what is there");
      continue;
    }
    const before = event.parentBlockHash === null ? "" : textOf[pod]!.get(event.parentBlockHash)!;
    const text = `${before} ${event.tokenIds.join(" ")}`;
    textOf[pod]!.set(hash, text);
    held[pod]!.add(text);
  }
  const depthOf = (pod: number, tokens: Uint32Array): number => {
    let text = "";
    let depth = 0;
    for (; (depth + 1) * BLOCK_SIZE <= tokens.length; depth++) {
      text += ` ${tokens.subarray(depth * BLOCK_SIZE, (depth + 1) * BLOCK_SIZE).join(" ")}`;
      if (!held[pod]!.has(text)) break;
    }
    return depth;
  };
  assert.ok(workload.removedBlocks > 1_000 && workload.questions.length > 5);
  for (const { tokens, blocksByPod } of workload.questions) {
    const expected = workload.pods.map((_, pod) => depthOf(pod, tokens));
    assert.deepEqual(
      workload.pods.map((_, pod) => blocksByPod.get(pod) ?? 0),
      expected,
    );
  }
  assert.equal(
    workload.heldPairs,
    held.reduce((sum, { size }) => sum + size, 0),
  );
});

test("the index bench: our index gives the known answers for maps, for arrays and for decoded events", () => {
  const arrays = workload.messages.map(({ pod, payload }) => ({ pod, payload: asArrays(payload) }));
  assert.equal(ours(workload).wrong, 0);
  assert.equal(ours(workload, arrays).wrong, 0);
  assert.equal(oursDecoded(workload, decodedEvents(workload)).wrong, 0);
});

test("the index bench: the index with Maps gives the known answers", async () => {
  assert.equal(naive(workload, await xxhash()).wrong, 0);
});

test("the index bench: an answer with a pod too many, too few, or another depth is wrong", () => {
  const question = { tokens: new Uint32Array(64), blocksByPod: new Map([[0, 2]]) };
  assert.equal(isRight(question, ["a", "b"], new Map([["a", 2]])), true);
  assert.equal(isRight(question, ["a", "b"], new Map([["a", 3]])), false);
  assert.equal(isRight(question, ["a", "b"], new Map([["b", 2]])), false);
  assert.equal(isRight(question, ["a", "b"], new Map(Object.entries({ a: 2, b: 1 }))), false);
  assert.equal(isRight(question, ["a", "b"], new Map()), false);
});

test("the index bench: answers of a peer count as wrong where they differ, in per cent for AIBrix", () => {
  const pods = ["a"];
  const questions = [{ tokens: new Uint32Array(6 * BLOCK_SIZE), blocksByPod: new Map([[0, 1]]) }];
  assert.equal(wrongAnswers("llm-d", { pods, questions }, [{ a: 1 }]), 0);
  assert.equal(wrongAnswers("llm-d", { pods, questions }, [{ a: 16 }]), 1);
  assert.equal(wrongAnswers("aibrix", { pods, questions }, [{ a: 16 }]), 0);
  assert.equal(wrongAnswers("aibrix", { pods, questions }, [{ a: 17 }]), 1);
  assert.equal(wrongAnswers("dynamo", { pods, questions }, []), 1);
});

const words = fc.uint32Array({ maxLength: 20 });
const message: fc.Arbitrary<FileMessage> = fc.record(
  {
    pod: fc.nat({ max: 0xffff_ffff }),
    payload: fc.uint8Array({ maxLength: 40 }),
    type: fc.constantFrom(0 as const, 1 as const),
    parent: fc.option(fc.bigInt(0n, (1n << 64n) - 1n)),
    hashes: fc.array(fc.bigInt(0n, (1n << 64n) - 1n), { maxLength: 4 }),
    tokens: words,
  },
  { noNullPrototype: true },
);
const question = fc.record({ tokens: words, deepestBlocks: fc.nat({ max: 0xffff_ffff }) }, { noNullPrototype: true });
const file = fc.record(
  {
    blockSize: fc.nat({ max: 1_024 }),
    pods: fc.array(fc.string({ unit: "binary", maxLength: 8 }), { maxLength: 4 }),
    messages: fc.array(message, { maxLength: 10 }),
    questions: fc.array(question, { maxLength: 4 }),
  },
  { noNullPrototype: true },
);

/** A view of bytes and a Buffer are the same here. */
const plain = (workload: FileWorkload): unknown => ({
  ...workload,
  messages: [...workload.messages].map((each) => ({ ...each, payload: Uint8Array.from(each.payload) })),
});

test("the workload file: what is written is read again", () => {
  fc.assert(
    fc.property(file, (written) => assert.deepEqual(plain(decodeWorkload(encodeWorkload(written))), plain(written))),
  );
});

test("the workload file: one that is cut off or of another format is refused", () => {
  const bytes = encodeWorkload({ blockSize: 16, pods: ["a"], messages: [], questions: [] });
  assert.throws(() => decodeWorkload(bytes.subarray(0, -1)), RangeError);
  assert.throws(() => decodeWorkload(Buffer.from("KVWORK99 and more")), /starts with "KVWORK01", not "KVWORK99"/);
});

test("the workload file: it has the events of the messages as numbers, and how deep each question goes", () => {
  const { messages, questions } = decodeWorkload(encodeWorkload(fileWorkload(workload)));
  for (const [at, read] of [...messages].entries()) {
    const event = eventOf(workload.messages[at]!.payload);
    assert.equal(read.pod, workload.messages[at]!.pod);
    assert.deepEqual(read.hashes, event.blockHashes);
    if (event.type === "BlockStored")
      assert.deepEqual([read.parent, read.tokens], [event.parentBlockHash, event.tokenIds]);
    else assert.equal(read.type, 1);
    assert.deepEqual(eventOf(read.payload), event);
  }
  assert.deepEqual(
    questions.map(({ deepestBlocks }) => deepestBlocks),
    workload.questions.map(({ blocksByPod }) => Math.max(0, ...blocksByPod.values())),
  );
});
