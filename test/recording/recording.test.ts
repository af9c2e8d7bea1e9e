import assert from "node:assert/strict";
import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createStore } from "../../src/container.ts";
import type { BlockSource, PrefixIndexer } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { RecordingWriter, readRecording } from "../../src/recording/file.ts";
import type { Recorded } from "../../src/recording/format.ts";
import { inspectRecording } from "../../src/recording/inspect.ts";
import { playRecording } from "../../src/recording/play.ts";
import { Recorder } from "../../src/recording/recorder.ts";
import type { SimulatedPod } from "../../src/simulator/simulated-pod.ts";
import { memory } from "../../transports/memory/index.ts";
import { zmtp } from "../../transports/zmtp/index.ts";
import { chat, engine, PipelineWatch } from "../support/pipeline.ts";

const limit = { timeout: 60_000 };
const SOURCE: BlockSource = { model: "m", pod: "ns/a", rank: 0, loraId: -1 };
// Timers that are due while the machine is busy ring late when it is recorded, and in time when it is played.
const STREAMS = { replayTimeoutMs: 20_000, replayIdleMs: 10_000, quietCheckMs: 20, replayRetryMinMs: 20 };

async function inFolder(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "recording-"));
  try {
    await use(join(folder, "recording"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

function held(indexer: PrefixIndexer): string[] {
  return [...indexer.heldBlocks(SOURCE)].map(({ blockHash, places }) => `${blockHash} ${places.join(" ")}`).sort();
}

async function all(path: string): Promise<Recorded[]> {
  const records: Recorded[] = [];
  for await (const record of readRecording(path)) records.push(record);
  return records;
}

for (const [name, makeTransport] of [
  ["memory", memory],
  ["zmtp", zmtp],
] as const) {
  test(
    `what is replayed holds what the live run held, over ${name}: a start, a lost connection, a restart`,
    limit,
    () =>
      inFolder(async (path) => {
        const transport = makeTransport();
        await using pod: SimulatedPod = await engine(transport, "ns/a");
        chat(pod, 5);
        const watch = new PipelineWatch();
        const writer = await RecordingWriter.open(path);
        const store = await createStore({
          transport,
          streams: STREAMS,
          observers: [watch],
          recorder: new Recorder(writer),
        });
        await store.initKVEventSync();
        const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: "" }] = pod.ranks;
        store.registered.register({ instanceId: "ns/a", modelName: "m", endpoint, replayEndpoint: replayEndpoint! });
        const caughtUp = () =>
          watch.until(() => {
            const stream = store.pods()[0]?.streams[0];
            return stream?.status === "live" && stream.lastSequence === pod.nextSequence(0) - 1;
          });
        await caughtUp();
        chat(pod, 10);
        await caughtUp();
        await pod.stop();
        await pod.start();
        chat(pod, 7);
        await caughtUp();
        const live = held(store.indexer);
        const [stream] = store.pods()[0]!.streams;
        await writer[Symbol.asyncDispose]();
        await store.close();

        const indexer = new SyncPrefixHashTable();
        await using played = await playRecording(readRecording(path), {
          speed: Number.POSITIVE_INFINITY,
          indexer,
          streams: STREAMS,
        });
        assert.ok(live.length > 0);
        assert.deepEqual(held(indexer), live);
        const [again] = played.manager.pods()[0]!.streams;
        assert.equal(again?.lastSequence, stream?.lastSequence);
        assert.equal(again?.status, "live");

        const inspected = await inspectRecording(readRecording(path));
        assert.deepEqual(inspected.pods, ["ns/a"]);
        const [events] = inspected.endpoints;
        assert.equal(events?.type, "subscriber");
        assert.equal(events?.stream, "ns/a 0");
        assert.ok((events?.connections ?? 0) >= 2 && (events?.events["BlockStored"] ?? 0) > 0);
        assert.equal(events?.undecodableMessages, 0);
      }),
  );
}

const record = (socket: number): Recorded => ({ kind: "closed", socket, timeMs: 1_000 });

test("a recording is gone on with, after a torn tail is cut off", () =>
  inFolder(async (path) => {
    const first = await RecordingWriter.open(path);
    first.write(record(1));
    first.write(record(2));
    await first[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
    await truncate(path, (await stat(path)).size - 1);
    let torn = false;
    for await (const _ of readRecording(path, () => (torn = true)));
    assert.ok(torn);
    const second = await RecordingWriter.open(path);
    second.write(record(3));
    await second[Symbol.asyncDispose]();
    assert.deepEqual(
      (await all(path)).map(({ socket }) => socket),
      [1, 3],
    );
  }));

test("a file of something else, and a changed one, are refused and left as they are", () =>
  inFolder(async (path) => {
    await writeFile(path, "a letter to somebody");
    await assert.rejects(RecordingWriter.open(path), { code: "foreign-recording", message: /begins with "a letter"/ });
    await assert.rejects(all(path), { code: "foreign-recording" });
    assert.equal(await readFile(path, "utf8"), "a letter to somebody");
    await rm(path);
    const writer = await RecordingWriter.open(path);
    writer.write(record(1));
    await writer[Symbol.asyncDispose]();
    await appendFile(path, Buffer.alloc(40));
    const { size } = await stat(path);
    await assert.rejects(all(path), { code: "corrupt-recording", message: /the record at byte 33 was changed/ });
    await assert.rejects(RecordingWriter.open(path), { code: "corrupt-recording" });
    assert.equal((await stat(path)).size, size);
  }));

test("a disk that fails is told at the end, and stops nobody before", async () => {
  const writer = await RecordingWriter.open("/dev/full");
  for (let i = 0; i < 10; i++) writer.write(record(i));
  await assert.rejects(async () => writer[Symbol.asyncDispose](), { code: "ENOSPC" });
});

test("what comes while the writer is disposed of is left out, and no error", () =>
  inFolder(async (path) => {
    const writer = await RecordingWriter.open(path);
    writer.write(record(1));
    const ended = writer[Symbol.asyncDispose]();
    writer.write(record(2));
    await ended;
    writer.write(record(3));
    assert.deepEqual(
      (await all(path)).map(({ socket }) => socket),
      [1],
    );
  }));
