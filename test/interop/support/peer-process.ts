import { type ChildProcessByStdio, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** Whose process it is, and where; the test's own where nothing is said. */
export type PeerOptions = Pick<SpawnOptions, "cwd" | "env" | "uid" | "gid">;

/** Another program. Its standard output is read line by line, its standard error kept; disposing kills it. */
export class PeerProcess implements AsyncDisposable {
  readonly #name: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #exited: Promise<unknown>;
  #stderr = "";
  #woken: (() => void)[] = [];

  constructor(name: string, command: string, args: readonly string[], options: PeerOptions = {}) {
    this.#name = name;
    this.#child = spawn(command, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
    this.#reader = createInterface({ input: this.#child.stdout, crlfDelay: Number.POSITIVE_INFINITY });
    this.#lines = this.#reader[Symbol.asyncIterator]();
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    this.#exited = new Promise((resolve) => this.#child.once("close", resolve).once("error", resolve));
    void this.#exited.then(() => this.#wake());
  }

  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Throws when the process has ended. */
  async readLine(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done) return value;
    await this.#exited;
    throw this.#ended();
  }

  /** Resolves to the first match in what it wrote to its standard error. Throws when the process has ended. */
  async logged(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#stderr);
      if (match !== null) return match;
      if (this.#hasEnded) throw this.#ended();
      await new Promise<void>((resolve) => this.#woken.push(resolve));
    }
  }

  /** Sends the signal and resolves to the exit code, `null` where the signal ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.#hasEnded) {
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

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined;
  }

  #ended(): Error {
    return new Error(`${this.#name}: ended, ${this.#child.exitCode ?? this.#child.signalCode}\n${this.#stderr}`);
  }

  #wake(): void {
    for (const resolve of this.#woken.splice(0)) resolve();
  }
}
