import assert from "node:assert/strict";
import { test } from "node:test";
import { RegisteredPods, type Registration } from "../../src/discovery/registered.ts";
import { ConfigurationError, KVEventSyncError } from "../../src/errors.ts";
import { ListenerLog } from "./support.ts";

const first: Registration = { instanceId: "i", modelName: "m", endpoint: "tcp://a:1", blockSize: 16 };

const refuses = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof KVEventSyncError && error.code === code && words.test(error.message);

test("an instance is a pod, whose ranks come and go", async () => {
  const log = new ListenerLog();
  const registered = new RegisteredPods();
  await registered.start(log);
  registered.register(first);
  registered.register({ ...first, dpRank: 1, endpoint: "tcp://a:2", replayEndpoint: "tcp://a:4" });
  assert.deepEqual(log.last?.ranks, [
    { rank: 0, endpoint: "tcp://a:1" },
    { rank: 1, endpoint: "tcp://a:2", replayEndpoint: "tcp://a:4" },
  ]);
  assert.ok(registered.unregister({ instanceId: "i", modelName: "m", dpRank: 0 }));
  assert.ok(registered.unregister({ instanceId: "i", modelName: "m" }));
  assert.deepEqual(log.lines, ["+i 0", "~i 0,1", "~i 1", "-i 1"]);
});

test("what registered before the start is announced at the start, and after the end nothing is", async () => {
  const log = new ListenerLog();
  const registered = new RegisteredPods();
  registered.register(first);
  await registered.start(log);
  await registered[Symbol.asyncDispose]();
  registered.register({ ...first, instanceId: "j" });
  assert.deepEqual(log.lines, ["+i 0"]);
});

test("one instance may serve two models", () => {
  const registered = new RegisteredPods();
  registered.register(first);
  registered.register({ ...first, modelName: "other" });
  assert.ok(registered.unregister({ instanceId: "i", modelName: "other" }));
  assert.ok(registered.unregister({ instanceId: "i", modelName: "m" }));
});

test("what is not registered cannot be unregistered", () => {
  const registered = new RegisteredPods();
  registered.register(first);
  assert.ok(!registered.unregister({ instanceId: "j", modelName: "m" }));
  assert.ok(!registered.unregister({ instanceId: "i", modelName: "m", dpRank: 1 }));
  assert.ok(!registered.unregister({ instanceId: "i", modelName: "m", routingGroup: "other" }));
  assert.ok(registered.unregister({ instanceId: "i", modelName: "m", routingGroup: "default", dpRank: 0 }));
  assert.ok(!registered.unregister({ instanceId: "i", modelName: "m" }));
});

for (const [name, changes, code, words] of [
  ["the same rank again", {}, "conflict", /rank 0 is registered already/],
  ["another block size", { dpRank: 1, blockSize: 32 }, "conflict", /blockSize 16, not 32/],
  ["another group", { dpRank: 1, routingGroup: "g" }, "conflict", /routingGroup default, not g/],
  ["a bad endpoint", { instanceId: "j", endpoint: "a:1" }, "invalid-endpoint", /"a:1"/],
  ["a bad replay endpoint", { instanceId: "j", replayEndpoint: "tcp://b" }, "invalid-endpoint", /"tcp:\/\/b"/],
  ["one socket for both", { instanceId: "j", replayEndpoint: "tcp://a:1" }, "invalid-registration", /ROUTER/],
  ["a rank below 0", { instanceId: "j", dpRank: -1 }, "invalid-registration", /dpRank is -1/],
  ["a block size of 0", { instanceId: "j", blockSize: 0 }, "invalid-registration", /blockSize is 0/],
  ["no instance", { instanceId: "" }, "invalid-registration", /instanceId has 0 characters/],
  ["an endless model", { modelName: "m".repeat(600) }, "invalid-registration", /modelName has 600 characters/],
] as const) {
  test(`a registration with ${name} is refused, and changes nothing`, async () => {
    const log = new ListenerLog();
    const registered = new RegisteredPods();
    await registered.start(log);
    registered.register(first);
    assert.throws(() => registered.register({ ...first, ...changes }), refuses(code, words));
    assert.deepEqual(log.lines, ["+i 0"]);
  });
}

test("registrations are bounded, and room is made by unregistering", () => {
  const registered = new RegisteredPods({ maxRanks: 1 });
  registered.register(first);
  assert.throws(() => registered.register({ ...first, instanceId: "j" }), refuses("too-many", /1 ranks/));
  registered.unregister({ instanceId: "i", modelName: "m" });
  registered.register({ ...first, instanceId: "j" });
  assert.throws(() => new RegisteredPods({ maxRanks: 0 }), ConfigurationError);
});

test("an instance that is known from elsewhere cannot be registered, but under another model", () => {
  const registered = new RegisteredPods({ isTaken: (model, instance) => model === "m" && instance === "i" });
  assert.throws(
    () => registered.register(first),
    refuses("conflict", /instance i of model m: is known from elsewhere/),
  );
  assert.ok(!registered.unregister({ instanceId: "i", modelName: "m" }));
  registered.register({ ...first, modelName: "n" });
});
