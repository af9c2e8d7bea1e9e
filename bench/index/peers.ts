import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isRight } from "./measures.ts";
import { BLOCK_SIZE, type Question, type Workload } from "./workload.ts";
import { encodeWorkload, fileWorkload } from "./workload-file.ts";

/** Rivals in other languages, each a small program in `bench/peers/`. */
export const PEER_NAMES = ["aibrix", "llm-d", "dynamo"] as const;

export type PeerName = (typeof PEER_NAMES)[number];

/** What one program says of one run. */
export interface PeerReading {
  readonly ingestCpuSeconds: number;
  readonly ingestSeconds: number;
  /** Hashing of tokens, where the rival has it done before. */
  readonly hashCpuSeconds?: number;
  /** Microseconds of CPU for 512 blocks; `null` where no question goes deep. */
  readonly match512Us: number | null;
  readonly wrong: number;
}

/** The programs that are there, and the workload that they are given. */
export interface Peers {
  readonly names: readonly PeerName[];
  /** Runs one program once, from nothing, on so many processors (a Rust program has one thread). */
  run(name: PeerName, procs: number): Promise<PeerReading>;
  /** Removes the workload; the programs stay for the next time. */
  dispose(): void;
}

/** AIBrix counts blocks in bytes, four to a token. */
const ENVIRONMENT = { AIBRIX_PREFIX_CACHE_BLOCK_SIZE: String(4 * BLOCK_SIZE) };
const RUN_LIMIT_MS = 600_000;
const OUTPUT_BYTES = 1 << 28;

/** Builds the programs, says on standard error which are skipped and why, and writes the workload for them. */
export function findPeers(wanted: readonly PeerName[], workload: Workload): Peers {
  const programs = new Map<PeerName, string>();
  for (const name of wanted) {
    const built = build(name);
    if ("program" in built) programs.set(name, built.program);
    else process.stderr.write(`skipped: ${name}: ${built.reason}\n`);
  }
  const folder = mkdtempSync(join(tmpdir(), "bench-index-"));
  const file = join(folder, "workload");
  if (programs.size > 0) writeFileSync(file, encodeWorkload(fileWorkload(workload)));
  return {
    names: [...programs.keys()],
    run: async (name, procs) => {
      const options = {
        env: { ...process.env, ...ENVIRONMENT, GOMAXPROCS: String(procs) },
        timeout: RUN_LIMIT_MS,
        maxBuffer: OUTPUT_BYTES,
      };
      const { stdout } = await promisify(execFile)(programs.get(name)!, [file], options);
      const { answers, ...reading } = JSON.parse(stdout) as PeerOutput;
      return { ...reading, wrong: wrongAnswers(name, workload, answers) };
    },
    dispose: () => rmSync(folder, { recursive: true }),
  };
}

interface PeerOutput extends Omit<PeerReading, "wrong"> {
  /** Of each question, by pod: blocks, or per cent of the prompt by AIBrix. */
  readonly answers: readonly Readonly<Record<string, number>>[];
}

/** How many answers are not what they should be, each in the peer's own unit. */
export function wrongAnswers(
  name: PeerName,
  { questions, pods }: Pick<Workload, "questions" | "pods">,
  answers: readonly Readonly<Record<string, number>>[],
): number {
  const right = questions.map((question) => (name === "aibrix" ? inPercent(question) : question));
  return right.filter((question, at) => !isRight(question, pods, new Map(Object.entries(answers[at] ?? {})))).length;
}

/** AIBrix gives the whole per cent below. */
function inPercent({ tokens, blocksByPod }: Question): Question {
  const all = Math.floor(tokens.length / BLOCK_SIZE);
  const percent = [...blocksByPod].map(([pod, blocks]) => [pod, Math.floor((100 * blocks) / all)] as const);
  return { tokens, blocksByPod: new Map(percent) };
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
