import assert from "node:assert/strict";
import { test } from "node:test";
import type { Discovery, Pod } from "../../src/discovery/discovery.ts";
import { ConfigurationError } from "../../src/errors.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { KVEventManager } from "../../src/sync/manager.ts";
import { memory } from "../../transports/memory/index.ts";

const POD: Pod = {
  key: "ns/a",
  modelName: "m",
  loraId: -1,
  routingGroup: "default",
  topic: "",
  ranks: [{ rank: 0, endpoint: "inproc://a" }],
};

function discovery(pods: readonly Pod[], log: string[], error?: Error): Discovery {
  return {
    async start(listener) {
      log.push("started");
      if (error !== undefined) throw error;
      for (const pod of pods) listener.onPodAdd(pod);
    },
    async [Symbol.asyncDispose]() {
      log.push("disposed");
    },
  };
}

function manager(discoveries: readonly Discovery[]): KVEventManager {
  return new KVEventManager({ transport: memory(), indexer: new SyncPrefixHashTable(), discoveries });
}

test("a manager starts its discoveries once, knows their pods, and disposes them", async () => {
  const log: string[] = [];
  const made = manager([discovery([POD], log), discovery([{ ...POD, key: "ns/b" }], log)]);
  await Promise.all([made.start(), made.start()]);
  assert.deepEqual(
    made.pods().map(({ pod: { key }, streams }) => [key, streams[0]?.status]),
    [
      ["ns/a", "connecting"],
      ["ns/b", "connecting"],
    ],
  );
  await made[Symbol.asyncDispose]();
  assert.deepEqual(log, ["started", "started", "disposed", "disposed"]);
});

test("a discovery that cannot start ends the others, and is the reason", async () => {
  const log: string[] = [];
  const made = manager([discovery([POD], log), discovery([], log, new Error("no cluster"))]);
  await assert.rejects(made.start(), /no cluster/);
  assert.deepEqual(log, ["started", "started", "disposed", "disposed"]);
  assert.deepEqual(made.pods(), []);
});

test("one key serves two models as two pods", async () => {
  const made = manager([]);
  made.onPodAdd(POD);
  made.onPodAdd({ ...POD, modelName: "other" });
  assert.equal(made.pods().length, 2);
  made.onPodDelete(POD);
  assert.deepEqual(
    made.pods().map(({ pod: { modelName } }) => modelName),
    ["other"],
  );
  await made.stop();
});

test("a rank that a pod names twice has one stream", async () => {
  const made = manager([]);
  made.onPodAdd({ ...POD, ranks: [...POD.ranks, { rank: 0, endpoint: "inproc://b" }] });
  assert.deepEqual(
    made.pods()[0]?.streams.map(({ endpoint }) => endpoint),
    ["inproc://a"],
  );
  await made.stop();
});

for (const [name, value] of [
  ["replayTimeoutMs", 0],
  ["replayIdleMs", 1.5],
  ["maxHeldBytes", -1],
  ["quietCheckMs", Number.NaN],
  ["replayRetryMaxMs", 10],
  ["quietCheckMaxMs", 10],
] as const) {
  test(`the option ${name} ${value} is refused by name`, () => {
    assert.throws(
      () => new KVEventManager({ transport: memory(), indexer: new SyncPrefixHashTable(), options: { [name]: value } }),
      (error) => error instanceof ConfigurationError && error.message.includes(name),
    );
  });
}
