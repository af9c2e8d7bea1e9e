import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url));

/** A command of ours as a process. */
export interface RunningCommand {
  readonly child: ChildProcessWithoutNullStreams;
  /** The next line of standard output. Throws when there is none any more. */
  line(): Promise<string>;
  /** The next line of standard error that matches. Throws when there is none any more. */
  errorLine(words: RegExp): Promise<string>;
  /** Resolves when it has ended, with all that it printed. */
  end(): Promise<{ readonly code: number | null; readonly lines: readonly string[]; readonly stderr: string }>;
}

/** Starts `kv-event-sync` with these arguments; it is killed when the test is over. */
export function run(
  context: TestContext,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): RunningCommand {
  // What the tests themselves run on is not what the command is asked to.
  const env = { ...process.env, KV_TRANSPORT: "", ...environment };
  const child = spawn(process.execPath, ["--import", "tsx", cli, ...args], { env, stdio: "pipe" });
  context.after(() => {
    child.kill("SIGKILL");
  });
  const out = new Lines(child.stdout);
  const err = new Lines(child.stderr);
  const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
  return {
    child,
    line: () => out.next(() => true),
    errorLine: (words) => err.next((line) => words.test(line)),
    end: async () => ({ code: await ended, lines: out.all, stderr: err.all.join("\n") }),
  };
}

class Lines {
  readonly all: string[] = [];
  #read = 0;
  #isEnded = false;
  #wake: (() => void)[] = [];

  constructor(stream: NodeJS.ReadableStream) {
    const reader = createInterface({ input: stream });
    reader.on("line", (line) => {
      this.all.push(line);
      this.#wakeAll();
    });
    reader.on("close", () => {
      this.#isEnded = true;
      this.#wakeAll();
    });
  }

  async next(isWanted: (line: string) => boolean): Promise<string> {
    for (;;) {
      while (this.#read < this.all.length) {
        const line = this.all[this.#read++]!;
        if (isWanted(line)) return line;
      }
      if (this.#isEnded) throw new Error(`the command ended after:\n${this.all.join("\n")}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
