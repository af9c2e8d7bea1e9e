import assert from "node:assert/strict";
import { test } from "node:test";
import { podsOf, staticPods } from "../../src/discovery/static.ts";
import { KVEventSyncError } from "../../src/errors.ts";
import { ListenerLog } from "./support.ts";

const refuses = (words: RegExp) => (error: unknown) => error instanceof KVEventSyncError && words.test(error.message);

test("an endpoint is a pod, named by its address", () => {
  const endpoint = "tcp://10.0.0.1:5557";
  assert.deepEqual(podsOf([{ endpoint, replayEndpoint: "tcp://10.0.0.1:5558", model: "m", blockSize: 16 }]), [
    {
      key: "10.0.0.1:5557",
      modelName: "m",
      loraId: -1,
      blockSize: 16,
      routingGroup: "default",
      topic: "",
      ranks: [{ rank: 0, endpoint, replayEndpoint: "tcp://10.0.0.1:5558" }],
    },
  ]);
});

test("ranks count ports up, IPv6 included", () => {
  const [pod] = podsOf([
    { endpoint: "tcp://[::1]:5557", replayEndpoint: "tcp://[::1]:5559", model: "m", name: "ns/a", ranks: 2, loraId: 4 },
  ]);
  assert.equal(pod?.key, "ns/a");
  assert.deepEqual(pod.ranks, [
    { rank: 0, endpoint: "tcp://[::1]:5557", replayEndpoint: "tcp://[::1]:5559" },
    { rank: 1, endpoint: "tcp://[::1]:5558", replayEndpoint: "tcp://[::1]:5560" },
  ]);
});

for (const [endpoint, words] of [
  ["10.0.0.1:5557", /scheme:\/\/address/],
  ["tcp://10.0.0.1", /host:port/],
  ["tcp://*:5557", /host:port/],
  ["tcp://10.0.0.1:0", /from 1 to 65535/],
  ["tcp://10.0.0.1:70000", /from 1 to 65535/],
  ["tcp://::1:5557", /brackets/],
  ["", /scheme/],
] as const) {
  test(`the endpoint "${endpoint}" is refused`, () => {
    assert.throws(() => podsOf([{ endpoint, model: "m" }]), refuses(words));
    assert.throws(() => podsOf([{ endpoint: "tcp://a:1", replayEndpoint: endpoint, model: "m" }]), refuses(words));
  });
}

test("what cannot be is refused: no model, ranks below 1, ports that collide or end, names that are taken", () => {
  const endpoint = "tcp://a:5557";
  assert.throws(() => podsOf([{ endpoint, model: "" }]), refuses(/model is empty/));
  assert.throws(() => podsOf([{ endpoint, model: "m", ranks: 0 }]), refuses(/ranks is 0/));
  assert.throws(
    () => podsOf([{ endpoint, replayEndpoint: "tcp://a:5558", model: "m", ranks: 2 }]),
    refuses(/tcp:\/\/a:5558: two sockets/),
  );
  assert.throws(() => podsOf([{ endpoint: "tcp://a:65535", model: "m", ranks: 2 }]), refuses(/65536/));
  assert.throws(() => podsOf([{ endpoint: "ipc:///tmp/x", model: "m", ranks: 2 }]), refuses(/data-parallel/));
  assert.throws(
    () =>
      podsOf([
        { endpoint, model: "m" },
        { endpoint, model: "m" },
      ]),
    refuses(/is there already/),
  );
});

test("static pods are announced at the start", async () => {
  const log = new ListenerLog();
  await using discovery = staticPods(podsOf([{ endpoint: "tcp://a:1", model: "m" }]));
  await discovery.start(log);
  assert.deepEqual(log.lines, ["+a:1 0"]);
});
