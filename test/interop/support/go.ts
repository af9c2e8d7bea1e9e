import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { root } from "./python.ts";

const { CI } = process.env;
const BUILD_TIMEOUT_MS = 180_000;
const TIMEOUT_MS = 240_000;

interface Build {
  readonly program: string | null;
  /** Why there is none. */
  readonly reason: string;
}

const builds = new Map<string, Build>();

/** Builds the Go module in that folder of `test/interop`, once, into a folder that goes with this process. */
function build(module: string): Build {
  const folder = mkdtempSync(join(tmpdir(), "interop-go-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, module);
  const { error, status, stderr } = spawnSync("go", ["build", "-mod=readonly", "-o", program, "."], {
    cwd: join(root, "test/interop", module),
    encoding: "utf8",
    timeout: BUILD_TIMEOUT_MS,
  });
  if (status === 0) return { program, reason: "" };
  const isMissing = (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
  return { program: null, reason: isMissing ? "no Go: install 1.21 or later" : `go build failed: ${error ?? stderr}` };
}

/** Where Go, or a module, is missing the test is skipped, and says so; where all has to be there (`CI=true`) it fails. */
export function goTest(name: string, module: string, run: (program: string, t: TestContext) => Promise<void>): void {
  test(name, { timeout: TIMEOUT_MS }, async (t) => {
    const built = builds.get(module) ?? build(module);
    builds.set(module, built);
    if (built.program !== null) return run(built.program, t);
    if (CI === "true") throw new Error(built.reason);
    t.skip(built.reason);
  });
}
