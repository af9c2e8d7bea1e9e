import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { test } from "node:test";
import { createTransport, generateCurveKeys } from "../../src/container.ts";
import type { Check } from "../../src/doctor/check.ts";
import { diagnose } from "../../src/doctor/diagnose.ts";
import { resolveOptions } from "../../src/options.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { ELIGIBLE } from "../discovery/kubernetes/pods.ts";
import { KubeApi } from "../support/kube-api/server.ts";
import { engine } from "../support/pipeline.ts";

const limit = { timeout: 30_000 };

/** `status check: message` of each, the subject left out. */
async function diagnosis(
  values: Readonly<Record<string, unknown>>,
  patience = { waitMs: 200, timeoutMs: 500 },
): Promise<string[]> {
  const options = resolveOptions([{ values: { model: "m", ...values }, originOf: (option) => option }]);
  const transport = await createTransport(options.transport, options);
  const checks: Check[] = [];
  for await (const check of diagnose({ options, transport, patience, maxPods: 5 })) checks.push(check);
  return checks.map(({ status, check, message }) => `${status} ${check}: ${message}`);
}

/** The lines that are no `ok` and not skipped. */
async function problems(values: Readonly<Record<string, unknown>>): Promise<string[]> {
  return (await diagnosis(values)).filter((line) => !/^(ok|skipped) /.test(line));
}

async function httpServer(listener: RequestListener, use: (port: number) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Publishes all the time, so that whoever waits for an event gets one. */
async function busyEngine(use: (endpoint: string, replayEndpoint: string) => Promise<void>): Promise<void> {
  await using pod = await engine(zmtp(), "ns/a");
  let prompts = 0;
  const timer = setInterval(() => {
    prompts++;
    pod.request({ tokens: Array.from({ length: 32 }, (_, at) => prompts * 100 + at) });
  }, 10);
  try {
    const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: "" }] = pod.ranks;
    await use(endpoint, replayEndpoint!);
  } finally {
    clearInterval(timer);
  }
}

test("doctor: nothing is wrong with an engine that works", limit, () =>
  busyEngine(async (endpoint, replayEndpoint) => {
    const lines = await diagnosis({ endpoints: [{ endpoint, replayEndpoint }] }, { waitMs: 5_000, timeoutMs: 5_000 });
    assert.deepEqual(
      lines.map((line) => line.replace(/\d+/g, "#")),
      [
        "ok configuration: # endpoints are named",
        "skipped cluster: not asked for (--kubernetes)",
        "ok reachable: tcp://#.#.#.#:# takes connections",
        "ok reachable: tcp://#.#.#.#:# takes connections",
        "ok handshake: tcp://#.#.#.#:# is a PUB socket that lets us in",
        "ok events: batch # with # events, events as maps: vLLM #.# or later",
        "ok replay: tcp://#.#.#.#:# repeats # batches, # to #, with the topic in each answer: vLLM #.# or later",
        "skipped tokenizer: not configured: queries name token ids",
      ],
    );
  }),
);

test("doctor: an engine that is down, or a wrong port", limit, async () => {
  const [first] = await problems({ endpoints: [{ endpoint: "tcp://127.0.0.1:1" }] });
  assert.equal(
    first,
    "fail reachable: tcp://127.0.0.1:1 refuses connections: is the engine up, and is this the port of its --kv-events-config?",
  );
});

test("doctor: the port of the engine's HTTP server instead of its events", limit, () =>
  httpServer(
    (_request, response) => response.end(),
    async (port) => {
      const [first] = await problems({ endpoints: [{ endpoint: `tcp://127.0.0.1:${port}` }] });
      assert.match(first!, /^fail handshake: zmtp tcp:\/\/127\.0\.0\.1:\d+: .*(HTTP|ZMTP)/);
    },
  ),
);

test("doctor: an engine without a replay endpoint", limit, () =>
  busyEngine(async (endpoint) => {
    assert.deepEqual(await problems({ endpoints: [{ endpoint }] }), [
      "warn replay: no replay endpoint: after a lost connection all of its blocks are forgotten; give vLLM a replay_endpoint in --kv-events-config and name it",
    ]);
  }),
);

test("doctor: a replay endpoint that never answers", limit, () =>
  busyEngine(async (endpoint) => {
    await using router = zmtp().router();
    const replayEndpoint = await router.bind("tcp://127.0.0.1:0");
    assert.deepEqual(await problems({ endpoints: [{ endpoint, replayEndpoint }] }), [
      `fail replay: ${replayEndpoint} lets us in and does not answer within 500 ms: is it the engine's replay_endpoint, and not another ROUTER?`,
    ]);
  }),
);

test("doctor: the two ports of an engine swapped", limit, () =>
  busyEngine(async (endpoint, replayEndpoint) => {
    const [handshake, replay] = await problems({ endpoints: [{ endpoint: replayEndpoint, replayEndpoint: endpoint }] });
    assert.match(handshake!, /^fail handshake: .*ROUTER/);
    assert.match(replay!, /^fail replay: .*PUB/);
  }),
);

test("doctor: an engine that asks for keys", limit, async () => {
  const { publicKey, secretKey } = generateCurveKeys();
  const server = zmtp({ security: { mechanism: "CURVE", role: "server", secretKey, publicKey } as never });
  await using publisher = server.publisher();
  const endpoint = await publisher.bind("tcp://127.0.0.1:0");
  const [first] = await problems({ endpoints: [{ endpoint }] });
  assert.match(first!, /^fail handshake: .*CURVE/);
});

test("doctor: an idle engine, which is no fault", limit, async () => {
  await using pod = await engine(zmtp(), "ns/a");
  const [{ endpoint, replayEndpoint } = { endpoint: "" }] = pod.ranks;
  assert.deepEqual(await problems({ endpoints: [{ endpoint, replayEndpoint }] }), [
    "warn events: no event within 200 ms: an idle engine publishes none; send it a request meanwhile, or wait longer with --wait",
  ]);
});

for (const [what, change, problem] of [
  ["that is the engine's own", (token: number) => token, null],
  [
    "of another model",
    (token: number) => token + 1,
    /^fail tokenizer: .* gives other tokens than the engine from the 1th of \d+ on/,
  ],
] as const) {
  test(`doctor: a tokenizer ${what}`, limit, () =>
    httpServer(
      async (request, response) => {
        const body = (await json(request)) as { readonly tokens?: readonly number[]; readonly prompt?: string };
        const tokens = (body.prompt ?? "").split(" ").map((token) => change(Number(token)));
        const answer =
          body.tokens === undefined
            ? { tokens, count: tokens.length, max_model_len: 4096 }
            : { prompt: body.tokens.join(" ") };
        response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
      },
      (port) =>
        busyEngine(async (endpoint, replayEndpoint) => {
          const tokenizer = { tokenizerType: "remote", tokenizerEndpoint: `http://127.0.0.1:${port}` };
          const found = await problems({ endpoints: [{ endpoint, replayEndpoint }], ...tokenizer });
          if (problem === null) assert.deepEqual(found, []);
          else assert.match(found[0]!, problem);
        }),
    ),
  );
}

/** A cluster with a pod that has no model, and a kubeconfig for it. */
async function cluster(use: (api: KubeApi, values: Readonly<Record<string, unknown>>) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "doctor-"));
  try {
    await using api = new KubeApi();
    await api.listen();
    const kubeconfig = join(folder, "config");
    await writeFile(kubeconfig, api.kubeconfig());
    const labels = { ...ELIGIBLE, "model.aibrix.ai/name": "" };
    api.pods.create("default", { metadata: { name: "a", labels }, status: { phase: "Running", podIP: "127.0.0.1" } });
    await use(api, { kubernetes: true, kubeconfig });
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("doctor: a pod that is not followed, and why", limit, () =>
  cluster(async (_api, values) => {
    assert.deepEqual((await problems(values)).slice(0, 2), [
      "fail pods: 0 pods are followed, 1 are not",
      'warn pods: neither label nor annotation model.aibrix.ai/name names a model: set one of them (a name with a "/" only fits the annotation)',
    ]);
  }),
);

test("doctor: a service account that may not list pods", limit, () =>
  cluster(async (api, values) => {
    api.faults.listStatus = 403;
    assert.equal(
      (await problems(values))[0],
      'fail permissions: pods may not be listed: bind a role with get, list and watch on pods (/api/v1/namespaces/default/pods: 403 pods is forbidden: User "tester" cannot list resource "pods")',
    );
  }),
);

test("doctor: a cluster that does not answer", limit, () =>
  cluster(async (api, values) => {
    api.faults.hang = true;
    assert.equal(
      (await problems(values))[0],
      "fail cluster: the API server does not answer within 500 ms; check its address in the kubeconfig",
    );
  }),
);
