import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";

/** Of the repository. */
export const root: string = fileURLToPath(new URL("../../..", import.meta.url));

const { CI, PYTHON } = process.env;
const TIMEOUT_MS = 240_000;
const INSTALL = "python3 -m venv .venv && .venv/bin/pip install pyzmq msgspec";

/** The first of `PYTHON`, `.venv` and `python3` that has these modules, by default what an engine needs; `null` if none has. */
export function findPython(modules = "zmq, msgspec"): string | null {
  const candidates = [PYTHON, join(root, ".venv/bin/python"), "python3"];
  const imports = ["-c", `import ${modules}`];
  for (const candidate of candidates) {
    if (candidate === undefined || (candidate.startsWith("/") && !existsSync(candidate))) continue;
    if (spawnSync(candidate, imports, { stdio: "ignore" }).status === 0) return candidate;
  }
  return null;
}

const found = findPython();

/** Where Python lacks a package the test is skipped, and says so; where all has to be there (`CI=true`) it fails. */
export function pythonTest(name: string, run: (python: string, t: TestContext) => Promise<void>): void {
  test(name, { timeout: TIMEOUT_MS }, async (t) => {
    if (found !== null) return run(found, t);
    const reason = `no Python with pyzmq and msgspec: ${INSTALL}, or name one in PYTHON`;
    if (CI === "true") throw new Error(reason);
    t.skip(reason);
  });
}
