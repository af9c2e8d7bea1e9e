import assert from "node:assert/strict";
import { test } from "node:test";
import * as libzmq from "zeromq";
import { encodeEventBatch } from "../../../src/events/encode.ts";
import type { BlockStored } from "../../../src/events/event.ts";
import { SyncPrefixHashTable } from "../../../src/indexer/sync-prefix-hash-table.ts";
import { END_OF_REPLAY, encodeSequence } from "../../../src/simulator/sequence.ts";
import { KVEventManager } from "../../../src/sync/manager.ts";
import type { Message } from "../../../src/transport.ts";
import { zmtp } from "../../../transports/zmtp/index.ts";
import { PipelineWatch } from "../../support/pipeline.ts";
import { bytes } from "./support.ts";

const BATCHES = 12;
const EMPTY = new Uint8Array();

/** Each batch stores one block. */
function payload(sequence: number): Uint8Array {
  const stored: BlockStored = {
    type: "BlockStored",
    blockHashes: [BigInt(1_000 + sequence)],
    parentBlockHash: null,
    tokenIds: Uint32Array.from({ length: 16 }, (_, i) => sequence * 100 + i),
    blockSize: 16,
    loraId: null,
    loraName: null,
    medium: "GPU",
    extraKeys: null,
    groupIdx: null,
    kvCacheSpecKind: null,
    kvCacheSpecSlidingWindow: null,
    cacheSalt: null,
  };
  return encodeEventBatch({ ts: sequence, dataParallelRank: 0, events: [stored] }, { encoding: "map" });
}

/** A bound ROUTER of either kind. */
interface Answering extends AsyncDisposable {
  readonly endpoint: string;
  /** Calls `answer` for each request, `send` being its way back; ends with the socket. */
  serve(answer: (from: number, send: (message: Message) => Promise<void>) => Promise<void>): Promise<void>;
}

async function ours(): Promise<Answering> {
  const router = zmtp().router();
  return {
    endpoint: await router.bind("tcp://127.0.0.1:0"),
    serve: async (answer) => {
      for await (const { messages } of router.receive()) {
        for (const [identity, , from] of messages) {
          await answer(fromOf(from!), async (message) => assert.ok(router.send([identity!, ...message])));
        }
      }
    },
    [Symbol.asyncDispose]: () => router.close(),
  };
}

async function theirs(): Promise<Answering> {
  const router = new libzmq.Router({ linger: 0 });
  await router.bind("tcp://127.0.0.1:*");
  return {
    endpoint: router.lastEndpoint!,
    serve: async (answer) => {
      for await (const [identity, , from] of router) {
        await answer(fromOf(from!), (message) => router.send([identity!, ...message.map((each) => Buffer.from(each))]));
      }
    },
    [Symbol.asyncDispose]: async () => router.close(),
  };
}

const fromOf = (frame: Uint8Array): number => Number(Buffer.from(frame).readBigUInt64BE());

/** Lets a stream catch up with an engine whose first replay lacks these sequences; returns what it asked for first and next. */
async function catchUp(start: () => Promise<Answering>, lost: ReadonlySet<number>): Promise<number[]> {
  await using pub = zmtp().publisher();
  const endpoint = await pub.bind("tcp://127.0.0.1:0");
  await using router = await start();
  const asked: number[] = [];
  const serving = router.serve(async (from, send) => {
    asked.push(from);
    const isLossy = asked.length === 1;
    for (let sequence = from; sequence < BATCHES; sequence += 1) {
      if (isLossy && lost.has(sequence)) continue;
      await send([EMPTY, bytes("kv"), encodeSequence(sequence), payload(sequence)]);
    }
    if (!isLossy || !lost.has(END_OF_REPLAY)) await send([EMPTY, EMPTY, encodeSequence(END_OF_REPLAY), EMPTY]);
  });
  const watch = new PipelineWatch();
  const indexer = new SyncPrefixHashTable();
  const options = { replayIdleMs: 50, quietCheckMs: 20, replayRetryMinMs: 20 };
  await using manager = new KVEventManager({ transport: zmtp(), indexer, observers: [watch], options });
  manager.onPodAdd({
    key: "ns/a",
    modelName: "m",
    loraId: -1,
    routingGroup: "default",
    topic: "",
    ranks: [{ rank: 0, endpoint, replayEndpoint: router.endpoint }],
  });
  await watch.until(() => {
    const [stream] = manager.pods()[0]?.streams ?? [];
    return stream?.status === "live" && stream.lastSequence === BATCHES - 1;
  });
  const held = [...indexer.heldBlocks({ model: "m", pod: "ns/a", rank: 0, loraId: -1 })];
  assert.deepEqual(
    held.map(({ blockHash }) => Number(blockHash)).sort((a, b) => a - b),
    Array.from({ length: BATCHES }, (_, sequence) => 1_000 + sequence),
  );
  assert.deepEqual(watch.purges, []);
  const firstTwo = asked.slice(0, 2);
  await router[Symbol.asyncDispose]();
  await serving;
  return firstTwo;
}

for (const [name, start] of [
  ["our router", ours],
  ["libzmq's router", theirs],
] as const) {
  test(`zmtp 44: a replay of ${name} that lost its middle is asked for again, from the batch before the hole`, async () => {
    assert.deepEqual(await catchUp(start, new Set([4, 5, 6])), [0, 3]);
  });

  test(`zmtp 44: a replay of ${name} that lost its last batches and its end marker is asked for again`, async () => {
    assert.deepEqual(await catchUp(start, new Set([10, 11, END_OF_REPLAY])), [0, 9]);
  });

  test(`zmtp 44: a replay of ${name} that lost its middle and its end is still whole in the end`, async () => {
    assert.deepEqual(await catchUp(start, new Set([2, 3, 10, 11, END_OF_REPLAY])), [0, 1]);
  });
}
