import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { characterTokenizer } from "../../src/tokenizer/character.ts";
import { routerBench } from "../routing/support.ts";
import { podInfo, type ServerBench, serverBench, stored } from "./support.ts";

const from = (pod: string) => ({ model: "m", pod, rank: 0, loraId: -1 });

async function bench(): Promise<ServerBench & { readonly pods: ReturnType<typeof podInfo>[] }> {
  const tokenizer = characterTokenizer();
  const { router, indexer, pods, registry } = routerBench({}, { tokenizer });
  indexer.processBlockStored(from("b"), stored([1n, 2n], [1, 2, 3, 4]));
  const made = await serverBench({ router, indexer, directory: { pods: () => pods }, registry, tokenizer });
  return Object.assign(made, { pods });
}

describe("POST /route", () => {
  it("answers with the pod, the reason and all candidates", async () => {
    await using server = await bench();
    const { status, body } = await server.post("/route", { model_name: "m", token_ids: [1, 2, 3, 4, 5, 6] });
    assert.equal(status, 200);
    const { candidates, ...rest } = body;
    assert.deepEqual(rest, {
      pod: "b",
      address: "http://a:8000",
      strategy: "prefix-cache",
      selection: "prefix_match",
      reason: "b holds 66 % of the prompt, with 0 requests running",
      prompt_tokens: 6,
    });
    assert.deepEqual(candidates[0], {
      pod: "b",
      address: "http://a:8000",
      matched_tokens: 4,
      match_percent: 66,
      weighted_tokens: 4,
      running_requests: 0,
      waiting_requests: 0,
      pending_tokens: 0,
      expected_ttft_ms: 0.2,
      streams: { 0: { status: "live", last_sequence: 7, idle_ms: 12 } },
    });
    assert.equal(candidates.length, 3);
  });

  it("takes a prompt, a strategy, a choice of pods, and loads", async () => {
    await using server = await bench();
    const more = { pods: ["b", "c"], strategy: "least-request", loads: { b: { running: 2 }, c: { running: 1 } } };
    const { body } = await server.post("/route", { model_name: "m", prompt: "hello", ...more });
    assert.deepEqual([body.pod, body.strategy, body.tokenized.tokens], ["c", "least-request", 5]);
  });

  it("tells an engine's HTTP server where the pod has one", async () => {
    await using server = await bench();
    server.pods.splice(0, 3, podInfo("b", { httpUrl: "http://10.0.0.1:8000" }));
    const { body } = await server.post("/route", { model_name: "m", token_ids: [1] });
    assert.equal(body.address, "http://10.0.0.1:8000");
  });

  it("refuses what it cannot answer, with the reason", async () => {
    await using server = await bench();
    const ask = async (more: object) => {
      const { status, body } = await server.post("/route", { model_name: "m", token_ids: [1], ...more });
      return `${status} ${body.error}`;
    };
    assert.match(await ask({ model_name: "x" }), /^404 model is "x": no pod/);
    assert.match(await ask({ pods: ["z"] }), /^503 .*no pod of 1 that are asked for/);
    assert.match(await ask({ strategy: "best" }), /^400 strategy is "best"/);
    assert.match(await ask({ loads: { a: { running: -1 } } }), /^400 loads\.a\.running is -1/);
    await using without = await serverBench();
    assert.equal((await without.post("/route", { model_name: "m", token_ids: [1] })).status, 503);
  });
});

describe("POST /score", () => {
  it("answers with all candidates and chooses none", async () => {
    await using server = await bench();
    const { status, body } = await server.post("/score", { model_name: "m", token_ids: [1, 2, 3, 4] });
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body), ["prompt_tokens", "candidates"]);
    assert.deepEqual(
      body.candidates.map((each: { pod: string; match_percent: number }) => [each.pod, each.match_percent]),
      [
        ["b", 100],
        ["a", 0],
        ["c", 0],
      ],
    );
  });
});
