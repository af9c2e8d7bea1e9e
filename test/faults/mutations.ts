/**
 * `npm run test:mutations [-- --seconds 60] [--only TEXT]`: takes one check after the other out of a copy of the code, and lets the
 * simulated worlds find out. Each has to be caught by a seed; exit code 1 where one is not, or where the code has no
 * longer what is to be taken out.
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { formatTable } from "../../src/cli/table.ts";

interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const SEQUENCER = "src/sync/sequencer.ts";
const HANDLER = "src/sync/handler.ts";
const MANAGER = "src/sync/manager.ts";
const BLOCK_STORE = "src/indexer/block-store.ts";
const TABLE = "src/indexer/sync-prefix-hash-table.ts";

const MUTATIONS: readonly Mutation[] = [
  {
    name: "a new connection is taken for the old process's",
    file: SEQUENCER,
    from: '      this.#ask(this.#last === null ? "start" : "verify");',
    to: '      this.#isTrusted = true;\n      if (this.#last === null) this.#ask("start");',
  },
  {
    name: "a new connection without replay endpoint keeps what is known",
    file: SEQUENCER,
    from: 'if (this.#last !== null) this.#forget("unverified");\n    this.#isTrusted = true;\n  }',
    to: "this.#isTrusted = true;\n  }",
  },
  {
    name: "a replay that contradicts what is known is believed",
    file: SEQUENCER,
    from: "if (known === print) this.#identified();\n      else this.#contradicted();",
    to: "this.#identified();",
  },
  {
    name: "a replay need not show whose it is",
    file: SEQUENCER,
    from: "(replay.isIdentified && sequence === this.#last + 1)",
    to: "(sequence === this.#last + 1)",
  },
  {
    name: "what came live during a lost connection stays",
    file: SEQUENCER,
    from: "    this.#held.clear();\n    this.#pending.clear();\n    this.#isReplayDead",
    to: "    this.#isReplayDead",
  },
  {
    name: "a restart keeps the old blocks",
    file: SEQUENCER,
    from: '    this.#forget("restart");\n    this.#finish(false);\n    this.#highest = null;',
    to: "    this.#last = null;\n    this.#finish(false);\n    this.#highest = null;",
  },
  {
    name: "a gap without replay keeps what came before",
    file: SEQUENCER,
    from: '    if (this.#last !== null) this.#forget("gap");\n    this.#begin(sequence, payload);',
    to: "    this.#begin(sequence, payload);",
  },
  {
    name: "a hole that cannot be filled keeps what came before",
    file: SEQUENCER,
    from: 'if (this.#last !== null) this.#forget(this.#isTrusted ? "gap" : "unverified");',
    to: "this.#last = null;",
  },
  {
    name: "gaps are not noticed",
    file: SEQUENCER,
    from: "else if (sequence === this.#last + 1) {\n      this.#note",
    to: "else if (sequence > this.#last) {\n      this.#note",
  },
  {
    name: "a quiet stream is never checked",
    file: "src/sync/replay-runner.ts",
    from: "this.#sequencer.check();",
    to: "",
  },
  {
    name: "a partial stream is never rebuilt, and called live",
    file: SEQUENCER,
    from: 'return this.#first === 0 ? "live" : "partial";',
    to: 'return "live";',
  },
  {
    name: "a purge clears nothing",
    file: HANDLER,
    from: "for (const source of this.#sources.values()) this.#indexer.processAllBlocksCleared(source);",
    to: "",
  },
  {
    name: "AllBlocksCleared is ignored",
    file: TABLE,
    from: "      } else {\n        this.processAllBlocksCleared(source);\n      }",
    to: "      }",
  },
  {
    name: "BlockRemoved is ignored",
    file: TABLE,
    from: "this.#removal.remove(source, batch, at, end);",
    to: "",
  },
  {
    name: "a pod that moves keeps its stream",
    file: MANAGER,
    from: "isSameEndpoint(stream.endpoint, endpoint) && ",
    to: "",
  },
  {
    name: "a pod that goes leaves its blocks",
    file: "src/sync/stream.ts",
    from: "    this.#isClosed = true;\n    this.#handler.purge();",
    to: "    this.#isClosed = true;",
  },
  {
    name: "what is restored is answered without proof",
    file: "src/snapshot/restore.ts",
    from: "this.#indexer.importSource(item.source, item.blocks, item.groups);",
    to: "this.#indexer.importSource(item.source, item.blocks, item.groups);\n      this.#indexer.reveal(item.source);",
  },
  {
    name: "what is restored is not purged",
    file: "src/sync/stream.ts",
    from: "if (restored !== undefined) this.#handler.restore(restored.sources);",
    to: "",
  },
  {
    name: "a removal takes all tiers",
    file: "src/indexer/block-removal.ts",
    from: "if (holding === 0 || index.removePlace(holding, place)) continue;",
    to: "if (holding === 0) continue;",
  },
  {
    name: "removals that follow each other take all tiers",
    file: "src/indexer/block-removal.ts",
    from: "if (index.isOnlyIn(holding, place)) {",
    to: "if (place !== null) {",
  },
  {
    name: "an unknown parent is the root",
    file: BLOCK_STORE,
    from: "if (this.#parent === 0) return false;",
    to: 'if (this.#parent === 0) {\n      this.#hasher.root("", words, PARENT);\n      this.#chainFrom(i, count);\n      return true;\n    }',
  },
  {
    name: "the cache salt is no part of a block",
    file: "src/indexer/block-identity.ts",
    from: 'return strings.length === 0 ? "" : encodeKey(strings);',
    to: 'return "";',
  },
  {
    name: "adapters share blocks",
    file: "src/indexer/block-identity.ts",
    from: 'if (event.loraName !== null && event.loraName !== "") return event.loraName;',
    to: "",
  },
];

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "60" }, only: { type: "string", default: "" } },
});
const root = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

const folder = await mkdtemp(join(tmpdir(), "kv-event-sync-mutations-"));
try {
  for (const part of ["src", "transports", "test", "package.json", "tsconfig.json"]) {
    await cp(join(root, part), join(folder, part), { recursive: true });
  }
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  const rows: string[][] = [["MUTATION", "CAUGHT BY"]];
  let missed = 0;
  const chosen = MUTATIONS.filter(({ name }) => name.includes(values.only));
  for (const mutation of chosen) {
    const caught = await tryOut(mutation);
    if (caught === null) missed++;
    rows.push([mutation.name, caught ?? "nothing"]);
    console.error(`${mutation.name}: ${caught ?? "NOT CAUGHT"}`);
  }
  console.log(formatTable(rows));
  console.log(JSON.stringify({ mutations: chosen.length, caught: chosen.length - missed }));
  process.exitCode = missed === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true });
}

/** The seed, or the error, that tells; `null` for none. */
async function tryOut({ name, file, from, to }: Mutation): Promise<string | null> {
  const path = join(folder, file);
  const original = await readFile(path, "utf8");
  if (!original.includes(from)) throw new Error(`mutation "${name}": ${file} has no longer ${JSON.stringify(from)}`);
  await writeFile(path, original.replace(from, to));
  try {
    const args = [
      "--import",
      "tsx",
      "test/faults/main.ts",
      "--seeds",
      "100000",
      "--until-diverged",
      "--seconds",
      values.seconds,
    ];
    await run(process.execPath, args, { cwd: folder, timeout: 2_000 * Number(values.seconds) });
    return null;
  } catch (error) {
    const { stderr } = error as { readonly stderr?: string };
    return /seed (\d+)/.exec(stderr ?? "")?.[0] ?? "a crash";
  } finally {
    await writeFile(path, original);
  }
}
