import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { EventEmitter } from "node:events";
import { test } from "node:test";
import { Gauge, Registry } from "prom-client";
import { TransportError } from "../../src/errors.ts";
import type { RequestMetrics } from "../../src/metrics.ts";
import { createApp, createServer } from "../../src/server/server.ts";
import { assertDescribed } from "./described.ts";
import { podInfo, serverBench, stored } from "./support.ts";

/** As they are before any server is made. */
const { Request: processRequest, Response: processResponse } = globalThis;
const JSON_TYPE = { "content-type": "application/json" };

test("probes tell a process that lives from one that is ready", async () => {
  let isReady = false;
  await using bench = await serverBench({ isReady: () => isReady });
  const statuses = async (): Promise<number[]> => {
    const answers = await Promise.all(["/livez", "/readyz", "/health"].map((path) => bench.send(path, {})));
    return answers.map(({ status }) => status);
  };
  // Dynamo's `/health` says that the process lives: manifests written for it must not restart one that catches up.
  assert.deepEqual(await statuses(), [200, 503, 200]);
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

test("each answer is recorded by its path and outcome, whatever path was asked for", async () => {
  const answers: [string, string][] = [];
  const requests: RequestMetrics = {
    answered: (path, outcome, seconds) => {
      assert.ok(seconds >= 0);
      answers.push([path, outcome]);
    },
  };
  const directory = {
    pods: () => {
      throw new Error("ours");
    },
  };
  await using bench = await serverBench({ requests, directory });
  await bench.send("/livez", {});
  await bench.post("/query", "no object");
  await bench.send("/workers", {});
  await bench.send("/made-up?query", {});
  assert.deepEqual(answers, [
    ["/livez", "success"],
    ["/query", "client_error"],
    ["/workers", "server_error"],
    ["other", "client_error"],
  ]);
});

test("the API describes itself, every path and every body of it", async () => {
  await using bench = await serverBench();
  const { body } = await bench.send("/openapi.json", {});
  assert.equal(body.openapi, "3.1.0");
  const paths = [
    "/query",
    "/query_by_hash",
    "/route",
    "/score",
    "/register",
    "/unregister",
    "/workers",
    "/dump",
    "/metrics",
    "/livez",
    "/readyz",
    "/health",
  ];
  assert.deepEqual(Object.keys(body.paths).sort(), [...paths].sort());
  for (const operation of Object.values<Record<string, { readonly responses: object }>>(body.paths)) {
    for (const { responses } of Object.values(operation)) assert.ok(Object.keys(responses).length > 0);
  }
  const { QueryRequest } = body.components.schemas;
  assert.deepEqual(QueryRequest.required, ["model_name"]);
  assert.equal(QueryRequest.properties.token_ids.items.maximum, 0xffff_ffff);
  assert.equal(QueryRequest.properties.token_ids.maxItems, 2 ** 20);
  const references = JSON.stringify(body).matchAll(/"#\/components\/schemas\/([^"]+)"/g);
  for (const [, name] of references) assert.ok(body.components.schemas[name!], name);
});

test("answers are as they are described", async () => {
  await using bench = await serverBench();
  const cause = new TransportError("refused", "nobody listens there");
  const connection = { status: "waiting", cause, attempt: 2, retryInMs: 5 } as const;
  bench.pods.push(
    podInfo("a", { blockSize: 16 }, [
      { replayEndpoint: "tcp://a:5558" },
      { rank: 1, status: "connecting", connection },
    ]),
    podInfo("b", {}, [{ firstSequence: null, lastSequence: null, idleMs: null, status: "partial" }]),
  );
  bench.indexer.processBlockStored({ model: "m", pod: "a", rank: 0, loraId: -1 }, stored([1n], [1, 2]));
  const { body: description } = await bench.send("/openapi.json", {});
  const query = await bench.post("/query", { model_name: "m", token_ids: [1, 2] });
  assertDescribed(query.body, description, "/query", "post", 200);
  assertDescribed((await bench.post("/query", {})).body, description, "/query", "post", 400);
  assertDescribed((await bench.send("/workers", {})).body, description, "/workers", "get", 200);
  const registration = { instance_id: "i", endpoint: "tcp://a:5557", model_name: "m" };
  assertDescribed((await bench.post("/register", registration)).body, description, "/register", "post", 201);
  assert.throws(() => assertDescribed({ ...query.body, scores: 1 }, description, "/query", "post", 200));
  assert.throws(() => assertDescribed({ ...query.body, more: 1 }, description, "/query", "post", 200));
});

test("serving leaves the process's own Request and Response alone", async () => {
  await using bench = await serverBench();
  await bench.send("/livez", {});
  assert.equal(globalThis.Request, processRequest);
  assert.equal(globalThis.Response, processResponse);
});

test("an unknown path and a wrong method say what there is", async () => {
  await using bench = await serverBench();
  for (const path of ["/nothing", "/query/", "//livez", "/__proto__", "/%zz"]) {
    const unknown = await bench.send(path, {});
    assert.equal(unknown.status, 404, path);
    assert.equal(unknown.body.error, `there is no ${path}; /openapi.json tells what there is`);
  }
  const { body: description } = await bench.send("/openapi.json", {});
  for (const [path, operations] of Object.entries<object>(description.paths)) {
    const [method, allowed] = "get" in operations ? ["POST", "GET, HEAD"] : ["GET", "POST"];
    const wrong = await bench.send(path, { method: method! });
    assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, allowed], path);
    assert.equal(wrong.body.error, `${path} takes ${allowed}, not ${method}`);
  }
  assert.equal((await bench.send("/livez", { method: "HEAD" })).status, 200);
});

test("a body that is not announced as JSON is refused with the header to send", async () => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a"));
  const statusFor = async (type: string): Promise<number> => {
    const body = new TextEncoder().encode('{"model_name":"m","token_ids":[]}');
    const init = { method: "POST", body, headers: type === "" ? {} : { "content-type": type } };
    const { status, body: answer } = await bench.send("/query", init);
    if (status === 415) assert.match(answer.error, /send JSON with the header "content-type: application\/json"$/);
    return status;
  };
  for (const type of ["", "text/plain", "application/x-www-form-urlencoded", "application/json-seq"]) {
    assert.equal(await statusFor(type), 415, type);
  }
  for (const type of ["application/json", "Application/JSON; charset=utf-8", "application/vnd.kv-1+json"]) {
    assert.equal(await statusFor(type), 200, type);
  }
});

test("a body that is no JSON is refused with its length and what the parser says", async () => {
  await using bench = await serverBench();
  for (const path of ["/query", "/register", "/unregister"]) {
    const broken = await bench.send(path, { method: "POST", headers: JSON_TYPE, body: '{"model_name":' });
    assert.equal(broken.status, 400);
    assert.match(broken.body.error, /^body of 14 characters is no JSON: /);
    assert.equal((await bench.send(path, { method: "POST", headers: JSON_TYPE })).status, 400);
  }
});

test("a body above 8 MiB is refused, whether it tells its length or not", async () => {
  await using bench = await serverBench();
  const text = `[${"1,".repeat(4_500_000)}1]`;
  for (const body of [text, new Blob([text]).stream()]) {
    const large = await bench.send("/query", { method: "POST", headers: JSON_TYPE, body, duplex: "half" });
    assert.equal(large.status, 413);
    assert.match(large.body.error, /exceeds 8388608 bytes/);
  }
});

test("whoever hangs up while sending a body is no error of ours", async () => {
  await using bench = await serverBench();
  const hungUp = Object.assign(new Error("aborted"), { code: "ECONNRESET" });
  const body = new ReadableStream({ start: (controller) => controller.error(hungUp) });
  const request = new Request("http://x/query", { method: "POST", headers: JSON_TYPE, body, duplex: "half" });
  assert.equal((await createApp(bench.parts).fetch(request)).status, 400);
  assert.deepEqual(bench.errors, []);
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

test("a connection that cannot be accepted is told to the log, and others are", async () => {
  await using bench = await serverBench();
  let server: EventEmitter | undefined;
  const remember = (message: unknown): void => {
    server = (message as { readonly server: EventEmitter }).server;
  };
  subscribe("http.server.request.start", remember);
  await bench.send("/livez", {});
  unsubscribe("http.server.request.start", remember);
  server?.emit("error", new Error("accept ENOBUFS"));
  assert.equal((await bench.send("/livez", {})).status, 200);
  assert.deepEqual(
    bench.errors.map(({ message }) => message),
    ["accept ENOBUFS"],
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
