import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A program of this folder, or a binary, as a process. */
export interface Program {
  readonly child: ChildProcess;
  /** Next line of standard output; rejects when it ended without one. */
  line(): Promise<string>;
  stop(): Promise<void>;
}

const LIMIT_MS = 120_000;

export function node(file: string, args: readonly string[], flags: readonly string[] = []): Program {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return program(process.execPath, [...flags, "--import", "tsx", path, ...args]);
}

export function program(command: string, args: readonly string[]): Program {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const limit = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  void ended.then(() => clearTimeout(limit));
  return {
    child,
    async line() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${command} ${args.join(" ")} ended without a line`);
      return value;
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
