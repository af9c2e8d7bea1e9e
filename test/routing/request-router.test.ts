import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TokenizerError } from "../../src/errors.ts";
import { characterTokenizer } from "../../src/tokenizer/character.ts";
import { podInfo, stored } from "../server/support.ts";
import { routerBench } from "./support.ts";

const from = (pod: string) => ({ model: "m", pod, rank: 0, loraId: -1 });
const PROMPT = [1, 2, 3, 4, 5, 6];

describe("RequestRouter", () => {
  it("sends a prompt to the pod that holds most of it, and says why and what else there was", async () => {
    const { router, indexer } = routerBench();
    indexer.processBlockStored(from("b"), stored([1n, 2n], [1, 2, 3, 4]));
    indexer.processBlockStored(from("c"), stored([1n], [1, 2]));
    const decision = await router.route({ model: "m", prompt: PROMPT });
    assert.equal(decision.pod, "b");
    assert.equal(decision.strategy, "prefix-cache");
    assert.equal(decision.selection, "prefix_match");
    assert.equal(decision.reason, "b holds 66 % of the prompt, with 0 requests running");
    assert.deepEqual(
      decision.candidates.map(({ pod, matchedTokens, matchPercent }) => [pod, matchedTokens, matchPercent]),
      [
        ["b", 4, 66],
        ["c", 2, 33],
        ["a", 0, 0],
      ],
    );
    assert.deepEqual(decision.candidates[0]!.streams, { 0: { status: "live", lastSequence: 7, idleMs: 12.4 } });
  });

  it("asks for the adapter that the request names (defect 13)", async () => {
    const { router, indexer } = routerBench();
    indexer.processBlockStored(from("b"), stored([1n], [1, 2], { loraName: "sql" }));
    indexer.processBlockStored(from("c"), stored([1n], [1, 2]));
    assert.equal((await router.route({ model: "m", prompt: PROMPT, lora: "sql" })).pod, "b");
    assert.equal((await router.route({ model: "m", prompt: PROMPT })).pod, "c");
  });

  it("makes tokens of a text or a chat by the tokenizer, and says by whom", async () => {
    const { router, indexer } = routerBench({}, { tokenizer: characterTokenizer() });
    const tokens = [...new TextEncoder().encode("hello!")];
    indexer.processBlockStored(from("c"), stored([1n, 2n, 3n], tokens));
    const decision = await router.route({ model: "m", prompt: { prompt: "hello!" } });
    assert.deepEqual([decision.pod, decision.promptTokens], ["c", 6]);
    assert.match(decision.tokenizedBy ?? "", /character/);
    await assert.rejects(routerBench().router.route({ model: "m", prompt: { prompt: "x" } }), { code: "no-tokenizer" });
  });

  it("passes on what is wrong with the tokenizer, and counts it", async () => {
    const broken = {
      ...characterTokenizer(),
      tokenize: () => Promise.reject(new TokenizerError("timeout", "tokenizer: no answer")),
    };
    const { router, registry } = routerBench({}, { tokenizer: broken });
    await assert.rejects(router.route({ model: "m", prompt: { prompt: "x" } }), { code: "timeout" });
    assert.match(await registry.metrics(), /prefix_cache_routing_errors_total\{.*reason="timeout".*\} 1/);
  });

  it("knows pods that can take no request, and those that are not asked for", async () => {
    const { router, indexer, pods } = routerBench();
    indexer.processBlockStored(from("b"), stored([1n], [1, 2]));
    pods[1] = podInfo("b", { isRoutable: false });
    assert.deepEqual(
      (await router.score({ model: "m", prompt: PROMPT })).candidates.map(({ pod }) => pod),
      ["a", "c"],
    );
    assert.equal((await router.route({ model: "m", prompt: PROMPT, pods: ["b", "c"] })).pod, "c");
    await assert.rejects(router.route({ model: "m", prompt: PROMPT, pods: ["b"] }), {
      code: "no-pod",
      message: /no pod of 1 that are asked for/,
    });
    await assert.rejects(router.route({ model: "x", prompt: PROMPT }), { code: "unknown-model" });
    await assert.rejects(router.route({ model: "m", prompt: PROMPT, routingGroup: "g" }), { code: "unknown-model" });
  });

  it("counts what it has sent until it ends, once", async () => {
    const { router } = routerBench({ speculativeTtlMs: 0 });
    const request = { model: "m", prompt: PROMPT, strategy: "least-request" as const };
    const first = router.begin(await router.route(request));
    const second = await router.route(request);
    const busy = second.candidates.find(({ runningRequests }) => runningRequests === 1);
    assert.deepEqual([busy?.pendingTokens, busy?.pod === second.pod], [6, false]);
    first.firstToken();
    first.firstToken();
    const later = (await router.score(request)).candidates.find(({ pod }) => pod === busy?.pod);
    assert.deepEqual([later?.runningRequests, later?.pendingTokens], [1, 0]);
    first.end();
    first[Symbol.dispose]();
    assert.ok(
      (await router.score(request)).candidates.every(
        ({ runningRequests, pendingTokens }) => runningRequests === 0 && pendingTokens === 0,
      ),
    );
  });

  it("takes loads that the request brings", async () => {
    const { router, indexer } = routerBench();
    indexer.processBlockStored(from("b"), stored([1n], [1, 2]));
    const loads = { a: { running: 9 }, b: { running: 20, waiting: 3 }, c: { running: 5 } };
    const decision = await router.route({ model: "m", prompt: PROMPT, loads });
    assert.deepEqual([decision.pod, decision.selection], ["c", "least_request_fallback"]);
    assert.equal(decision.candidates[0]?.waitingRequests, 3);
  });

  it("believes that a pod will have what was sent there, for a time, and until its events say otherwise (defect 16)", async () => {
    let nowMs = 0;
    const clock = { now: () => nowMs, setTimeout: () => 0, clearTimeout: () => {} };
    const { router, indexer } = routerBench({ speculativeTtlMs: 1_000 }, { clock });
    const decision = await router.route({ model: "m", prompt: PROMPT });
    using _active = router.begin(decision, "c");
    const again = await router.route({ model: "m", prompt: PROMPT, strategy: "cost-aware" });
    const matched = () =>
      indexer.matchPrefix("m", -1, PROMPT).map(({ pod, matchedTokens }) => `${pod} ${matchedTokens}`);
    assert.deepEqual(matched(), ["c 6"]);
    assert.equal(again.candidates[0]?.pod, "c");
    assert.equal(again.candidates[0]?.weightedTokens, 6);
    indexer.processAllBlocksCleared(from("c"));
    assert.deepEqual(matched(), []);
    nowMs = 5_000;
  });

  it("counts decisions as AIBrix's dashboards know them", async () => {
    const { router, indexer, registry } = routerBench();
    indexer.processBlockStored(from("b"), stored([1n, 2n, 3n], PROMPT));
    await router.route({ model: "m", prompt: PROMPT });
    await router.route({ model: "m", prompt: [9, 9] });
    const text = await registry.metrics();
    assert.match(
      text,
      /prefix_cache_routing_decisions_total\{model="m",using_kv_sync="true",match_percent_bucket="76-100"\} 1/,
    );
    assert.match(text, /selection="least_request_fallback"\} 1/);
  });
});
