import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

function runDemo(context: TestContext, ...flags: readonly string[]): Run {
  const child = spawn(process.execPath, ["--import", "tsx", "src/cli.ts", "demo", ...flags], { cwd: root });
  context.after(() => child.kill("SIGKILL"));
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    output.stderr += text;
  });
  return { child, ended: once(child, "close").then(([code]) => ({ code, ...output })) };
}

test("with --json the only line on stdout has the numbers, and the exit code is 0 where all agrees", async (context) => {
  const { code, stdout, stderr } = await runDemo(context, "--json", "--seconds", "2").ended;
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trimEnd().split("\n").length, 1);
  const result = JSON.parse(stdout);
  assert.deepEqual(
    { engines: result.engines, restarts: result.restarts, divergence: result.divergence, ok: result.ok },
    { engines: 3, restarts: 1, divergence: 0, ok: true },
  );
  for (const field of ["events", "blocks", "replays", "requests", "seconds"]) assert.ok(result[field] > 0, field);
  assert.match(stderr, /engine-1 {2}another process answers there/);
});

test("in a pipe it prints plain lines, and the verdict as the last one", async (context) => {
  const { code, stdout } = await runDemo(context, "--seconds", "2", "--engines", "1").ended;
  assert.equal(code, 0, stdout);
  assert.ok(!stdout.includes("\u001b"));
  assert.match(stdout, /^ +\d+\.\d s {2}engine-0 {2}live$/m);
  assert.match(stdout, /a prompt of \d+ tokens/);
  assert.match(stdout.trimEnd().split("\n").at(-1)!, /^OK: all \d+ blocks agree/);
});

test("a signal ends it cleanly", async (context) => {
  const { child, ended } = runDemo(context, "--seconds", "20");
  await once(child.stdout!, "data");
  child.kill("SIGINT");
  const { code, stderr } = await ended;
  assert.deepEqual([code, stderr], [130, "interrupted\n"]);
});

test("a number that cannot be used is refused with what can", async (context) => {
  const runs = [runDemo(context, "--seconds", "60").ended, runDemo(context, "--engines", "many").ended];
  assert.deepEqual(
    (await Promise.all(runs)).map(({ code, stderr }) => [code, stderr]),
    [
      [1, "kv-event-sync: --seconds is 60: use a number from 2 to 20\n"],
      [1, "kv-event-sync: --engines is NaN: use a whole number from 1 to 16\n"],
    ],
  );
});
