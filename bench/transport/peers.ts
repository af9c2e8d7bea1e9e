import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { node, type Program, program } from "./processes.ts";

/** What this machine has beside Node. */
export interface Peers {
  /** A publisher that writes the same encoded messages over and over; in C where there is a compiler. */
  sender(payloadBytes: number): Program;
  readonly senderLanguage: "C" | "Node";
  /** libzmq's subscriber in C. */
  readonly libzmq: ((args: readonly string[]) => Program) | null;
  /** Whether the `zeromq` package is there. */
  readonly hasZeromq: boolean;
  /** Removes what was compiled. */
  dispose(): void;
}

/** Compiles what can be compiled, and says on standard error what is skipped. */
export function findPeers(): Peers {
  const folder = mkdtempSync(join(tmpdir(), "bench-transport-"));
  const sender = compile(folder, "send", []);
  const subscriber = compile(folder, "sub", ["-lzmq"]);
  if (sender === null) skipped("the sender in C: it needs a C compiler; Node sends instead");
  if (subscriber === null) skipped("libzmq in C: it needs a C compiler and libzmq3-dev");
  const hasZeromq = isInstalled("zeromq");
  if (!hasZeromq) skipped("npm zeromq: it is not installed");
  return {
    sender: (payloadBytes) =>
      sender === null ? node("./stream-server.ts", [String(payloadBytes)]) : program(sender, [String(payloadBytes)]),
    senderLanguage: sender === null ? "Node" : "C",
    libzmq: subscriber === null ? null : (args) => program(subscriber, args),
    hasZeromq,
    dispose: () => rmSync(folder, { recursive: true }),
  };
}

function compile(folder: string, name: string, libraries: readonly string[]): string | null {
  const source = fileURLToPath(new URL(`./peers/${name}.c`, import.meta.url));
  const binary = join(folder, name);
  try {
    execFileSync("cc", ["-O2", "-o", binary, source, ...libraries], { stdio: "pipe" });
    return binary;
  } catch {
    return null;
  }
}

/** Whether a package can be imported, without importing it. */
export function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

function skipped(what: string): void {
  process.stderr.write(`skipped: ${what}\n`);
}
