import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type DeclaredPackages, violations } from "./architecture/rules.ts";
import { readFacts } from "./architecture/source-facts.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

function sourcesBelow(...folders: readonly string[]): Record<string, string> {
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/")),
  );
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]));
}

function declaredPackages(): DeclaredPackages {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return { dependencies: Object.keys(manifest.dependencies), optional: Object.keys(manifest.peerDependencies) };
}

const PACKAGES: DeclaredPackages = { dependencies: ["hono", "@hono/zod-openapi", "tsyringe"], optional: ["zeromq"] };

/** What the rules say of one file. */
function complaints(path: string, source: string): string[] {
  return violations(readFacts({ [path]: source }), PACKAGES);
}

/** Every one of these lines, alone in that file, is complained about for that reason. */
function assertForbidden(path: string, lines: readonly string[], reason: RegExp): void {
  const sources = Object.fromEntries(lines.map((line, i) => [path.replace("*", `${i}`), line]));
  const found = violations(readFacts(sources), PACKAGES);
  for (const [sample, line] of Object.entries(sources)) {
    const own = found.filter((complaint) => complaint.startsWith(`${sample}:1: `) && reason.test(complaint));
    assert.equal(own.length, 1, `${line} in ${sample}: ${found.join("\n")}`);
  }
}

test("the sources obey the design", () => {
  const sources = sourcesBelow("src", "transports");
  assert.ok("src/transport.ts" in sources && "transports/zmtp/index.ts" in sources);
  assert.deepEqual(violations(readFacts(sources), declaredPackages()), []);
});

test("every way to import is read, and nothing that only looks like one", () => {
  const source = `
    import "effect";
    import value, { type A } from "value";
    import type { B } from "type";
    export * from "all";
    export type { C } from "exported-type";
    import assigned = require("assigned");
    type D = import("in-a-type").D;
    const late = await import("late");
    const old = require(\`old\`);
    const hidden = \`\${await import("in-a-template")}\`;
    // import "comment";
    /* export * from "block comment"; */
    const text = 'import "text"';
    const pattern = /import "pattern"/;
    const template = \`import "template"\`;
    const computed = await import(name);
    export { late };
    log.import("method");`;
  const [facts] = readFacts({ "src/sample.ts": source });
  assert.deepEqual(
    facts!.imports.map(({ specifier, kind }) => `${kind} ${specifier}`),
    [
      "value effect",
      "value value",
      "type type",
      "value all",
      "type exported-type",
      "value assigned",
      "type in-a-type",
      "dynamic late",
      "dynamic old",
      "dynamic in-a-template",
      "dynamic null",
    ],
  );
  assert.deepEqual(facts!.imports.slice(0, 2), [
    { specifier: "effect", kind: "value", line: 2 },
    { specifier: "value", kind: "value", line: 3 },
  ]);
});

test("a source that does not parse is an error, not a file without imports", () => {
  assert.throws(() => readFacts({ "src/sample.ts": 'import { from "x";' }), /^Error: src\/sample\.ts: /);
});

test("a transport that looks beyond its folder and the seam is found", () => {
  const lines = [
    'import { a } from "../memory/index.ts";',
    'import type { Pod } from "../../src/discovery/discovery.ts";',
    'export * from "../../src/events/decode.ts";',
    'type A = import("../../src/sync/stream.ts").A;',
    'await import("../../src/container.ts");',
  ];
  assertForbidden("transports/zmtp/sample*.ts", lines, /a transport knows/);
  assertForbidden("transports/zmtp/sample*.ts", ['import { Hono } from "hono";'], /pure JavaScript/);
  assertForbidden("transports/memory/sample*.ts", ['await import("zeromq");'], /pure JavaScript/);
});

test("a transport may use the seam, its folder, Node, and the library that it is for", () => {
  const source = `
    import type { Message } from "../../src/transport.ts";
    import { TransportError } from "../../src/errors.ts";
    import { systemClock } from "../../src/clock.ts";
    import { Inbox } from "./inbox.ts";
    import { deep } from "./deep/er.ts";
    import { connect } from "node:net";`;
  assert.deepEqual(complaints("transports/zmtp/index.ts", source), []);
  assert.deepEqual(complaints("transports/libzmq/index.ts", 'const { Publisher } = await import("zeromq");'), []);
  assert.deepEqual(complaints("transports/libzmq/deep/er.ts", 'import { a } from "../index.ts";'), []);
});

test("whoever but the container knows a transport or tsyringe is found", () => {
  const lines = [
    'import { zmtp } from "../../transports/zmtp/index.ts";',
    'import type { ZmtpOptions } from "../../transports/zmtp/options.ts";',
    'await import("../../transports/memory/index.ts");',
    'import { container } from "tsyringe";',
  ];
  for (const folder of ["simulator", "sync", "server", "cli"]) {
    assertForbidden(`src/${folder}/sample*.ts`, lines, /only src\/container\.ts/);
  }
  assert.deepEqual(
    complaints("src/container.ts", 'import "tsyringe"; import { zmtp } from "../transports/zmtp/index.ts";'),
    [],
  );
});

test("sync that opens its own sockets is found", () => {
  const lines = ['import { connect } from "node:net";', 'import net from "net";', 'const z = await import("zeromq");'];
  assertForbidden("src/sync/sample*.ts", lines, /sync\/ reaches the network/);
  assert.deepEqual(complaints("src/sync/turn.ts", 'import { setImmediate } from "node:timers/promises";'), []);
});

test("an indexer that knows sync, discovery or server is found", () => {
  const lines = ["sync/status", "discovery/discovery", "server/server"].map((name) => `export * from "../${name}.ts";`);
  assertForbidden("src/indexer/sample*.ts", lines, /the indexer knows nothing/);
});

test("events that do I/O are found", () => {
  assertForbidden("src/events/sample*.ts", ['import fs from "node:fs";', 'import "timers/promises";'], /no I\/O/);
});

test("console and the environment are found in every disguise, but for the command line and the options", () => {
  const lines = [
    "console.log(1);",
    "console?.error(1);",
    "globalThis.console.log(1);",
    "const log = console;",
    "const { warn } = console;",
    "export const options = { console };",
    'import { log } from "node:console";',
    "export const port = process.env.PORT;",
    'process["env"].PORT = "1";',
    "const { env } = process;",
    "const { env: variables } = globalThis.process;",
    "globalThis.process.env.X;",
    'import { env } from "node:process";',
    'const { env } = require("process");',
  ];
  assertForbidden("src/sync/sample*.ts", lines, /only the command line and src\/options\.ts/);
  assertForbidden("transports/zmtp/sample*.ts", lines, /only the command line and src\/options\.ts/);
  for (const path of ["src/cli.ts", "src/cli/serve.ts", "src/options.ts"]) {
    assert.deepEqual(complaints(path, "console.log(process.env.X);"), []);
  }
  const innocent = `
    // console.log(process.env)
    log.console(1);
    export const settings = { console: 1, env: "process.env" };
    process.nextTick(() => pod.env);`;
  assert.deepEqual(complaints("src/sync/sample.ts", innocent), []);
});

test("packages that package.json does not declare, or that are optional and imported at once, are found", () => {
  assertForbidden("src/server/sample*.ts", ['import x from "undici";', 'import "hono-x";'], /among the dependencies/);
  assertForbidden("transports/libzmq/sample*.ts", ['import * as z from "zeromq";'], /by import\(\)/);
  assert.deepEqual(complaints("src/server/a.ts", 'import "hono/cors"; import { z } from "@hono/zod-openapi";'), []);
  assert.deepEqual(complaints("transports/libzmq/a.ts", 'import type { Publisher } from "zeromq";'), []);
});

test("published sources that need tests, and imports that nobody can read, are found", () => {
  assertForbidden("src/sync/sample*.ts", ['import { bytes } from "../../test/support/messages.ts";'], /development/);
  assertForbidden("src/sync/sample*.ts", ["await import(name);", "require('./' + name);"], /nobody can read/);
});

test("a contract that grows long, or that needs code to run, is found", () => {
  const long = "export type A = 1;\n".repeat(111);
  assert.match(complaints("src/transport.ts", long).join(), /111 lines/);
  assert.deepEqual(complaints("src/transport.ts", long.slice(0, 110 * 19)), []);
  assertForbidden("src/transport.ts", ['import { TransportError } from "./errors.ts";'], /contracts/);
});
