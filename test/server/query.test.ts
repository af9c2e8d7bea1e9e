import assert from "node:assert/strict";
import { test } from "node:test";
import { readQuery } from "../../src/server/bodies.ts";
import { HttpError } from "../../src/server/http-error.ts";
import { type Answer, podInfo, serverBench, stored } from "./support.ts";

const source = { model: "m", pod: "a", rank: 0, loraId: -1 };
const JSON_TYPE = { "content-type": "application/json" };
const QUERY = { model_name: "m", token_ids: [1, 2, 3, 4, 5, 6] };

test("a query is answered in tokens, by instance, rank and tier", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a", {}, [{ rank: 0 }, { rank: 1, status: "catching-up" }]), podInfo("b"));
  bench.indexer.processBlockStored(source, stored([1n, 2n, 3n], QUERY.token_ids));
  bench.indexer.processBlockRemoved(source, { type: "BlockRemoved", blockHashes: [3n], medium: null, groupIdx: null });
  bench.indexer.processBlockStored(source, stored([1n, 2n, 3n], QUERY.token_ids, { medium: "CPU" }));
  bench.indexer.processBlockStored({ ...source, rank: 1 }, stored([7n], [1, 2]));
  bench.indexer.processBlockStored({ ...source, pod: "b" }, stored([9n], [1, 2], { medium: "disk" }));
  const { status, body } = await bench.post("/query", QUERY);
  assert.equal(status, 200);
  assert.deepEqual(body, {
    scores: { a: { 0: 4, 1: 2 }, b: { 0: 0 } },
    frequencies: [1, 1],
    instances: {
      a: {
        longest_matched: 6,
        gpu: 4,
        cpu: 6,
        disk: 6,
        weighted: 5.6,
        dp: { 0: 4, 1: 2 },
        streams: { 0: "live", 1: "catching-up" },
      },
      b: { longest_matched: 2, gpu: 0, cpu: 0, disk: 2, weighted: 1, dp: { 0: 0 }, streams: { 0: "live" } },
    },
  });
});

test("an answer that had to assume what an attention group needs says so", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a"));
  bench.indexer.processBlockStored(source, stored([1n], [1, 2], { groupIdx: 0 }));
  const { instances } = (await bench.post("/query", QUERY)).body;
  assert.equal(instances["a"]?.lower_bound, true);
});

test("a pod that is not ready, or ends, is not offered, though it holds the prompt", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a", { isRoutable: false }), podInfo("b"));
  bench.indexer.processBlockStored(source, stored([1n, 2n], QUERY.token_ids));
  bench.indexer.processBlockStored({ ...source, pod: "b" }, stored([9n], [1, 2]));
  assert.deepEqual(Object.keys((await bench.post("/query", QUERY)).body.instances), ["b"]);
  bench.pods[1] = podInfo("b", { isRoutable: false });
  assert.deepEqual((await bench.post("/query", QUERY)).body.instances, {}, "the model is known all the same");
});

test("frequencies count the instances with a block on the GPU, once each, whatever their block size", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a"), podInfo("b"), podInfo("c"));
  bench.indexer.processBlockStored(source, stored([1n, 2n], [1, 2, 3, 4]));
  bench.indexer.processBlockStored({ ...source, rank: 1 }, stored([3n], [1, 2]));
  bench.indexer.processBlockStored({ ...source, pod: "b" }, stored([4n], [1, 2, 3], { blockSize: 3 }));
  bench.indexer.processBlockStored({ ...source, pod: "c" }, stored([5n, 6n, 7n], QUERY.token_ids, { medium: "CPU" }));
  assert.deepEqual((await bench.post("/query", QUERY)).body.frequencies, [2, 1]);
});

test("a prompt that nobody has is no error", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a"));
  const { status, body } = await bench.post("/query", QUERY);
  assert.equal(status, 200);
  assert.deepEqual(body, { scores: {}, frequencies: [], instances: {} });
});

test("an adapter and a salt are part of what is asked", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a"));
  bench.indexer.processBlockStored(source, stored([1n], [1, 2], { loraName: "sql" }));
  bench.indexer.processBlockStored(source, stored([2n], [1, 2], { loraId: 5 }));
  bench.indexer.processBlockStored(source, stored([3n], [1, 2], { cacheSalt: "s" }));
  bench.indexer.processBlockStored(source, stored([4n], [1, 2], { extraKeys: [[["image", 1]]] }));
  const matched = async (more: object): Promise<number> =>
    (await bench.post("/query", { ...QUERY, ...more })).body.instances["a"]?.longest_matched ?? 0;
  assert.deepEqual(
    [
      await matched({}),
      await matched({ lora_name: "sql" }),
      await matched({ lora_name: "other" }),
      await matched({ lora_id: 5 }),
      await matched({ cache_salt: "s" }),
      await matched({ extra_keys: [[["image", 1]]] }),
      await matched({ extra_keys: [[["image", 2]]] }),
      await matched({ lora_name: null, lora_id: null, cache_salt: null, extra_keys: null, routing_group: null }),
      await matched({ lora_name: "", cache_salt: "" }),
      await matched({ lora_name: "", lora_id: 5 }),
      await matched({ cache_salt: "x".repeat(10_000) }),
    ],
    [0, 2, 0, 2, 2, 2, 0, 0, 0, 2, 0],
  );
});

test("only the instances of the group are asked; a model without any is 404", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a", { routingGroup: "blue" }), podInfo("b", { modelName: "other" }));
  bench.indexer.processBlockStored(source, stored([1n], [1, 2]));
  const unknown = await bench.post("/query", QUERY);
  assert.equal(unknown.status, 404);
  assert.match(unknown.body.error, /model_name is "m": no instance of routing_group "default"/);
  const { body } = await bench.post("/query", { ...QUERY, routing_group: "blue" });
  assert.deepEqual(body.scores, { a: { 0: 2 } });
});

test("an instance may have any name", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("__proto__"));
  bench.indexer.processBlockStored({ ...source, pod: "__proto__" }, stored([1n], [1, 2]));
  const { body } = await bench.post("/query", QUERY);
  assert.deepEqual(Object.keys(body.scores), ["__proto__"]);
});

/** Stands for arrays within arrays, which only a text can be: JSON.stringify has too small a stack. */
const DEEP = "deep";

function jsonOf(body: unknown): string {
  return JSON.stringify(body).replace(`"${DEEP}"`, () => "[".repeat(200_000) + "]".repeat(200_000));
}

for (const [name, body, words] of [
  ["no object", [], /^body is \[\]: expected object/],
  ["nothing", null, /^body is null: expected object/],
  ["no tokens", { model_name: "m" }, /^token_ids is missing: expected array/],
  ["tokens as text", { ...QUERY, token_ids: "1 2" }, /^token_ids is "1 2": expected array/],
  ["a token that is text", { ...QUERY, token_ids: [1, "2"] }, /^token_ids\[1\] is "2": expected number/],
  ["a token with a fraction", { ...QUERY, token_ids: [1.5] }, /^token_ids\[0\] is 1.5: expected int/],
  ["a token below 0", { ...QUERY, token_ids: [-1] }, /^token_ids\[0\] is -1: too small/],
  ["a token above 32 bits", { ...QUERY, token_ids: [2 ** 32] }, /^token_ids\[0\] is 4294967296: too big.*4294967295/],
  ["no model", { token_ids: [] }, /^model_name is missing: expected string/],
  ["an empty model", { ...QUERY, model_name: "" }, /^model_name is "": too small/],
  ["a model that is none", { ...QUERY, model_name: 7 }, /^model_name is 7: expected string/],
  ["a token nested deeper than the stack", { ...QUERY, token_ids: [DEEP] }, /^token_ids\[0\] is \[…: expected number/],
  ["an empty group", { ...QUERY, routing_group: "" }, /^routing_group is "": too small/],
  ["an adapter that is none", { ...QUERY, lora_name: 7 }, /^lora_name is 7: expected string/],
  ["an adapter id with a fraction", { ...QUERY, lora_id: 1.5 }, /^lora_id is 1.5: expected int/],
  ["a salt that is none", { ...QUERY, cache_salt: 7 }, /^cache_salt is 7: expected string/],
  ["extra keys that are no list", { ...QUERY, extra_keys: "x" }, /^extra_keys is "x": expected array/],
  ["extra keys that are none", { ...QUERY, extra_keys: [7] }, /^extra_keys\[0\] is 7: expected array/],
  ["a tenant", { ...QUERY, tenant_id: "t" }, /^tenant_id is "t": is not supported here/],
] as const) {
  test(`a query with ${name} is refused with the field, its value and what is expected`, async () => {
    await using bench = await serverBench();
    bench.pods.push(podInfo("a"));
    const { status, body: answer } = await bench.send("/query", {
      method: "POST",
      headers: JSON_TYPE,
      body: jsonOf(body),
    });
    assert.equal(status, 400);
    assert.match(answer.error, words);
    assert.deepEqual(bench.errors, []);
  });
}

test("what follows the first bad token is not looked at, however long it is", () => {
  let looks = 0;
  const tokens = [1, -1, 2];
  Object.defineProperty(tokens, 2, { get: () => looks++ });
  assert.throws(() => readQuery({ ...QUERY, token_ids: tokens }), HttpError);
  assert.equal(looks, 0);
});

test("a prompt of 2 ** 20 tokens is taken, and one more is refused with their number", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a"));
  const statusFor = (count: number): Promise<Answer> =>
    bench.send("/query", {
      method: "POST",
      headers: JSON_TYPE,
      body: `{"model_name":"m","token_ids":[1${",1".repeat(count - 1)}]}`,
    });
  assert.equal((await statusFor(2 ** 20)).status, 200);
  const { status, body } = await statusFor(2 ** 20 + 1);
  assert.equal(status, 400);
  assert.equal(body.error, "token_ids[1048576] is 1: 1048577 entries are too many; send at most 1048576");
});

test("every token id of 32 bits is taken, and no other number", () => {
  for (const token of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
    assert.deepEqual(readQuery({ ...QUERY, token_ids: [token] }).tokens, Uint32Array.of(token));
  }
  for (const token of [-1, 0.5, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY, 1n, true, null]) {
    assert.throws(() => readQuery({ ...QUERY, token_ids: [token] }), HttpError);
  }
});
