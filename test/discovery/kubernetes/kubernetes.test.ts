import assert from "node:assert/strict";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Clock, systemClock } from "../../../src/clock.ts";
import type { PodListener } from "../../../src/discovery/discovery.ts";
import {
  findPods,
  type KubernetesOptions,
  type KubernetesPods,
  kubernetesPods,
} from "../../../src/discovery/kubernetes.ts";
import { until } from "../../interop/support/until.ts";
import { KubeApi } from "../../support/kube-api/server.ts";
import { ELIGIBLE, PodLog } from "./pods.ts";

/** Quick enough that what is repeated is soon repeated, slow enough that a storm shows. */
const TIMES = { retryMinMs: 4, retryMaxMs: 16, idleTimeoutMs: 60_000, random: () => 0.5 };

interface Bench {
  readonly api: KubeApi;
  readonly log: PodLog;
  /** `trouble: message`. */
  readonly troubles: string[];
  readonly options: KubernetesOptions;
  readonly discovery: KubernetesPods;
  readonly run: (name: string, ip?: string) => void;
}

/** A server with the pod `a`, and a discovery that has not been started. */
async function bench(use: (bench: Bench) => Promise<void>, more: KubernetesOptions = {}): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "kube-"));
  try {
    await using api = new KubeApi();
    await api.listen();
    const kubeconfig = join(folder, "config");
    await writeFile(kubeconfig, api.kubeconfig());
    const troubles: string[] = [];
    const observer = { onTrouble: (trouble: string, error: Error) => troubles.push(`${trouble}: ${error.message}`) };
    const options = { kubeconfig, ...TIMES, observer, ...more };
    const run = (name: string, ip = "10.0.0.1"): void => {
      api.pods.create("default", { metadata: { name, labels: ELIGIBLE }, status: { phase: "Running", podIP: ip } });
    };
    run("a");
    await using discovery = kubernetesPods(options);
    await use({ api, log: new PodLog(), troubles, options, discovery, run });
  } finally {
    await rm(folder, { recursive: true });
  }
}

function known(log: PodLog, ...names: string[]): Promise<unknown> {
  const wanted = names.map((name) => `default/${name}`).join();
  return until(
    "the pods that are known",
    () => [...log.pods.keys()].sort().join(),
    (keys) => keys === wanted,
    10_000,
  );
}

function seen(what: string, count: () => number, least: number): Promise<unknown> {
  return until(what, count, (found) => found >= least, 10_000);
}

const watching = ({ watches }: KubeApi): Promise<unknown> => seen("a watch", () => watches.size, 1);

test("kubernetes: announces the pods of the first list, and then what changes", () =>
  bench(async ({ api, log, discovery, run }) => {
    await discovery.start(log);
    assert.deepEqual(log.lines, ["+default/a"]);
    run("b");
    await known(log, "a", "b");
    api.pods.delete("default", "a");
    await known(log, "b");
    assert.equal(api.lists, 1);
  }));

test("kubernetes: asks for the label, the namespace and bookmarks, in lists and in watches", () =>
  bench(
    async ({ api, log, discovery }) => {
      await discovery.start(log);
      await watching(api);
      for (const { url } of api.requests) {
        assert.equal(url.pathname, "/api/v1/namespaces/engines/pods");
        assert.equal(url.searchParams.get("labelSelector"), "model.aibrix.ai/kv-events-enabled=true");
      }
      const watch = api.requests.at(-1)!.url.searchParams;
      assert.equal(watch.get("allowWatchBookmarks"), "true");
      assert.equal(watch.get("timeoutSeconds"), "450");
    },
    { namespace: "engines" },
  ));

test("kubernetes: follows all namespaces where it is told so", () =>
  bench(
    async ({ api, log, discovery }) => {
      api.pods.create("other", {
        metadata: { name: "b", labels: ELIGIBLE },
        status: { phase: "Running", podIP: "10.0.0.2" },
      });
      await discovery.start(log);
      assert.deepEqual(log.lines, ["+default/a", "+other/b"]);
    },
    { namespace: "*" },
  ));

test("kubernetes: reads a list page by page", () =>
  bench(async ({ api, log, discovery, run }) => {
    for (const name of ["b", "c", "d", "e"]) run(name);
    api.maxPage = 2;
    await discovery.start(log);
    await known(log, "a", "b", "c", "d", "e");
    assert.equal(api.requests.filter(({ url }) => url.searchParams.has("limit")).length, 3);
  }));

test("kubernetes: a continue token that has expired begins the list anew", () =>
  bench(async ({ api, log, troubles, discovery, run }) => {
    for (const name of ["b", "c"]) run(name);
    api.maxPage = 2;
    api.faults.continueExpired = true;
    await discovery.start(log);
    await known(log, "a", "b", "c");
    assert.match(troubles.join(), /^list: .*410 The provided continue parameter is too old$/);
  }));

for (const [what, faults, trouble] of [
  ["is forbidden", { listStatus: 403 }, /^list: .*403 pods is forbidden: User "tester" cannot list resource "pods"$/],
  ["fails", { listStatus: 500 }, /^list: .*500 the server is ill$/],
  ["is reset", { reset: true }, /^list: (socket hang up|read ECONNRESET)$/],
] as const) {
  test(`kubernetes: a list that ${what} is tried again`, () =>
    bench(async ({ api, log, troubles, discovery }) => {
      api.faults = { ...faults };
      const started = discovery.start(log);
      await seen("three attempts", () => troubles.length, 3);
      for (const each of troubles) assert.match(each, trouble);
      api.faults = {};
      await started;
      await known(log, "a");
    }));
}

test("kubernetes: a list that is never answered is given up and tried again", () =>
  bench(
    async ({ api, log, troubles, discovery }) => {
      api.faults.hang = true;
      const started = discovery.start(log);
      await seen("two attempts", () => troubles.length, 2);
      assert.equal(troubles[0], "list: a page of the list did not come within 50 ms");
      api.faults = {};
      await started;
      await known(log, "a");
    },
    { listTimeoutMs: 50 },
  ));

test("kubernetes: a watch that the server ends is begun anew from where it was, without a list", () =>
  bench(async ({ api, log, troubles, discovery, run }) => {
    await discovery.start(log);
    await watching(api);
    run("b");
    await known(log, "a", "b");
    const version = api.pods.version;
    api.watches.end();
    await seen("another watch", () => api.watchRequests, 2);
    await watching(api);
    run("c");
    await known(log, "a", "b", "c");
    assert.equal(
      api.requests.findLast(({ url }) => url.searchParams.has("watch"))?.url.searchParams.get("resourceVersion"),
      String(version),
    );
    assert.deepEqual([api.lists, troubles], [1, []]);
  }));

test("kubernetes: a bookmark is where the next watch goes on", () =>
  bench(async ({ api, log, discovery }) => {
    await discovery.start(log);
    await watching(api);
    api.pods.create("other", { metadata: { name: "elsewhere" } });
    api.watches.bookmark();
    api.pods.compact();
    api.watches.end();
    await seen("another watch", () => api.watchRequests, 2);
    await watching(api);
    assert.equal(api.lists, 1);
  }));

test("kubernetes: a watch whose connection breaks goes on from where it was", () =>
  bench(async ({ api, log, troubles, discovery, run }) => {
    await discovery.start(log);
    await watching(api);
    api.watches.reset();
    await seen("the trouble", () => troubles.length, 1);
    run("b");
    await known(log, "a", "b");
    assert.match(troubles[0]!, /^watch: /);
    assert.equal(api.lists, 1);
  }));

for (const [what, prepare] of [
  ["in the stream", (api: KubeApi) => (api.faults.watchMode = "expired")],
  ["as the answer to a watch", (api: KubeApi) => (api.faults.watchStatus = 410)],
  ["since the version was compacted", (api: KubeApi) => api.pods.compact()],
] as const) {
  test(`kubernetes: 410 Gone ${what} leads to a new list, and who went meanwhile leaves a tombstone`, () =>
    bench(async ({ api, log, troubles, discovery, run }) => {
      run("b");
      await discovery.start(log);
      await watching(api);
      api.faults.watchStatus = 503;
      api.watches.end();
      await seen("watches that fail", () => troubles.length, 2);
      api.pods.delete("default", "b");
      run("c");
      delete api.faults.watchStatus;
      prepare(api);
      await seen("a second list", () => api.lists, 2);
      api.faults = {};
      await known(log, "a", "c");
      assert.ok(log.lines.includes("†default/b"), log.lines.join());
      assert.ok(troubles.some((trouble) => trouble.startsWith("expired: ")));
    }));
}

test("kubernetes: a server that ends each watch at once is asked ever more rarely", () => {
  const pauses: number[] = [];
  const hastened: Clock = {
    ...systemClock,
    setTimeout: (callback, ms) => {
      if (ms < 10_000) pauses.push(ms);
      return systemClock.setTimeout(callback, ms < 10_000 ? 0 : ms);
    },
  };
  return bench(
    async ({ api, log, discovery }) => {
      api.faults.watchMode = "empty";
      await discovery.start(log);
      await seen("watches", () => api.watchRequests, 6);
      assert.deepEqual(pauses.slice(0, 5), [750, 1_500, 3_000, 6_000, 6_000]);
      assert.equal(api.lists, 1);
    },
    { retryMinMs: 1_000, retryMaxMs: 8_000, clock: hastened },
  );
});

test("kubernetes: a connection on which nothing comes is given up, and changes are not missed", () =>
  bench(
    async ({ api, log, troubles, discovery, run }) => {
      api.faults.watchMode = "silent";
      await discovery.start(log);
      await seen("the trouble", () => troubles.length, 1);
      assert.equal(troubles[0], "idle: nothing came for 60 ms, not even a bookmark: the connection is taken for dead");
      run("b");
      api.faults = {};
      await known(log, "a", "b");
    },
    { idleTimeoutMs: 60 },
  ));

for (const mode of ["error", "garbage"] as const) {
  test(`kubernetes: a watch that brings ${mode === "error" ? "an error" : "what is no JSON"} is begun anew`, () =>
    bench(async ({ api, log, troubles, discovery, run }) => {
      api.faults.watchMode = mode;
      await discovery.start(log);
      await seen("troubles", () => troubles.length, 2);
      assert.match(
        troubles[0]!,
        mode === "error" ? /^watch: the watch ended with status 500/ : /^watch: the watch brought "this is no JSON"/,
      );
      api.faults = {};
      run("b");
      await known(log, "a", "b");
    }));
}

test("kubernetes: a listener that throws costs that call alone", () =>
  bench(async ({ log, troubles, discovery, run }) => {
    const listener: PodListener = {
      onPodAdd: (pod) => {
        if (pod.key === "default/a") throw new Error("no room");
        log.onPodAdd(pod);
      },
      onPodUpdate: () => {},
      onPodDelete: () => {},
    };
    run("b");
    await discovery.start(listener);
    run("c");
    await known(log, "b", "c");
    assert.deepEqual(troubles, ["listener: no room"]);
  }));

test("kubernetes: a token that cannot be read now is read again, and a wrong one is tried again", () =>
  bench(async ({ api, log, troubles, options }) => {
    const tokenFile = `${options.kubeconfig}.token`;
    const config = JSON.parse(api.kubeconfig());
    config.users[0].user = { "auth-provider": { name: "tokenFile", config: { tokenFile } } };
    await writeFile(options.kubeconfig!, JSON.stringify(config));
    api.token = "right";
    await using discovery = kubernetesPods(options);
    const started = discovery.start(log);
    await seen("troubles", () => troubles.length, 2);
    assert.match(troubles[0]!, /^list: .*(ENOENT|401)/);
    // At once, as a kubelet does it: a token that is read while it is empty is kept for a minute.
    await writeFile(`${tokenFile}.new`, "right");
    await rename(`${tokenFile}.new`, tokenFile);
    await started;
    await known(log, "a");
  }));

for (const [when, faults] of [
  ["a list that fails", { listStatus: 500 }],
  ["a list that hangs", { hang: true }],
  ["a watch that fails", { watchStatus: 500 }],
  ["a watch that is silent", { watchMode: "silent" }],
] as const) {
  test(`kubernetes: disposing ends ${when}, in the pause too, and nothing is told any more`, () =>
    bench(
      async ({ api, log, troubles, discovery, run }) => {
        api.faults = { ...faults };
        const started = discovery.start(log);
        await seen("a request", () => api.requests.length, 1);
        await discovery[Symbol.asyncDispose]();
        await discovery[Symbol.asyncDispose]();
        await started;
        const lines = [log.lines.length, troubles.length];
        api.faults = {};
        run("late");
        await discovery[Symbol.asyncDispose]();
        assert.deepEqual([log.lines.length, troubles.length], lines);
        await seen("all watches closed", () => (api.watches.size === 0 ? 1 : 0), 1);
      },
      { retryMinMs: 60_000, retryMaxMs: 60_000 },
    ));
}

test("kubernetes: a start that is given up rejects with the signal's reason", () =>
  bench(async ({ api, log, discovery }) => {
    api.faults.hang = true;
    const signal = AbortSignal.abort(new Error("given up"));
    await assert.rejects(discovery.start(log, { signal }), /given up/);
    const controller = new AbortController();
    const started = discovery.start(log, { signal: controller.signal });
    await seen("a request", () => api.requests.length, 1);
    controller.abort(new Error("given up later"));
    await assert.rejects(started, /given up later/);
  }));

test("kubernetes: what cannot be configured is told with its remedy", () =>
  bench(async ({ log, options }) => {
    const start = (more: KubernetesOptions) => kubernetesPods({ ...options, ...more }).start(log);
    await assert.rejects(start({ kubeconfig: "/does/not/exist" }), {
      code: "invalid-option",
      message: /^kubernetes: kubeconfig \/does\/not\/exist cannot be read: ENOENT/,
    });
    await assert.rejects(start({ context: "prod" }), {
      code: "invalid-option",
      message: 'kubernetes: context "prod" of the kubeconfig names no cluster: use one of test',
    });
    assert.throws(() => kubernetesPods({ port: 0 }), { message: "kubernetes: port is 0; use a port from 1 to 65535" });
    assert.throws(() => kubernetesPods({ port: 5, replayPort: 5 }), { code: "invalid-option" });
    assert.throws(() => kubernetesPods({ idleTimeoutMs: 0 }), { code: "invalid-option" });
  }));

test("kubernetes: findPods explains each pod that is not followed, those without the label too", () =>
  bench(async ({ api, options }) => {
    api.pods.create("default", { metadata: { name: "plain" }, status: { phase: "Running", podIP: "10.0.0.9" } });
    const found = await findPods(options, AbortSignal.timeout(10_000));
    assert.deepEqual([found.server, found.namespace], [api.url, "default"]);
    assert.deepEqual(
      found.eligible.map(({ key }) => key),
      ["default/a"],
    );
    assert.deepEqual(found.ineligible, [
      { key: "default/plain", reason: 'label model.aibrix.ai/kv-events-enabled is missing: set it to "true"' },
    ]);
  }));
