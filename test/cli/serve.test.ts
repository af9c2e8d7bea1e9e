import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { stringify } from "yaml";
import { serveOptions } from "../../src/cli/serve.ts";
import { KVEventSyncError } from "../../src/errors.ts";
import { environmentSource } from "../../src/options.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { chat, engine } from "../support/pipeline.ts";
import { type RunningCommand, run } from "./support.ts";

const limit = { timeout: 60_000 };
const EMPTY = { endpoint: [], replayEndpoint: [], model: [] };

/** A daemon that listens. */
async function serve(
  context: TestContext,
  flags: readonly string[],
): Promise<RunningCommand & { readonly url: string }> {
  const daemon = run(context, ["serve", "--port", "0", ...flags]);
  const { url } = JSON.parse(await daemon.errorLine(/listening on/));
  return { ...daemon, url };
}

interface Listener {
  readonly endpoint: string;
  readonly status: string;
  readonly last_error?: string;
  readonly last_sequence?: number | null;
}

async function listeners(url: string): Promise<Listener[]> {
  const workers = (await (await fetch(`${url}/workers`)).json()) as { readonly listeners: Record<string, Listener> }[];
  return workers.flatMap((worker) => Object.values(worker.listeners));
}

/** Asks until it is so: the daemon is another process. */
async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve));
}

test("the n-th replay endpoint and model belong to the n-th endpoint, a single model to all", () => {
  const flags = { endpoint: ["tcp://a:1", "tcp://b:1"], replayEndpoint: ["tcp://a:2", "tcp://b:2"] };
  const of = (model: readonly string[]) => serveOptions({ ...flags, model }, environmentSource({}));
  assert.deepEqual(of(["m"]).endpoints, [
    { endpoint: "tcp://a:1", replayEndpoint: "tcp://a:2", model: "m" },
    { endpoint: "tcp://b:1", replayEndpoint: "tcp://b:2", model: "m" },
  ]);
  assert.deepEqual(
    of(["m", "n"]).endpoints.map(({ model }) => model),
    ["m", "n"],
  );
});

test("flags that do not pair are refused by name", () => {
  for (const [flags, words] of [
    [{ ...EMPTY, replayEndpoint: ["tcp://a:2"] }, /--replay-endpoint is given 1 times for 0/],
    [{ endpoint: ["tcp://a:1"], replayEndpoint: ["x", "y"], model: ["m"] }, /--replay-endpoint is given 2 times for 1/],
    [
      { endpoint: ["tcp://a:1", "tcp://b:1"], replayEndpoint: ["x"], model: ["m"] },
      /--replay-endpoint is given 1 times for 2/,
    ],
    [{ ...EMPTY, endpoint: ["tcp://a:1"], model: ["m", "n"] }, /--model is given 2 times for 1/],
    [{ ...EMPTY, port: Number.NaN }, /--port is NaN/],
    [{ ...EMPTY, blockSize: 0 }, /--block-size is 0/],
  ] as const) {
    assert.throws(
      () => serveOptions(flags, environmentSource({})),
      (error) => error instanceof KVEventSyncError && words.test(error.message),
    );
  }
});

test("serve follows an engine, answers, and ends cleanly at a signal", limit, async (context) => {
  const pod = await engine(zmtp(), "ns/a");
  context.after(() => pod.stop());
  chat(pod, 5);
  const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: "" }] = pod.ranks;
  const { url, child, end } = await serve(context, [
    "--endpoint",
    endpoint,
    "--replay-endpoint",
    replayEndpoint!,
    "--model",
    "m",
  ]);
  await eventually(async () => (await listeners(url))[0]?.last_sequence === pod.nextSequence() - 1);
  const tokens = [...[...pod.pool()][0]!.prefixTokens()];
  const body = JSON.stringify({ model_name: "m", token_ids: tokens });
  const answer = await fetch(`${url}/query`, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { scores } = (await answer.json()) as { readonly scores: Record<string, Record<string, number>> };
  assert.deepEqual(Object.values(scores), [{ 0: tokens.length }]);
  child.kill("SIGTERM");
  const { code, lines } = await end();
  assert.deepEqual([code, lines], [0, []]);
});

test(
  "an endpoint where nobody is, and a port that speaks HTTP, are reported and disturb nobody",
  limit,
  async (context) => {
    const web: Server = createServer((_request, response) => response.end("hello"));
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
    // What speaks first is known at once for what it is; an HTTP server waits for a request, and answers our greeting.
    const { port } = web.address() as { readonly port: number };
    const pod = await engine(zmtp(), "ns/a");
    context.after(async () => {
      web.closeAllConnections();
      web.close();
      await pod.stop();
    });
    chat(pod, 3);
    const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: "" }] = pod.ranks;
    const config = {
      endpoints: [
        { endpoint, replayEndpoint },
        { endpoint: `tcp://127.0.0.1:${port}` },
        { endpoint: "tcp://127.0.0.1:1" },
      ],
    };
    const folder = mkdtempSync(join(tmpdir(), "serve-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "config.yaml");
    writeFileSync(file, stringify(config));
    const { url } = await serve(context, ["--config", file, "--model", "m"]);
    const byEndpoint = async (wanted: string): Promise<Listener | undefined> =>
      (await listeners(url)).find((each) => each.endpoint === wanted);
    await eventually(async () => (await byEndpoint("tcp://127.0.0.1:1"))?.status === "failed");
    assert.match(
      (await byEndpoint("tcp://127.0.0.1:1"))?.last_error ?? "",
      /tcp:\/\/127\.0\.0\.1:1: cannot connect \(ECONNREFUSED\)/,
    );
    await eventually(async () => (await byEndpoint(`tcp://127.0.0.1:${port}`))?.status === "failed");
    assert.match((await byEndpoint(`tcp://127.0.0.1:${port}`))?.last_error ?? "", /ZMTP|0x48|greeting/i);
    await eventually(async () => (await byEndpoint(endpoint))?.last_sequence === pod.nextSequence() - 1);
  },
);

test("a second signal ends serve at once, whoever is still being answered", limit, async (context) => {
  const { url, child, errorLine, end } = await serve(context, []);
  // A request without its end, for which the server waits before it closes.
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  context.after(() => socket.destroy());
  const headers = ["host: a", "content-type: application/json", "content-length: 9", "expect: 100-continue"];
  socket.write(`POST /query HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
  await once(socket, "data");
  socket.on("error", () => {});
  child.kill("SIGTERM");
  await errorLine(/stopping/);
  child.kill("SIGINT");
  assert.equal((await end()).code, 130);
});

test("a daemon without pods is ready at once, one with pods when they are caught up with", limit, async (context) => {
  const status = async (url: string): Promise<number> => (await fetch(`${url}/readyz`)).status;
  assert.equal(await status((await serve(context, [])).url), 200);
  const { url } = await serve(context, ["--endpoint", "tcp://127.0.0.1:1", "--model", "m"]);
  await eventually(async () => (await status(url)) === 200);
  assert.equal((await listeners(url))[0]?.status, "failed");
});

test("a port that is taken ends serve with one line", limit, async (context) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  context.after(() => taken.close());
  const { port } = taken.address() as { readonly port: number };
  const { code, stderr } = await run(context, ["serve", "--port", String(port)]).end();
  assert.equal(code, 1);
  assert.match(
    stderr,
    new RegExp(`^kv-event-sync: http://127\\.0\\.0\\.1:${port}: cannot listen .*EADDRINUSE.*--port$`),
  );
});

test("the environment chooses the transport", limit, async (context) => {
  const { code, stderr } = await run(context, ["serve"], { KV_TRANSPORT: "pigeon" }).end();
  assert.equal(code, 1);
  assert.match(stderr, /KV_TRANSPORT is "pigeon": .*"zmtp"/);
});

test("what speaks no HTTP at the API's port disturbs nothing", limit, async (context) => {
  const { url } = await serve(context, []);
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  await new Promise<void>((resolve) => {
    socket.on("close", () => resolve());
    socket.on("data", () => {});
    socket.write(Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f]));
  });
  assert.equal((await fetch(`${url}/livez`)).status, 200);
});
