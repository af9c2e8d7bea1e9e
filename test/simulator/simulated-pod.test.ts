import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ConfigurationError, KVEventSyncError } from "../../src/errors.ts";
import { decodeEventBatch } from "../../src/events/decode.ts";
import { SimulatedPod, type SimulatedPodOptions } from "../../src/simulator/simulated-pod.ts";
import { memory } from "../../transports/memory/index.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { Fold, heldBy } from "./fold.ts";
import { Reader, readReplay, requestReplay, sequenceOf, subscribe, watch } from "./peers.ts";

const PROMPT = { tokens: [1, 2, 3, 4, 5] };

function createPod(context: TestContext, options: Partial<SimulatedPodOptions> = {}): SimulatedPod {
  const pod = new SimulatedPod({
    key: "default/engine",
    modelName: "m",
    transport: memory(),
    endpoints: [{ endpoint: "tcp://127.0.0.1:5557", replayEndpoint: "tcp://127.0.0.1:5558" }],
    blockSize: 2,
    ...options,
  });
  context.after(() => pod.stop());
  return pod;
}

function hashes(pod: SimulatedPod, rank = 0): readonly bigint[] {
  return [...pod.pool(rank)].map((block) => block.blockHash);
}

function refuses(code: string): (error: unknown) => boolean {
  return (error) => error instanceof KVEventSyncError && error.code === code;
}

test("a request publishes what the cache did, and nothing where it did nothing", async (context) => {
  const pod = createPod(context);
  await pod.start();
  assert.deepEqual(pod.request(PROMPT), { cachedTokens: 0, sequence: 0, storedBlocks: 2, removedBlocks: 0 });
  assert.deepEqual(pod.request(PROMPT), { cachedTokens: 4, sequence: null, storedBlocks: 0, removedBlocks: 0 });
  assert.equal(pod.nextSequence(), 1);
});

test("a subscriber that folds the events holds what the pod holds", async (context) => {
  const transport = watch(memory());
  const pod = createPod(context, { transport, capacityBlocks: 4 });
  await pod.start();
  const { subscriber, reader } = subscribe(transport, pod.ranks[0]!.endpoint);
  context.after(() => subscriber.close());
  await transport.subscribed(1);
  for (let prompt = 0; prompt < 6; prompt++) pod.request({ tokens: [prompt, 1, 2, 3, 4, 5] });
  const fold = new Fold();
  for (const message of await reader.take(pod.nextSequence())) fold.apply(decodeEventBatch(message[2]!).batch.events);
  assert.deepEqual(fold.held(), heldBy(pod.pool()));
});

test("a restart empties the cache, changes the hashes and starts the sequence over, on the same endpoints", async (context) => {
  const pod = createPod(context);
  await pod.start();
  pod.request(PROMPT);
  const [endpoints, before] = [pod.ranks, hashes(pod)];
  await pod.restart();
  assert.deepEqual([pod.ranks, hashes(pod), pod.restartCount], [endpoints, [], 1]);
  assert.equal(pod.request(PROMPT).sequence, 0);
  assert.ok(hashes(pod).every((hash) => !before.includes(hash)));
});

test("the seed determines the hashes of every start", async (context) => {
  const [first, second] = [createPod(context, { seed: 4 }), createPod(context, { seed: 4 })];
  const seen = await Promise.all(
    [first, second].map(async (pod) => {
      await pod.start();
      await pod.restart();
      pod.request(PROMPT);
      return hashes(pod);
    }),
  );
  assert.deepEqual(seen[0], seen[1]);
});

test("ranks have caches, hashes and sequences of their own, and tell their rank", async (context) => {
  const transport = watch(memory());
  const endpoints = [{ endpoint: "inproc://0" }, { endpoint: "inproc://1" }];
  const pod = createPod(context, { transport, endpoints });
  await pod.start();
  const { subscriber, reader } = subscribe(transport, pod.ranks[1]!.endpoint);
  context.after(() => subscriber.close());
  await transport.subscribed(1);
  pod.request(PROMPT, 0);
  assert.deepEqual(pod.request(PROMPT, 1), { cachedTokens: 0, sequence: 0, storedBlocks: 2, removedBlocks: 0 });
  assert.equal(decodeEventBatch((await reader.next())[2]!).batch.dataParallelRank, 1);
  assert.notDeepEqual(hashes(pod, 0), hashes(pod, 1));
});

test("a reset publishes that all blocks are cleared", async (context) => {
  const transport = watch(memory());
  const pod = createPod(context, { transport });
  await pod.start();
  pod.request(PROMPT);
  const { subscriber, reader } = subscribe(transport, pod.ranks[0]!.endpoint);
  context.after(() => subscriber.close());
  await transport.subscribed(1);
  assert.equal(pod.reset(), 1);
  assert.deepEqual(decodeEventBatch((await reader.next())[2]!).batch.events, [{ type: "AllBlocksCleared" }]);
  assert.deepEqual(hashes(pod), []);
});

test("port 0 is settled at the first start and stays", async (context) => {
  const endpoints = [{ endpoint: "tcp://127.0.0.1:0", replayEndpoint: "tcp://127.0.0.1:0" }];
  const pod = createPod(context, { endpoints });
  await pod.start();
  const settled = pod.ranks;
  assert.match(settled[0]!.endpoint, /:[1-9]\d*$/);
  await pod.restart();
  assert.deepEqual(pod.ranks, settled);
});

test("a restart in place works over TCP: a subscriber comes back and hears sequence 0 again", async (context) => {
  const transport = watch(zmtp({ reconnectMinMs: 1 }));
  const endpoints = [{ endpoint: "tcp://127.0.0.1:0", replayEndpoint: "tcp://127.0.0.1:0" }];
  const pod = createPod(context, { transport, endpoints });
  await pod.start();
  const { subscriber, reader } = subscribe(transport, pod.ranks[0]!.endpoint);
  context.after(() => subscriber.close());
  await transport.subscribed(1);
  pod.request(PROMPT);
  assert.equal(sequenceOf(await reader.next()), 0);
  await pod.restart();
  await transport.subscribed(2);
  pod.request(PROMPT);
  assert.equal(sequenceOf(await reader.next()), 0);
});

test("a replay works over TCP, complete to its end marker", async (context) => {
  const transport = zmtp();
  const endpoints = [{ endpoint: "tcp://127.0.0.1:0", replayEndpoint: "tcp://127.0.0.1:0" }];
  const pod = createPod(context, { transport, endpoints, replayHighWaterMark: 10 });
  await pod.start();
  for (let prompt = 0; prompt < 2_000; prompt++) pod.request({ tokens: [prompt, prompt] });
  const dealer = transport.dealer();
  context.after(() => dealer.close());
  dealer.connect(pod.ranks[0]!.replayEndpoint!);
  requestReplay(dealer, 0);
  const messages = await readReplay(new Reader(dealer));
  assert.deepEqual(messages.map(sequenceOf), [...Array.from({ length: 2_000 }, (_, sequence) => sequence), -1]);
});

test("starts and stops asked for at once follow each other", async (context) => {
  const pod = createPod(context);
  await Promise.all([pod.start(), pod.restart(), pod.stop(), pod.start(), pod.start()]);
  assert.equal(pod.isRunning, true);
  assert.equal(pod.restartCount, 2);
});

test("where an endpoint is taken the pod does not start, and can be started later", async (context) => {
  const transport = memory();
  const first = createPod(context, { transport });
  await first.start();
  const second = createPod(context, { transport });
  await assert.rejects(second.start(), { code: "address-in-use" });
  assert.equal(second.isRunning, false);
  await first.stop();
  await second.start();
  assert.equal(second.isRunning, true);
});

test("a stopped pod refuses requests", (context) => {
  const pod = createPod(context);
  assert.throws(() => pod.request(PROMPT), refuses("not-running"));
});

test("a rank that is not there is refused", async (context) => {
  const pod = createPod(context);
  await pod.start();
  assert.throws(() => pod.request(PROMPT, 1), refuses("unknown-rank"));
});

test("a pod without endpoints is refused", (context) => {
  assert.throws(() => createPod(context, { endpoints: [] }), ConfigurationError);
});
