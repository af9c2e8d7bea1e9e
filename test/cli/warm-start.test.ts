import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { serveOptions } from "../../src/cli/serve.ts";
import { environmentSource } from "../../src/options.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { chat, engine } from "../support/pipeline.ts";
import { type RunningCommand, run } from "./support.ts";

const limit = { timeout: 60_000 };
const EMPTY = { endpoint: [], replayEndpoint: [], model: [] };

test("flags and variables say from what a start goes on", () => {
  const ofFlags = serveOptions(
    {
      ...EMPTY,
      snapshot: "/var/lib/kv",
      snapshotInterval: "1m30s",
      peer: ["http://a:8090", "http://b:8090"],
      restoreTimeoutMs: 5,
      dump: false,
    },
    environmentSource({}),
  );
  const ofVariables = serveOptions(
    { ...EMPTY, dump: true },
    environmentSource({
      KV_SNAPSHOT: "/var/lib/kv",
      KV_SNAPSHOT_INTERVAL: "1m30s",
      KV_PEERS: "http://a:8090, http://b:8090",
      KV_RESTORE_TIMEOUT: "5ms",
      KV_DUMP: "off",
    }),
  );
  for (const { warmStart, dumpEnabled } of [ofFlags, ofVariables]) {
    assert.deepEqual(warmStart, {
      snapshotPath: "/var/lib/kv",
      snapshotIntervalMs: 90_000,
      peers: ["http://a:8090", "http://b:8090"],
      restoreTimeoutMs: 5,
    });
    assert.equal(dumpEnabled, false);
  }
  const { warmStart, dumpEnabled } = serveOptions(EMPTY, environmentSource({}));
  assert.deepEqual([warmStart, dumpEnabled], [{}, true]);
});

test("what says it wrongly is refused by name", () => {
  for (const [flags, environment, words] of [
    [{ snapshotInterval: "soon" }, {}, /^--snapshot-interval is "soon": use a duration such as/],
    [{}, { KV_SNAPSHOT_INTERVAL: "30" }, /^KV_SNAPSHOT_INTERVAL is "30": use a duration such as/],
    [{ peer: ["a:8090"] }, {}, /^peer is "a:8090": use a daemon's URL/],
    [{}, { KV_DUMP: "no" }, /^KV_DUMP is "no": use on or off/],
  ] as const) {
    assert.throws(() => serveOptions({ ...EMPTY, ...flags }, environmentSource(environment)), { message: words });
  }
});

/** A daemon that listens, and is ready. */
async function serve(
  context: TestContext,
  flags: readonly string[],
): Promise<RunningCommand & { readonly url: string }> {
  const daemon = run(context, ["serve", "--port", "0", ...flags]);
  const { url } = JSON.parse(await daemon.errorLine(/listening on/));
  while ((await fetch(`${url}/readyz`)).status !== 200) await new Promise((resolve) => setImmediate(resolve));
  return { ...daemon, url };
}

async function batchesOf(url: string): Promise<number | undefined> {
  const workers = (await (await fetch(`${url}/workers`)).json()) as {
    readonly listeners: Record<string, { readonly batches: number }>;
  }[];
  return workers[0]?.listeners[0]?.batches;
}

test("a daemon that is started again, and one that has a peer, know at once what is known", limit, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "kv-event-sync-"));
  const pod = await engine(zmtp(), "ns/a");
  context.after(async () => {
    await pod.stop();
    await rm(folder, { recursive: true, force: true });
  });
  chat(pod, 6);
  const { endpoint, replayEndpoint } = pod.ranks[0]!;
  const pods = ["--endpoint", endpoint, "--replay-endpoint", replayEndpoint!, "--model", "m"];
  const snapshot = join(folder, "snapshot");
  const first = await serve(context, [...pods, "--snapshot", snapshot]);
  assert.equal(await batchesOf(first.url), pod.nextSequence());
  first.child.kill("SIGTERM");
  assert.equal((await first.end()).code, 0);
  // Who reads it knows the seed of the hashes.
  assert.equal((await stat(snapshot)).mode & 0o777, 0o600);
  const second = await serve(context, [...pods, "--snapshot", snapshot]);
  assert.equal(await batchesOf(second.url), 0);
  const third = await serve(context, [...pods, "--peer", second.url, "--no-dump"]);
  assert.equal(await batchesOf(third.url), 0);
  assert.equal((await fetch(`${third.url}/dump`)).status, 503);
  const body = JSON.stringify({ model_name: "m", token_ids: [...[...pod.pool()][0]!.prefixTokens()] });
  const answers = await Promise.all(
    [second, third].map(async ({ url }) => {
      const init = { method: "POST", headers: { "content-type": "application/json" }, body };
      const { frequencies } = (await (await fetch(`${url}/query`, init)).json()) as { readonly frequencies: number[] };
      return frequencies;
    }),
  );
  assert.deepEqual(answers, [[1], [1]]);
});
