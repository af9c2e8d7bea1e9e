import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError } from "../../src/errors.ts";
import { ConversationWorkload, type WorkloadOptions, type WorkloadRequest } from "../../src/simulator/workload.ts";

function take(count: number, options?: WorkloadOptions): readonly WorkloadRequest[] {
  const workload = new ConversationWorkload(options);
  return Array.from({ length: count }, () => workload.next());
}

test("a seed determines the requests", () => {
  assert.deepEqual(take(100, { seed: 5 }), take(100, { seed: 5 }));
  assert.notDeepEqual(take(1, { seed: 5 }), take(1, { seed: 6 }));
});

test("each turn repeats the conversation before it, answers included", () => {
  const earlier = new Map<number, WorkloadRequest>();
  let grown = 0;
  for (const request of take(300)) {
    const before = earlier.get(request.conversation);
    if (before !== undefined) {
      const said = [...before.tokens, ...before.outputTokens];
      assert.deepEqual([...request.tokens.subarray(0, said.length)], said);
      assert.ok(request.tokens.length > said.length);
      assert.equal(request.turn, before.turn + 1);
      grown++;
    } else assert.equal(request.turn, 0);
    earlier.set(request.conversation, request);
  }
  assert.ok(grown > 100);
});

test("conversations share a few system prompts", () => {
  const requests = take(300, { systemPrompts: 3, systemPromptTokens: 64 });
  const prompts = new Set(requests.map(({ tokens }) => tokens.subarray(0, 64).join()));
  assert.equal(prompts.size, 3);
});

test("conversations end and others begin, so that their number stays", () => {
  const requests = take(500, { conversations: 4, turns: 3 });
  const turns = new Map<number, number>();
  for (const { conversation } of requests) turns.set(conversation, (turns.get(conversation) ?? 0) + 1);
  assert.ok(turns.size > 100);
  assert.ok([...turns.values()].every((count) => count <= 3));
});

test("no request is longer than announced, and ids stay in the vocabulary", () => {
  const options = { systemPromptTokens: 20, turnTokens: 5, answerTokens: 5, turns: 4, vocabularyTokens: 10 };
  const { maxRequestTokens } = new ConversationWorkload(options);
  assert.equal(maxRequestTokens, 60);
  for (const { tokens, outputTokens } of take(500, options)) {
    assert.ok(tokens.length + outputTokens.length <= maxRequestTokens);
    assert.ok([...tokens, ...outputTokens].every((id) => id < 10));
  }
});

test("a size that is no positive integer is refused", () => {
  assert.throws(() => new ConversationWorkload({ turns: 0 }), ConfigurationError);
});
