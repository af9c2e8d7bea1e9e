import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { Gauge, Registry } from "prom-client";
import { RegisteredPods } from "../../src/discovery/registered.ts";
import { TransportError } from "../../src/errors.ts";
import { createServer } from "../../src/server/server.ts";
import { ListenerLog } from "../discovery/support.ts";
import { podInfo, serverBench } from "./support.ts";

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
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}/register`, { method: "POST", headers, body: JSON.stringify(REGISTRATION) });
  assert.equal(answer.status, 503);
});

test("workers are listed with the state of each rank, and can be chosen", async () => {
  await using bench = await serverBench();
  const cause = new TransportError("refused", "zmtp tcp://c:5557: nobody listens there");
  bench.pods.push(
    podInfo("a", { blockSize: 16 }, [{}, { rank: 1, endpoint: "tcp://a:5558", status: "partial", missedBatches: 3 }]),
    podInfo("b", { modelName: "other" }, [{ status: "connecting", connection: { status: "connecting", attempt: 1 } }]),
    podInfo("c", { routingGroup: "blue" }, [
      { status: "connecting", connection: { status: "waiting", cause, attempt: 2, retryInMs: 5 }, idleMs: null },
    ]),
  );
  const { body } = await bench.send("/workers", {});
  const brief = body.map((worker: Record<string, unknown>) => [worker["instance_id"], worker["status"]]);
  assert.deepEqual(brief, [
    ["a", "active"],
    ["b", "pending"],
    ["c", "failed"],
  ]);
  assert.deepEqual([body[0].block_size, body[1].block_size, body[0].source], [16, null, "zmq"]);
  assert.deepEqual(body[0].endpoints, { 0: "tcp://a:5557", 1: "tcp://a:5558" });
  const { stream, missed_batches, last_sequence, idle_ms } = body[0].listeners[1];
  assert.deepEqual([stream, missed_batches, last_sequence, idle_ms], ["partial", 3, 7, 12]);
  assert.equal(body[2].listeners[0].last_error, cause.message);
  for (const [search, expected] of [
    ["?model_name=other", ["b"]],
    ["?routing_group=blue", ["c"]],
    ["?model_name=m&routing_group=default", ["a"]],
  ] as const) {
    const chosen = (await bench.send(`/workers${search}`, {})).body;
    assert.deepEqual(
      chosen.map((worker: Record<string, unknown>) => worker["instance_id"]),
      expected,
    );
  }
});

test("probes tell a process that lives from one that is ready", async () => {
  let isReady = false;
  await using bench = await serverBench({ isReady: () => isReady });
  const statuses = async (): Promise<number[]> => {
    const answers = await Promise.all(["/livez", "/readyz", "/health"].map((path) => bench.send(path, {})));
    return answers.map(({ status }) => status);
  };
  assert.deepEqual(await statuses(), [200, 503, 503]);
  isReady = true;
  assert.deepEqual(await statuses(), [200, 200, 200]);
});

test("metrics are those of the registry, in Prometheus' format", async () => {
  const registry = new Registry();
  new Gauge({ name: "answer", help: "to all", registers: [registry] }).set(42);
  await using bench = await serverBench({ registry });
  const { body, headers } = await bench.send("/metrics", {});
  assert.match(body, /^answer 42$/m);
  assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
});

test("the API describes itself, every path and every body of it", async () => {
  await using bench = await serverBench();
  const { body } = await bench.send("/openapi.json", {});
  assert.equal(body.openapi, "3.1.0");
  const paths = ["/query", "/register", "/unregister", "/workers", "/metrics", "/livez", "/readyz", "/health"];
  assert.deepEqual(Object.keys(body.paths).sort(), [...paths].sort());
  for (const operation of Object.values<Record<string, { readonly responses: object }>>(body.paths)) {
    for (const { responses } of Object.values(operation)) assert.ok(Object.keys(responses).length > 0);
  }
  const { QueryRequest } = body.components.schemas;
  assert.deepEqual(QueryRequest.required, ["token_ids", "model_name"]);
  assert.equal(QueryRequest.properties.token_ids.items.maximum, 0xffff_ffff);
  const references = JSON.stringify(body).matchAll(/"#\/components\/schemas\/([^"]+)"/g);
  for (const [, name] of references) assert.ok(body.components.schemas[name!], name);
});

test("an unknown path, a wrong method and a body that is not JSON each say what to do", async () => {
  await using bench = await serverBench();
  const json = { "content-type": "application/json" };
  const unknown = await bench.send("/nothing", {});
  assert.equal(unknown.status, 404);
  assert.match(unknown.body.error, /no \/nothing; \/openapi\.json/);
  const wrong = await bench.send("/query", {});
  assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, "POST"]);
  const form = await bench.send("/query", { method: "POST", body: "a=1" });
  assert.equal(form.status, 415);
  assert.match(form.body.error, /"content-type: application\/json"/);
  const broken = await bench.send("/query", { method: "POST", headers: json, body: '{"model_name":' });
  assert.equal(broken.status, 400);
  assert.match(broken.body.error, /^body of 14 characters is no JSON: /);
  const large = await bench.send("/query", { method: "POST", headers: json, body: `[${"1,".repeat(4_500_000)}1]` });
  assert.equal(large.status, 413);
  assert.match(large.body.error, /exceeds 8388608 bytes/);
});

test("an error of ours is told to the log, not to strangers", async () => {
  await using bench = await serverBench({
    directory: {
      pods: () => {
        throw new Error("secret");
      },
    },
  });
  const { status, body } = await bench.send("/workers", {});
  assert.equal(status, 500);
  assert.deepEqual(body, { error: "internal error; the log tells more" });
  assert.deepEqual(
    bench.errors.map(({ message }) => message),
    ["secret"],
  );
});

test("a port that is taken is the reason why listening fails", async () => {
  await using bench = await serverBench();
  const { port } = new URL(bench.url);
  const parts = {
    directory: { pods: () => [] },
    indexer: bench.indexer,
    registry: new Registry(),
    isReady: () => true,
  };
  await using second = createServer(parts);
  await assert.rejects(second.listen({ host: "127.0.0.1", port: Number(port) }), { code: "EADDRINUSE" });
});

test("closing does not wait for connections that are kept alive, nor twice", async () => {
  const bench = await serverBench();
  const socket = connect(Number(new URL(bench.url).port), "127.0.0.1");
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  await new Promise<void>((resolve) => {
    socket.once("data", () => resolve());
    socket.write("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
  });
  await Promise.all([bench.server.close(), bench.server.close()]);
  await closed;
});
