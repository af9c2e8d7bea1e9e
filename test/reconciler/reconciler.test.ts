import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createStore } from "../../src/container.ts";
import { engineUrlOf } from "../../src/reconciler/probe.ts";
import { Reconciler } from "../../src/reconciler/reconciler.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { until } from "../interop/support/until.ts";
import { chat, engine } from "../support/pipeline.ts";

const limit = { timeout: 30_000 };

/** An engine's HTTP side. */
interface EngineHttp {
  readonly port: number;
  /** By path; 404 for what is not there. They can be changed. */
  readonly answers: Record<string, string>;
  readonly requests: string[];
}

async function engineHttp(use: (http: EngineHttp) => Promise<void>): Promise<void> {
  const answers: Record<string, string> = {};
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url!);
    const answer = answers[request.url!];
    response.writeHead(answer === undefined ? 404 : 200).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use({ port: (server.address() as AddressInfo).port, answers, requests });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const atLeast = (what: string, count: () => number, least: number): Promise<unknown> =>
  until(what, count, (found) => found >= least, 20_000);

test("an engine that sleeps loses its blocks, and its stream goes on when it wakes", limit, () =>
  engineHttp(async ({ port, answers, requests }) => {
    const transport = zmtp();
    await using pod = await engine(transport, "ns/a");
    chat(pod, 4);
    const drops: string[] = [];
    await using store = await createStore({
      transport,
      reconcile: { intervalMs: 5, httpPort: port },
      reconcilerObserver: { onDropped: (key, reason) => drops.push(`${key} ${reason}`) },
    });
    await store.initKVEventSync();
    const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: "" }] = pod.ranks;
    answers["/is_sleeping"] = '{"is_sleeping":false}';
    store.registered.register({ instanceId: "ns/a", modelName: "m", endpoint, replayEndpoint: replayEndpoint! });
    const held = (): number => store.indexer.stats().holders;
    await atLeast("the blocks are there", held, 1);
    await atLeast("it was asked again", () => requests.length, requests.length + 5);
    assert.ok(held() > 0, "an engine that is awake keeps its blocks");

    answers["/is_sleeping"] = '{"is_sleeping":true}';
    await until("the blocks are gone", held, (blocks) => blocks === 0);
    assert.deepEqual(drops, ["ns/a sleeps"]);
    assert.equal(store.pods()[0]?.streams[0]?.purges, 1);

    answers["/is_sleeping"] = '{"is_sleeping":false}';
    chat(pod, 3);
    const last = (): number => store.pods()[0]?.streams[0]?.lastSequence ?? -1;
    await atLeast("what it publishes is followed", last, pod.nextSequence(0) - 1);
  }),
);

test("an engine that does not answer, or with what is none, keeps its blocks and is told of", limit, () =>
  engineHttp(async ({ port, answers, requests }) => {
    const failures: string[] = [];
    const forgotten: string[] = [];
    const pod = { key: "a", modelName: "m", loraId: -1, routingGroup: "default", topic: "" };
    const ranks = [{ rank: 0, endpoint: "tcp://127.0.0.1:5557" }];
    await using reconciler = new Reconciler(
      {
        pods: () => [{ pod: { ...pod, ranks }, streams: [] }],
        forget: ({ key }) => forgotten.push(key) > 1,
      },
      { intervalMs: 1, httpPort: port },
      { onProbeFailed: (key, error) => failures.push(`${key}: ${error.message}`) },
    );
    reconciler.start();
    await atLeast("failures", () => failures.length, 2);
    const problem = `a: http://127.0.0.1:${port} has neither /metrics nor /is_sleeping: is this the engine's HTTP port?`;
    assert.equal(failures[0], problem);
    answers["/metrics"] = "process_start_time_seconds 1000";
    await atLeast("it answers", () => requests.length, requests.length + 6);
    assert.deepEqual(forgotten, []);
    answers["/metrics"] = "process_start_time_seconds 2000";
    await atLeast("who cannot forget now is asked again", () => forgotten.length, 2);
  }),
);

test("an engine's URL is at the host of its events", () => {
  const common = { key: "a", modelName: "m", loraId: -1, routingGroup: "default", topic: "" };
  const urlOf = (endpoint: string) => engineUrlOf({ ...common, ranks: [{ rank: 0, endpoint }] }, 8000);
  assert.equal(urlOf("tcp://10.0.0.1:5557"), "http://10.0.0.1:8000");
  assert.equal(urlOf("tcp://[fd00::1]:5557"), "http://[fd00::1]:8000");
  assert.equal(urlOf("inproc://a"), null);
});

test("options of a reconciler that cannot be are refused", () => {
  const make = (options: object) => () => new Reconciler({ pods: () => [], forget: () => true }, options);
  assert.throws(make({ intervalMs: 0 }), { message: "reconciler: intervalMs is 0; use milliseconds from 1" });
  assert.throws(make({ httpPort: 70_000 }), { message: "reconciler: httpPort is 70000; use a port from 1 to 65535" });
});
