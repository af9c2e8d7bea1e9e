import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What has to be shown of a ZMTP implementation: framing, handshake, commands, liveness, reconnect, flow, sockets. */
const ITEMS = 50;

/** From the first item that needs a peer to the last one that any peer can show. */
const FIRST_WITH_PEER = 12;
const LAST_WITH_PEER = 46;

/** Items that no libzmq can take part in, and why. */
const WITHOUT_LIBZMQ: ReadonlyMap<number, string> = new Map([
  [29, "libzmq sends no command that is unknown"],
  [36, "how our delays spread has nothing to do with the peer"],
]);

/** The item numbers in the titles of a file's tests: `zmtp 31: …`, or `zmtp 24, 33: …` for several. */
function itemsIn(source: string): number[] {
  const titles = source.matchAll(/["`]zmtp (\d+(?:, \d+)*): /g);
  return [...titles].flatMap(([, numbers]) => numbers!.split(", ").map(Number));
}

const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts") && entry.name !== basename(import.meta.url))
  .map((entry) => ({ name: entry.name, source: readFileSync(join(entry.parentPath, entry.name), "utf8") }));

/** The items from `first` to `last` of which none of these sources has a test. */
function missing(sources: readonly string[], first: number, last: number): number[] {
  const present = new Set(sources.flatMap(itemsIn));
  return Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((item) => !present.has(item));
}

test("titles are read, also those of several items, and nothing that only looks like one", () => {
  const source = 'test("zmtp 1: a", f); test(`zmtp 24, 33: b`); // zmtp 5: c\n"zmtp 6 d" "zmtp 07x: e"';
  assert.deepEqual(itemsIn(source), [1, 24, 33]);
});

test("each of the fifty items has a test that names it", () => {
  const sources = files.map(({ source }) => source);
  assert.deepEqual(missing(sources, 1, ITEMS), []);
  const beyond = sources.flatMap(itemsIn).filter((item) => item < 1 || item > ITEMS);
  assert.deepEqual(beyond, []);
});

test("each item that libzmq can take part in has a test with libzmq", () => {
  const sources = files.map(({ source }) => source).filter((source) => source.includes('from "zeromq"'));
  const untested = missing(sources, FIRST_WITH_PEER, LAST_WITH_PEER).filter((item) => !WITHOUT_LIBZMQ.has(item));
  assert.deepEqual(untested, []);
});
