import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Rivals in other languages, each a small program in `bench/peers/`. */
export const PEER_NAMES = ["aibrix", "llm-d", "dynamo"] as const;

export type PeerName = (typeof PEER_NAMES)[number];

/** Builds the programs, and says on standard error which are skipped and why. They stay for the next time. */
export function buildPeers(wanted: readonly PeerName[]): ReadonlyMap<PeerName, string> {
  const programs = new Map<PeerName, string>();
  for (const name of wanted) {
    const built = build(name);
    if ("program" in built) programs.set(name, built.program);
    else process.stderr.write(`skipped: ${name}: ${built.reason}\n`);
  }
  return programs;
}

function build(name: PeerName): { readonly program: string } | { readonly reason: string } {
  const source = fileURLToPath(new URL(`../peers/${name}`, import.meta.url));
  const folder = fileURLToPath(new URL(`../../node_modules/.cache/bench-peers/${name}`, import.meta.url));
  mkdirSync(folder, { recursive: true });
  const tool = existsSync(join(source, "go.mod")) ? "go" : "cargo";
  const goProgram = join(folder, name);
  const args =
    tool === "go"
      ? ["build", "-o", goProgram, "."]
      : ["build", "--release", "--locked", "--quiet", "--target-dir", folder];
  try {
    execFileSync(tool, args, { cwd: source, stdio: ["ignore", "pipe", "pipe"] });
    return { program: tool === "go" ? goProgram : join(folder, "release", `${name}-peer`) };
  } catch (error) {
    return { reason: failure(tool, error) };
  }
}

function failure(tool: string, error: unknown): string {
  const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: Buffer };
  if (code === "ENOENT") return `${tool} is not on the PATH`;
  return `${tool} build failed: ${stderr?.toString().trim() || String(error)}`;
}
