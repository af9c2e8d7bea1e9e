import assert from "node:assert/strict";
import { readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { readSnapshot, writeSnapshot } from "../../src/snapshot/file.ts";
import { temporaryFolder } from "./support.ts";

async function* lines(...texts: readonly string[]): AsyncGenerator<string, void> {
  yield* texts;
}

test("a snapshot is written for its owner alone, and read as it was", async (context) => {
  const path = join(await temporaryFolder(context), "snapshot");
  assert.equal(await writeSnapshot(path, lines("a\n", "ß\n")), 5);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const parts: Uint8Array[] = [];
  for await (const part of readSnapshot(path, new AbortController().signal)) parts.push(part);
  assert.equal(Buffer.concat(parts).toString(), "a\nß\n");
});

test("a snapshot that cannot be finished leaves the one before, and nothing beside it", async (context) => {
  const folder = await temporaryFolder(context);
  const path = join(folder, "snapshot");
  await writeSnapshot(path, lines("before\n"));
  async function* failing(): AsyncGenerator<string, void> {
    yield "half\n";
    throw new Error("no more");
  }
  await assert.rejects(writeSnapshot(path, failing()), { message: "no more" });
  assert.equal(await readFile(path, "utf8"), "before\n");
  assert.deepEqual(await readdir(folder), ["snapshot"]);
});

test("what a crash left beside it is not written through", async (context) => {
  const folder = await temporaryFolder(context);
  const path = join(folder, "snapshot");
  const other = join(folder, "other");
  await writeFile(other, "precious");
  await symlink(other, `${path}.tmp`);
  await writeSnapshot(path, lines("new\n"));
  assert.deepEqual([await readFile(path, "utf8"), await readFile(other, "utf8")], ["new\n", "precious"]);
});
