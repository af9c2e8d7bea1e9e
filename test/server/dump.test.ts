import assert from "node:assert/strict";
import { test } from "node:test";
import { Dumps } from "../../src/server/dump.ts";
import { deferred } from "../support/deferred.ts";
import { serverBench } from "./support.ts";

async function* lines(...texts: readonly string[]): AsyncGenerator<string, void> {
  yield* texts;
}

test("a dump is sent line by line, as lines of JSON", async () => {
  await using bench = await serverBench({ dump: () => lines('{"a":1}\n', '{"b":2}\n') });
  const response = await fetch(`${bench.url}/dump`);
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/x-ndjson"]);
  assert.equal(await response.text(), '{"a":1}\n{"b":2}\n');
});

test("HEAD tells of a dump without making one", async () => {
  let made = 0;
  const dump = () => {
    made++;
    return lines();
  };
  await using bench = await serverBench({ dump });
  const response = await fetch(`${bench.url}/dump`, { method: "HEAD" });
  assert.deepEqual([response.status, response.headers.get("content-type"), made], [200, "application/x-ndjson", 0]);
});

test("there is no dump where dumps are off, nor before the index knows enough", async () => {
  await using off = await serverBench();
  assert.deepEqual(await statusAndError(off.url), [503, "dumps are off here"]);
  await using early = await serverBench({ isReady: () => false, dump: () => lines("a\n") });
  const [status, error] = await statusAndError(early.url);
  assert.deepEqual([status, error], [503, "there is not enough to dump yet; /readyz tells when there is"]);
});

async function statusAndError(url: string): Promise<[number, string]> {
  const response = await fetch(`${url}/dump`);
  const { error } = (await response.json()) as { error: string };
  return [response.status, error];
}

test("a dump whose reader goes away ends, and makes room for another", async () => {
  const ended = deferred<void>();
  async function* endless(): AsyncGenerator<string, void> {
    try {
      for (;;) yield `${"x".repeat(65_536)}\n`;
    } finally {
      ended.resolve();
    }
  }
  await using bench = await serverBench({ dump: endless });
  const controller = new AbortController();
  const open = () => fetch(`${bench.url}/dump`, { signal: controller.signal });
  const responses = await Promise.all([open(), open(), open(), open()]);
  assert.deepEqual(
    responses.map(({ status }) => status),
    [200, 200, 200, 200],
  );
  const fifth = await fetch(`${bench.url}/dump`);
  assert.deepEqual(
    [fifth.status, await fifth.json()],
    [503, { error: "4 dumps are under way; come back when one of them is done" }],
  );
  controller.abort();
  await ended.promise;
  for (let status = 503; status !== 200; ) {
    const retry = await fetch(`${bench.url}/dump`);
    status = retry.status;
    await retry.body?.cancel();
  }
});

test("nothing is made before the reader wants it", async () => {
  let made = 0;
  async function* counted(): AsyncGenerator<string, void> {
    for (;;) {
      made++;
      yield "x\n";
    }
  }
  const reader = new Dumps({ lines: counted, onError: assert.fail }).open().getReader();
  assert.equal(made, 0);
  await reader.read();
  await reader.read();
  assert.equal(made, 2);
  await reader.cancel();
});

test("a reader that stands still loses its place in the end", async () => {
  const errors: string[] = [];
  const onError = ({ message }: Error): number => errors.push(message);
  const dumps = new Dumps({ lines: () => lines("a\n", "b\n"), onError, limitMs: 1 });
  const readers = [1, 2, 3, 4].map(() => dumps.open().getReader());
  assert.throws(() => dumps.open(), { status: 503 });
  await Promise.all(readers.map((reader) => reader.closed));
  assert.deepEqual(new Set(errors), new Set(["dump was not read in 1 ms"]));
  await dumps.open().cancel();
});

test("a dump that fails in the middle ends without its end", async () => {
  async function* failing(): AsyncGenerator<string, void> {
    yield "a\n";
    throw new Error("no");
  }
  await using bench = await serverBench({ dump: failing });
  assert.equal(await (await fetch(`${bench.url}/dump`)).text(), "a\n");
  assert.deepEqual(
    bench.errors.map(({ message }) => message),
    ["no"],
  );
});
