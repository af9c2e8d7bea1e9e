import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** Another program. What it prints is read line by line; disposing kills it. */
export class PeerProcess implements AsyncDisposable {
  readonly #name: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #exited: Promise<unknown>;
  #stderr = "";

  constructor(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#name = name;
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env });
    this.#reader = createInterface({ input: this.#child.stdout, crlfDelay: Number.POSITIVE_INFINITY });
    this.#lines = this.#reader[Symbol.asyncIterator]();
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.#exited = new Promise((resolve) => this.#child.once("close", resolve).once("error", resolve));
  }

  /** What it wrote to its standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Throws when the process has ended. */
  async readLine(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done) return value;
    await this.#exited;
    throw new Error(`${this.#name}: ended, ${this.#child.exitCode ?? this.#child.signalCode}\n${this.#stderr}`);
  }

  /** Sends the signal and resolves to the exit code, `null` where the signal ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined) {
      const exited = once(this.#child, "exit");
      this.#child.kill(signal);
      await exited;
    }
    this.#child.stdin.destroy();
    this.#reader.close();
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
    await this.#exited;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}
