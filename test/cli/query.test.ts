import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { formatAnswer, parseTokens } from "../../src/cli/query.ts";
import { KVEventSyncError } from "../../src/errors.ts";
import { podInfo, serverBench, stored } from "../server/support.ts";
import { run } from "./support.ts";

const limit = { timeout: 60_000 };
const source = { model: "m", pod: "a", rank: 0, loraId: -1 };

function tokensFile(context: TestContext, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), "kv-event-sync-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "tokens");
  writeFileSync(path, content);
  return path;
}

/** Where a server listened until now. */
async function urlOfNobody(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return `http://127.0.0.1:${port}`;
}

test("token ids are a JSON array, or numbers with spaces, commas and lines between", () => {
  for (const text of ["[1, 2,\n 3]", "1 2 3", "1,2,3", " 1\n2,\t3\n"])
    assert.deepEqual(parseTokens(text, "f"), [1, 2, 3]);
  assert.deepEqual(parseTokens("", "f"), []);
  assert.deepEqual(parseTokens("[4294967295]", "f"), [4294967295]);
  assert.deepEqual(parseTokens("\uFEFF[1]", "f"), [1]);
  assert.deepEqual(parseTokens("\uFEFF1 2", "f"), [1, 2]);
});

for (const [text, words] of [
  ["1 2\n3 x", /^f line 2: "x"; a token id is an integer from 0/],
  ["1 -2", /^f line 1: "-2"/],
  ["1.5", /^f line 1: "1.5"/],
  ["4294967296", /^f line 1: "4294967296"/],
  ["[1, 2.5]", /^f: entry 1 is 2.5/],
  ['[1, "2"]', /^f: entry 1 is "2"/],
  ["[1,", /^f: .*expected a JSON array/],
  ["[1,\nx]", /^f: .+; expected a JSON array of integers$/],
  [`[${"[".repeat(100_000)}${"]".repeat(100_000)}]`, /^f: entry 0 is \[…; a token id is/],
] as const) {
  test(`${JSON.stringify(text.slice(0, 20))} is no list of token ids, and the place is named`, () => {
    assert.throws(
      () => parseTokens(text, "f"),
      (error) => error instanceof KVEventSyncError && words.test(error.message),
    );
  });
}

test("on a terminal the answer is a table, best first", () => {
  const answer = {
    scores: {},
    frequencies: [],
    instances: {
      "ns/a": {
        longest_matched: 48,
        gpu: 32,
        cpu: 48,
        disk: 48,
        weighted: 48,
        dp: { 0: 16, 1: 32 },
        streams: { 0: "live", 1: "partial" },
      },
      "ns/long-name": {
        longest_matched: 16,
        gpu: 16,
        cpu: 16,
        disk: 16,
        weighted: 16,
        dp: { 0: 16 },
        streams: { 0: "live" },
      },
    },
  } as const;
  assert.equal(
    formatAnswer(answer, 100),
    [
      "INSTANCE      RANK  TOKENS  OF PROMPT  GPU  CPU  DISK  STREAM",
      "ns/a             1      48       48 %   32   48    48  partial",
      "                 0                      16             live",
      "ns/long-name     0      16       16 %   16   16    16  live",
      "",
    ].join("\n"),
  );
  assert.match(
    formatAnswer({ ...answer, instances: {} }, 7),
    /No instance holds the beginning of this prompt of 7 tokens/,
  );
});

test("names that are numbers, as Dynamo's are, stand in the table by what they hold", () => {
  const score = (tokens: number) => ({
    longest_matched: tokens,
    gpu: tokens,
    cpu: tokens,
    disk: tokens,
    weighted: tokens,
    dp: { 0: tokens },
    streams: {},
  });
  const onDisk = { ...score(32), gpu: 0, dp: { 0: 0 } };
  const instances = { 1: score(16), 2: onDisk, 9: score(48), a: score(32), b: score(32) };
  const lines = formatAnswer({ scores: {}, frequencies: [], instances }, 48).trim().split("\n").slice(1);
  assert.deepEqual(
    lines.map((line) => line.split(" ")[0]),
    ["9", "a", "b", "2", "1"],
  );
});

test("in a pipe the answer is the daemon's JSON", limit, async (context) => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a"));
  bench.indexer.processBlockStored(source, stored([1n], [1, 2], { loraName: "sql", cacheSalt: "s" }));
  const file = tokensFile(context, "1 2 3");
  const flags = ["--model", "m", "--tokens-file", file, "--url", bench.url, "--lora-name", "sql", "--cache-salt", "s"];
  const { code, lines } = await run(context, ["query", ...flags]).end();
  assert.equal(code, 0);
  assert.equal(JSON.parse(lines[0]!).instances.a.longest_matched, 2);
});

test("tokens are read from standard input, too", limit, async (context) => {
  await using bench = await serverBench();
  bench.pods.push(podInfo("a"));
  bench.indexer.processBlockStored(source, stored([1n], [1, 2]));
  const command = run(context, ["query", "--model", "m", "--tokens-file", "-", "--url", bench.url]);
  command.child.stdin.end("[1, 2]");
  assert.deepEqual(JSON.parse((await command.end()).lines[0]!).scores, { a: { 0: 2 } });
});

for (const [name, url, words] of [
  [
    "no daemon",
    await urlOfNobody(),
    /no daemon at http:\/\/127\.0\.0\.1:\d+ \(connect ECONNREFUSED .+\); start one with kv-event-sync serve/,
  ],
  ["a URL that is none", "nonsense", /--url is "nonsense": use one such as http:\/\/127\.0\.0\.1:8090$/],
  ["an engine's endpoint for a URL", "tcp://127.0.0.1:5557", /--url is "tcp:\/\/127\.0\.0\.1:5557": use one/],
  ["a URL without its scheme", "localhost:8090", /--url is "localhost:8090": use one such as http:/],
] as const) {
  test(`with ${name} the query fails in one line`, limit, async (context) => {
    const file = tokensFile(context, "1");
    const { code, stderr } = await run(context, ["query", "--model", "m", "--tokens-file", file, "--url", url]).end();
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.equal(stderr.trim().split("\n").length, 1);
  });
}

test("a model that nobody serves is told, and a file that is not there", limit, async (context) => {
  await using bench = await serverBench();
  const file = tokensFile(context, "1");
  const unknown = await run(context, ["query", "--model", "x", "--tokens-file", file, "--url", bench.url]).end();
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /answers 404: model_name is "x": no instance/);
  const missing = await run(context, ["query", "--model", "x", "--tokens-file", `${file}.none`]).end();
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /--tokens-file .*\.none: ENOENT/);
});

for (const [name, reply, words] of [
  ["another server", "<html>hello</html>", /answers 200: "<html>hello<\/html>"; is that kv-event-sync serve\?/],
  ["JSON that is no answer", "{}", /answers 200: "\{\}"; is that kv-event-sync serve\?/],
  ["nothing", "", /answers 200: ""; is that kv-event-sync serve\?/],
] as const) {
  test(`${name} at the URL is told in one line`, limit, async (context) => {
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      request.resume().on("end", () => response.end(reply));
    }).listen(0, "127.0.0.1");
    context.after(() => server.close());
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/below/here`;
    const file = tokensFile(context, "1");
    const { code, stderr } = await run(context, ["query", "--model", "m", "--tokens-file", file, "--url", url]).end();
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.equal(stderr.trim().split("\n").length, 1);
    assert.deepEqual(asked, ["/below/here/query"]);
  });
}
