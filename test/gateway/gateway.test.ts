import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request as httpRequest, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import { describe, it } from "node:test";
import { until } from "../interop/support/until.ts";
import { stored } from "../server/support.ts";
import { deferred } from "../support/deferred.ts";
import { complete, fakeEngine, gatewayBench } from "./support.ts";

const TLS = new URL("../fixtures/tls/", import.meta.url);
const from = (pod: string) => ({ model: "m", pod, rank: 0, loraId: -1 });
const HELLO = [...new TextEncoder().encode("hello!")];

const echo = (name: string) =>
  fakeEngine((request, response, body) => {
    response.setHeader("content-type", "application/json");
    response.setHeader("x-engine", name);
    response.end(JSON.stringify({ name, url: request.url, method: request.method, body, headers: request.headers }));
  });

// biome-ignore lint/suspicious/noExplicitAny: an answer is whatever comes; tests look into it
const jsonOf = (response: Response): Promise<any> => response.json();

describe("Gateway", () => {
  it("sends a request to the pod that holds its prompt, and passes body and answer on as they are", async () => {
    await using a = await echo("a");
    await using b = await echo("b");
    await using bench = await gatewayBench([a.url, b.url]);
    bench.indexer.processBlockStored(from("b"), stored([1n, 2n, 3n], HELLO));
    const response = await complete(bench.url, { temperature: 0.5 }, { "x-custom": "1", "x-request-id": "mine" });
    const seen = await jsonOf(response);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("target-pod"), "b");
    assert.equal(response.headers.get("x-request-id"), "mine");
    assert.equal(response.headers.get("x-engine"), "b");
    assert.deepEqual(JSON.parse(seen.body), { model: "m", prompt: "hello!", temperature: 0.5 });
    assert.deepEqual(
      [seen.headers["x-custom"], seen.headers["x-request-id"], seen.url],
      ["1", "mine", "/v1/completions"],
    );
    assert.deepEqual([bench.routed[0]?.pod, bench.routed[0]?.attempts], ["b", 1]);
    assert.match(bench.routed[0]?.reason ?? "", /holds 100 % of the prompt/);
  });

  it("makes a request id, and takes none that is no header", async () => {
    await using a = await echo("a");
    await using bench = await gatewayBench([a.url]);
    const first = (await complete(bench.url)).headers.get("x-request-id");
    const second = (await complete(bench.url, {}, { "x-request-id": "x".repeat(300) })).headers.get("x-request-id");
    assert.match(first ?? "", /^[0-9a-f-]{36}$/);
    assert.match(second ?? "", /^[0-9a-f-]{36}$/);
  });

  it("takes the strategy and the pod that a client names", async () => {
    await using a = await echo("a");
    await using b = await echo("b");
    await using bench = await gatewayBench([a.url, b.url]);
    const pods = [];
    for (let i = 0; i < 4; i++) {
      pods.push((await complete(bench.url, {}, { "routing-strategy": "round-robin" })).headers.get("target-pod"));
    }
    assert.deepEqual(pods, ["a", "b", "a", "b"]);
    assert.equal((await complete(bench.url, {}, { "target-pod": "b" })).headers.get("target-pod"), "b");
    assert.equal((await complete(bench.url, {}, { "target-pod": "z" })).status, 503);
    const refused = await complete(bench.url, {}, { "routing-strategy": "best" });
    assert.equal(refused.status, 400);
    assert.match((await jsonOf(refused)).error.message, /routing-strategy is "best"; use one of prefix-cache/);
    assert.equal((await a.requests[0])?.headers["routing-strategy"], undefined);
  });

  it("passes on parts of an answer as they come", async () => {
    let engineSide: ServerResponse | undefined;
    await using a = await fakeEngine((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: 1\n\n");
      engineSide = response;
    });
    await using bench = await gatewayBench([a.url]);
    const response = await complete(bench.url, { stream: true });
    const reader = response.body!.getReader();
    const text = async () => new TextDecoder().decode((await reader.read()).value);
    assert.equal(await text(), "data: 1\n\n");
    assert.equal(bench.router.runningOn("a"), 1);
    engineSide!.write("data: 2\n\n");
    assert.equal(await text(), "data: 2\n\n");
    engineSide!.end("data: [DONE]\n\n");
    assert.equal(await text(), "data: [DONE]\n\n");
    assert.equal((await reader.read()).done, true);
    assert.equal(bench.router.runningOn("a"), 0);
  });

  it("tells the engine when the client goes away", async () => {
    const closed = deferred<void>();
    await using a = await fakeEngine((_request, response) => {
      response.write("data: 1\n\n");
      response.once("close", () => closed.resolve());
    });
    await using bench = await gatewayBench([a.url]);
    const gone = new AbortController();
    const response = await complete(bench.url, { stream: true }, {}, { signal: gone.signal });
    await response.body!.getReader().read();
    gone.abort();
    await closed.promise;
    assert.deepEqual(bench.errors, []);
  });

  it("waits for a client that reads slowly, instead of keeping the answer", async () => {
    const part = Buffer.alloc(1 << 20);
    let written = 0;
    let engineSide: ServerResponse | undefined;
    await using a = await fakeEngine((_request, response) => {
      const more = (): void => {
        while (written < 200) {
          written++;
          if (response.write(part)) continue;
          response.once("drain", more);
          return;
        }
        response.end();
      };
      engineSide = response;
      more();
    });
    await using bench = await gatewayBench([a.url]);
    const client = httpRequest(`${bench.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    client.end(JSON.stringify({ model: "m", prompt: "x" }));
    const [incoming] = await once(client, "response");
    let before = -1;
    const isStuck = (): boolean => {
      const isSame = written === before;
      before = written;
      return isSame && engineSide?.writableNeedDrain === true;
    };
    await until("the engine has to wait", isStuck, (is) => is);
    assert.ok(written < 100, `${written} MiB are on their way to nobody`);
    let read = 0;
    for await (const chunk of incoming) read += chunk.length;
    assert.equal(read, 200 << 20);
  });

  it("tries another pod where nobody answers or an engine takes none, and not once an answer has begun", async () => {
    await using dead = await fakeEngine(() => {});
    const gone = dead.url;
    await dead[Symbol.asyncDispose]();
    await using busy = await fakeEngine((_request, response) => {
      response.statusCode = 503;
      response.end("busy");
    });
    await using broken = await fakeEngine((_request, response) => {
      response.write("data: 1\n\n");
      setImmediate(() => response.destroy());
    });
    await using good = await echo("good");
    await using bench = await gatewayBench([gone, busy.url, good.url]);
    const response = await complete(bench.url, {}, { "routing-strategy": "round-robin" });
    assert.equal((await jsonOf(response)).name, "good");
    assert.equal(bench.routed[0]?.attempts, 3);
    assert.equal(
      ["a", "b", "c"].reduce((sum, pod) => sum + bench.router.runningOn(pod), 0),
      0,
    );
    await using second = await gatewayBench([broken.url, good.url]);
    second.indexer.processBlockStored(from("a"), stored([1n, 2n, 3n], HELLO));
    const cut = await complete(second.url);
    await assert.rejects(cut.text());
    assert.equal(good.requests.length, 1);
  });

  it("says what went wrong where all pods fail, and passes on what the last one said", async () => {
    await using busy = await fakeEngine((_request, response) => {
      response.statusCode = 503;
      response.end("busy");
    });
    await using bench = await gatewayBench([busy.url]);
    const response = await complete(bench.url);
    assert.deepEqual([response.status, await response.text()], [503, "busy"]);
    await using nobody = await gatewayBench(["http://127.0.0.1:1"]);
    const failed = await complete(nobody.url);
    assert.equal(failed.status, 502);
    assert.match((await jsonOf(failed)).error.message, /^pod a at http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
  });

  it("gives up on an engine that hangs", async () => {
    await using hanging = await fakeEngine(() => {});
    await using good = await echo("good");
    await using bench = await gatewayBench([hanging.url, good.url], { headTimeoutMs: 1 });
    bench.indexer.processBlockStored(from("a"), stored([1n, 2n, 3n], HELLO));
    assert.equal((await complete(bench.url)).status, 504);
  });

  it("holds requests to a pod within its limit, and refuses where all are full", async () => {
    const held: ServerResponse[] = [];
    const holding = () =>
      fakeEngine((_request, response) => {
        response.write("data: 1\n\n");
        held.push(response);
      });
    await using a = await holding();
    await using b = await holding();
    await using bench = await gatewayBench([a.url, b.url], { maxInFlight: 1 });
    const first = await complete(bench.url);
    const second = await complete(bench.url);
    const pods = [first, second].map(({ headers }) => headers.get("target-pod")).sort();
    assert.deepEqual(pods, ["a", "b"]);
    const third = await complete(bench.url);
    assert.deepEqual([third.status, third.headers.get("retry-after")], [429, "1"]);
    assert.match((await jsonOf(third)).error.message, /each of 2 pods has 1 requests already/);
    for (const response of held) response.end();
    await Promise.all([first.text(), second.text()]);
    assert.equal((await complete(bench.url)).status, 200);
    held.at(-1)!.end();
  });

  it("lists the models of all pods, and the adapters, and sends an adapter's requests to its model's pods", async () => {
    await using a = await echo("a");
    await using bench = await gatewayBench([a.url], { adapters: { sql: "m" } });
    const { data } = await jsonOf(await fetch(`${bench.url}/v1/models`));
    assert.deepEqual(
      data.map(({ id }: { id: string }) => id),
      ["m", "sql"],
    );
    const response = await complete(bench.url, { model: "sql" });
    assert.equal(JSON.parse((await jsonOf(response)).body).model, "sql");
    const unknown = await complete(bench.url, { model: "x" });
    assert.equal(unknown.status, 404);
    assert.equal((await jsonOf(unknown)).error.type, "model_not_found");
  });

  it("passes on what it does not know", async () => {
    await using a = await echo("a");
    await using bench = await gatewayBench([a.url]);
    const response = await fetch(`${bench.url}/v1/embeddings?x=1`, { method: "PUT", body: "{}" });
    const seen = await jsonOf(response);
    assert.deepEqual([seen.method, seen.url, seen.body], ["PUT", "/v1/embeddings?x=1", "{}"]);
    assert.equal((await fetch(bench.url, { method: "HEAD" })).status, 200);
  });

  it("refuses bodies that are too large or no request, and goes on", async () => {
    await using a = await echo("a");
    await using bench = await gatewayBench([a.url], { maxBodyBytes: 1000 });
    assert.equal((await complete(bench.url, { prompt: "x".repeat(2_000) })).status, 413);
    const send = async (body: string) => {
      const response = await fetch(`${bench.url}/v1/chat/completions`, { method: "POST", body });
      return `${response.status} ${(await jsonOf(response)).error.message}`;
    };
    assert.match(await send("{"), /^400 body of 1 bytes is no JSON/);
    assert.match(await send("[]"), /^400 body is \[\]: send a JSON object/);
    assert.match(await send("{}"), /^400 model is missing: name the model/);
    assert.equal((await complete(bench.url)).status, 200);
    assert.deepEqual(bench.errors, []);
  });

  it("lets in whoever has a key, and keeps it to itself", async () => {
    await using a = await echo("a");
    await using bench = await gatewayBench([a.url], { apiKeys: ["secret", "other"] });
    assert.equal((await complete(bench.url)).status, 401);
    assert.equal((await complete(bench.url, {}, { authorization: "Bearer secre" })).status, 401);
    assert.equal((await complete(bench.url, {}, { authorization: "Bearer secretsecret" })).status, 401);
    const response = await complete(bench.url, {}, { authorization: "Bearer other" });
    assert.equal((await jsonOf(response)).headers.authorization, undefined);
    assert.ok(!JSON.stringify(bench.routed).includes("other"));
  });

  it("speaks HTTPS with a certificate", async () => {
    await using a = await echo("a");
    const tls = {
      cert: readFileSync(new URL("cert.pem", TLS), "utf8"),
      key: readFileSync(new URL("key.pem", TLS), "utf8"),
    };
    await using bench = await gatewayBench([a.url], { tls });
    assert.match(bench.url, /^https:/);
    const client = httpsRequest(`${bench.url}/v1/models`, { ca: tls.cert });
    client.end();
    const [incoming] = await once(client, "response");
    assert.equal(incoming.statusCode, 200);
    incoming.resume();
    client.destroy();
    await assert.rejects(gatewayBench([a.url], { tls: { cert: "none", key: "none" } }));
  });

  it("finishes what runs when it is closed, and takes nothing new", async () => {
    let engineSide: ServerResponse | undefined;
    await using a = await fakeEngine((_request, response) => {
      response.write("1");
      engineSide = response;
    });
    await using bench = await gatewayBench([a.url]);
    const response = await complete(bench.url);
    const closing = bench.gateway.close();
    await assert.rejects(complete(bench.url));
    engineSide!.end("2");
    assert.equal(await response.text(), "12");
    await closing;
  });

  it("ends what runs too long when it is closed", async () => {
    await using a = await fakeEngine((_request, response) => void response.write("1"));
    await using bench = await gatewayBench([a.url], { drainTimeoutMs: 1 });
    const response = await complete(bench.url);
    await bench.gateway.close();
    await assert.rejects(response.text());
  });
});
