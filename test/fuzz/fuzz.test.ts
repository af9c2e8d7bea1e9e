import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseCorpus, readCorpus } from "./corpus.ts";
import { Generator } from "./generator.ts";
import { loop } from "./loop.ts";
import { targets } from "./targets/index.ts";

/** Of the runs here: every time the same. */
const SEED = 20_260_101;

for (const target of targets) {
  const runs = target.name === "server" || target.name === "client" ? 60 : 150;
  test(`fuzz: ${target.name} holds for ${runs} inputs of a fixed seed`, async () => {
    let told = 0;
    const onRun = (): void => {
      told += 1;
    };
    const result = await loop({ targets: [target], seed: SEED, seconds: 60, runs, onRun });
    assert.equal(result.failure, undefined, JSON.stringify(result.failure));
    assert.deepEqual([result.runs, told], [runs, runs]);
  });
}

for (const target of targets) {
  const kept = readCorpus(target.name);
  if (kept.length === 0) continue;
  test(`fuzz: ${target.name} holds for each of the ${kept.length} inputs that are kept, whole and in pieces`, async () => {
    await using open = await target.open();
    for (const exact of kept) {
      for (let seed = 0; seed < 8; seed += 1) await open.run(new Generator(seed), { kept, exact });
    }
    await open.check?.();
  });
}

test("fuzz: the same seed makes the same input", () => {
  const make = (seed: number): string => {
    const generator = new Generator(seed);
    return generator.mutated(generator.bytes(100)).toString("hex") + generator.pieces(Buffer.alloc(50)).length;
  };
  assert.equal(make(7), make(7));
  assert.notEqual(make(7), make(8));
});

test("fuzz: a corpus has one input in each line, and comments", () => {
  assert.deepEqual(parseCorpus("# all\nff 00 # a greeting\n\n7f\n"), [Buffer.of(0xff, 0), Buffer.of(0x7f)]);
  assert.throws(() => parseCorpus("abc"), /"abc" is not hexadecimal/);
  const names = readdirSync(new URL("corpus/", import.meta.url)).map((file) => file.replace(/\.hex$/, ""));
  assert.deepEqual(
    names.filter((name) => !targets.some((target) => target.name === name)),
    [],
  );
});

/** Runs the command of `npm run fuzz`. */
function command(...args: readonly string[]): { readonly status: number | null; readonly out: string; err: string } {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", main, ...args], {
    encoding: "utf8",
  });
  return { status, out: stdout, err: stderr };
}

test("fuzz: the command ends with what it did, for machines", () => {
  const { status, out } = command("--target", "commands", "--seed", "5", "--runs", "20", "--json");
  assert.equal(status, 0);
  const { runs, seconds, failures } = JSON.parse(out.trim().split("\n").at(-1)!);
  assert.deepEqual([runs, typeof seconds, failures], [20, "number", 0]);
});

test("fuzz: the command refuses a target or a number that it does not know", () => {
  assert.match(command("--target", "nothing").err, /--target is "nothing"; it has to be one of handshake-null/);
  const { status, err } = command("--seed", "x");
  assert.equal(status, 2);
  assert.match(err, /--seed is "x"/);
});
