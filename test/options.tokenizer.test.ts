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

test("times of AIBrix's pool may be a number of seconds", () => {
  const settings = tokenizerOf({ KV_TOKENIZER_TYPE: "remote", AIBRIX_TOKENIZER_TTL: "300" });
  assert.equal(settings?.ttlMs, 300_000);
});

test("what AIBrix's gateway may have and nothing here uses is left out with a warning", () => {
  const { tokenizer, warnings } = resolveOptions([
    environmentSource({
      AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE: "character",
      AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE: "http://%s:8000",
    }),
  ]);
  assert.deepEqual(tokenizer, { type: "character" });
  assert.match(warnings.join(), /takes no endpoint/);
  const tiktoken = resolveOptions([environmentSource({ AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE: "tiktoken" })]);
  assert.equal(tiktoken.tokenizer, undefined);
  assert.match(tiktoken.warnings.join(), /tiktoken is not there/);
});

for (const [name, environment, problem] of [
  ["an unknown type", { KV_TOKENIZER_TYPE: "tictoken" }, /^KV_TOKENIZER_TYPE is "tictoken"/],
  ["local without files", { KV_TOKENIZER_TYPE: "local" }, /give --tokenizer-path/],
] as const) {
  test(`${name} is refused`, () => {
    assert.throws(() => tokenizerOf(environment), { code: "invalid-option", message: problem });
  });
}
