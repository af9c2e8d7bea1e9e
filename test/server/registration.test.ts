import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { RegisteredPods } from "../../src/discovery/registered.ts";
import { createServer } from "../../src/server/server.ts";
import { ListenerLog } from "../discovery/support.ts";
import { serverBench } from "./support.ts";

const JSON_TYPE = { "content-type": "application/json" };
const REGISTRATION = { instance_id: "i", endpoint: "tcp://a:5557", model_name: "m", block_size: 16 };

test("an instance registers a rank at a time, and unregisters", async () => {
  const registered = new RegisteredPods();
  const log = new ListenerLog();
  await registered.start(log);
  await using bench = await serverBench({ registered });
  const first = await bench.post("/register", REGISTRATION);
  assert.deepEqual([first.status, first.body], [201, { status: "ok" }]);
  const more = { ...REGISTRATION, dp_rank: 1, endpoint: "tcp://a:5558", replay_endpoint: "tcp://a:5560" };
  assert.equal((await bench.post("/register", more)).status, 201);
  assert.equal(
    (await bench.post("/register", { ...more, instance_id: 7, dp_rank: 0, replay_endpoint: null })).status,
    201,
  );
  const ended = await bench.post("/unregister", { instance_id: "i", model_name: "m" });
  assert.deepEqual([ended.status, ended.body], [200, { status: "ok" }]);
  assert.deepEqual(log.lines, ["+i 0", "~i 0,1", "+7 0", "-i 0,1"]);
});

for (const [name, body, status, words] of [
  ["the same rank again", REGISTRATION, 409, /rank 0 is registered already/],
  ["another block size", { ...REGISTRATION, dp_rank: 1, block_size: 32 }, 409, /blockSize 16, not 32/],
  ["an endpoint without scheme", { ...REGISTRATION, endpoint: "a:1" }, 400, /endpoint "a:1": expected scheme/],
  ["an endpoint that is none", { ...REGISTRATION, endpoint: 5557 }, 400, /^endpoint is 5557: expected string/],
  ["no instance", { ...REGISTRATION, instance_id: undefined }, 400, /^instance_id is missing: expected a name/],
  ["a rank below 0", { ...REGISTRATION, dp_rank: -1 }, 400, /^dp_rank is -1: /],
  ["a block size of 0", { ...REGISTRATION, block_size: 0 }, 400, /^block_size is 0: /],
  ["no model", { ...REGISTRATION, model_name: null }, 400, /^model_name is null: expected string/],
  [
    "an id that JSON cannot carry",
    { ...REGISTRATION, instance_id: 2 ** 60 },
    400,
    /^instance_id is 1152921504606847000: .*; send others as a string/,
  ],
  ["an endpoint for replay that is none", { ...REGISTRATION, replay_endpoint: "b:1" }, 400, /endpoint "b:1": expected/],
  ["a topic that is none", { ...REGISTRATION, topic: 7 }, 400, /^topic is 7: expected string/],
  ["an adapter below −1", { ...REGISTRATION, lora_id: -2 }, 400, /^lora_id is -2: too small/],
  ["a tenant", { ...REGISTRATION, tenant_id: "t" }, 400, /^tenant_id is "t": is not supported/],
  ["a list", [REGISTRATION], 400, /^body is \[.*: expected object/],
  ["a salt", { ...REGISTRATION, additional_salt: "x" }, 400, /^additional_salt is "x": is not supported/],
] as const) {
  test(`a registration with ${name} is refused with ${status}`, async () => {
    await using bench = await serverBench();
    await bench.post("/register", REGISTRATION);
    const answer = await bench.post("/register", body);
    assert.equal(answer.status, status);
    assert.match(answer.body.error, words);
  });
}

for (const [name, body, words] of [
  ["no instance", { model_name: "m" }, /^instance_id is missing: expected a name/],
  ["no model", { instance_id: "i" }, /^model_name is missing: expected string/],
  ["a rank with a fraction", { instance_id: "i", model_name: "m", dp_rank: 0.5 }, /^dp_rank is 0.5: expected int/],
  ["an empty group", { instance_id: "i", model_name: "m", routing_group: "" }, /^routing_group is "": too small/],
] as const) {
  test(`an unregistration with ${name} is refused`, async () => {
    await using bench = await serverBench();
    const answer = await bench.post("/unregister", body);
    assert.equal(answer.status, 400);
    assert.match(answer.body.error, words);
  });
}

test("what may be left out may be null, too", async () => {
  await using bench = await serverBench();
  const nulls = { block_size: null, routing_group: null, dp_rank: null, replay_endpoint: null, tenant_id: null };
  const registration = { ...REGISTRATION, ...nulls, topic: null, lora_id: null, additional_salt: null };
  assert.equal((await bench.post("/register", registration)).status, 201);
  const unregistration = { instance_id: "i", model_name: "m", routing_group: null, dp_rank: null };
  assert.equal((await bench.post("/unregister", unregistration)).status, 200);
});

test("a registry that is full is 503", async () => {
  await using bench = await serverBench({ registered: new RegisteredPods({ maxRanks: 1 }) });
  await bench.post("/register", REGISTRATION);
  const { status, body } = await bench.post("/register", { ...REGISTRATION, dp_rank: 1 });
  assert.equal(status, 503);
  assert.match(body.error, /^1 ranks are registered/);
});

test("what is not registered is not found, and without a registry nothing registers", async () => {
  await using bench = await serverBench();
  const { status, body } = await bench.post("/unregister", { instance_id: "i", model_name: "m" });
  assert.equal(status, 404);
  assert.match(body.error, /instance_id is "i": not registered so for model m/);
  const parts = {
    directory: { pods: () => [] },
    indexer: bench.indexer,
    registry: new Registry(),
    isReady: () => true,
  };
  await using closed = createServer(parts);
  const { url } = await closed.listen({ host: "127.0.0.1", port: 0 });
  const answer = await fetch(`${url}/register`, {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify(REGISTRATION),
  });
  assert.equal(answer.status, 503);
});
