import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { run } from "./support.ts";

const limit = { timeout: 60_000 };

test("the version is the package's", limit, async (context) => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const { code, lines } = await run(context, ["--version"]).end();
  assert.deepEqual([code, lines], [0, [version]]);
});

test("the help names every command, on standard output", limit, async (context) => {
  const { code, lines, stderr } = await run(context, ["--help"]).end();
  assert.deepEqual([code, stderr], [0, ""]);
  for (const name of ["serve", "query", "simulate", "demo", "keygen"]) {
    assert.ok(
      lines.some((line) => line.startsWith(`  ${name} [options]`)),
      name,
    );
  }
});

for (const [name, args, words] of [
  ["an unknown command", ["serv"], /unknown command 'serv'\n\(Did you mean serve\?\)/],
  ["an unknown flag", ["serve", "--prot", "1"], /unknown option '--prot'\n\(Did you mean --port\?\)/],
  ["a flag without its value", ["serve", "--port"], /'--port <number>' argument missing/],
  ["what no command takes", ["simulate", "engines"], /too many arguments/],
] as const) {
  test(`${name} is refused, with what there is`, limit, async (context) => {
    const { code, lines, stderr } = await run(context, args).end();
    assert.deepEqual([code, lines], [1, []]);
    assert.match(stderr, words);
    assert.match(stderr, /--help tells what there is/);
  });
}

test("whoever stops reading ends the printing, not the command with an error", limit, async (context) => {
  const command = run(context, ["simulate", "--port", "0", "--truth"]);
  await command.line();
  command.child.stdout.destroy();
  command.child.kill("SIGINT");
  const { code, stderr } = await command.end();
  assert.deepEqual([code, stderr], [0, ""]);
});
