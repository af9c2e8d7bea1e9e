import assert from "node:assert/strict";
import { test } from "node:test";
import { environmentSource, resolveOptions } from "../src/options.ts";
import type { TokenizerSettings } from "../src/tokenizer/settings.ts";

function tokenizerOf(environment: Record<string, string>): TokenizerSettings | undefined {
  return resolveOptions([environmentSource(environment)]).tokenizer;
}

test("without options there is no tokenizer", () => {
  assert.equal(tokenizerOf({}), undefined);
});

test("AIBrix's variables set up the remote tokenizer, the newer name before the older one", () => {
  const settings = tokenizerOf({
    AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE: "remote",
    AIBRIX_REMOTE_TOKENIZER_ENDPOINT: "http://old:8000",
    AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT: "http://new:8000",
    AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE: "http://%s:9000",
    AIBRIX_TOKENIZER_HEALTH_CHECK_PERIOD: "10s",
    AIBRIX_TOKENIZER_TTL: "1m",
    AIBRIX_MAX_TOKENIZERS_PER_POOL: "3",
    AIBRIX_TOKENIZER_REQUEST_TIMEOUT: "250ms",
  });
  assert.deepEqual(settings, {
    type: "remote",
    endpoint: "http://new:8000",
    endpointTemplate: "http://%s:9000",
    timeoutMs: 250,
    healthCheckMs: 10_000,
    ttlMs: 60_000,
    maxTokenizers: 3,
  });
});

test("an endpoint or a path alone says which tokenizer is meant", () => {
  assert.equal(tokenizerOf({ KV_TOKENIZER_ENDPOINT: "http://a" })?.type, "remote");
  assert.equal(tokenizerOf({ KV_TOKENIZER_PATH: "model" })?.type, "local");
  const both = tokenizerOf({ KV_TOKENIZER_ENDPOINT: "http://a", KV_TOKENIZER_PATH: "model" });
  assert.deepEqual(both, { type: "remote", path: "model", endpoint: "http://a" });
});

for (const [name, environment, problem] of [
  ["an unknown type", { KV_TOKENIZER_TYPE: "tiktoken" }, /^KV_TOKENIZER_TYPE is "tiktoken"/],
  ["an endpoint of bytes", { KV_TOKENIZER_TYPE: "character", KV_TOKENIZER_ENDPOINT: "http://a" }, /takes no endpoint/],
  ["local without files", { KV_TOKENIZER_TYPE: "local" }, /give --tokenizer-path/],
] as const) {
  test(`${name} is refused`, () => {
    assert.throws(() => tokenizerOf(environment), { code: "invalid-option", message: problem });
  });
}
