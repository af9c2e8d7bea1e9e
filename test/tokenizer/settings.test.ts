import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/clock.ts";
import type { RankEndpoint } from "../../src/discovery/discovery.ts";
import { type TokenizerSettings, tokenizerPool } from "../../src/tokenizer/settings.ts";
import { podInfo } from "../server/support.ts";
import { engineServer, json } from "./support.ts";

const observer = { served() {}, failed() {}, lookedUp() {}, healthChecked() {} };
const path = fileURLToPath(new URL("../fixtures/tokenizer", import.meta.url));

function poolOf(settings: TokenizerSettings, ranks: readonly RankEndpoint[] = []) {
  const pods = [
    podInfo("a", { ranks }),
    podInfo("b", { modelName: "other", ranks: [{ rank: 0, endpoint: "tcp://b:1" }] }),
  ];
  return tokenizerPool(settings, { directory: { pods: () => pods }, observer, clock: systemClock });
}

test("a model's own pods tokenize, on the port of the template", async () => {
  await using engine = await engineServer((response) => json(response, { tokens: [7] }));
  const ranks = [{ rank: 0, endpoint: "tcp://127.0.0.1:5557" }];
  await using pool = poolOf({ type: "remote", endpointTemplate: `http://%s:${engine.port}` }, ranks);
  const { tokens, servedBy } = await pool.tokenize({ prompt: "a" }, { model: "m" });
  assert.deepEqual([[...tokens], servedBy], [[7], `remote ${engine.url}`]);
});

test("a pod that publishes without TCP has no URL", async () => {
  await using pool = poolOf({ type: "remote" }, [{ rank: 0, endpoint: "ipc:///tmp/engine" }]);
  await assert.rejects(pool.tokenize({ prompt: "a" }, { model: "m" }), { message: /no engine is known/ });
});

test("files serve where no engine answers", async () => {
  const engine = await engineServer((response) => json(response, {}));
  await engine[Symbol.asyncDispose]();
  await using pool = poolOf({ type: "remote", endpoint: engine.url, path });
  const { servedBy } = await pool.tokenize({ prompt: "a" }, { model: "m" });
  assert.equal(servedBy, `local ${path}`);
});

test("bytes serve where they are asked for", async () => {
  await using pool = poolOf({ type: "character" });
  assert.equal((await pool.tokenize({ prompt: "a" }, { model: "m" })).servedBy, "character");
});

for (const [name, settings, problem] of [
  ["a template without a place for the host", { type: "remote", endpointTemplate: "http://a:1" }, /use one with %s/],
  ["an endpoint that is none", { type: "remote", endpoint: "a:1" }, /tokenizer endpoint is "a:1"/],
  ["local without files", { type: "local" }, /give their path/],
] as const) {
  test(`${name} is refused`, () => {
    assert.throws(() => poolOf(settings), { code: "invalid-option", message: problem });
  });
}
