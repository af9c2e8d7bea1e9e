import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { node, type Program, program } from "./processes.ts";

/** What one receiver did with one stream. */
export interface Reading {
  readonly messages: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

export type Receiver = "ours" | "zeromq" | "libzmq_c" | "net";

/** Compiles the subscriber in C. `null`, with the reason on standard error, where that cannot be done. */
export function compileSubscriber(): string | null {
  const source = fileURLToPath(new URL("./peers/sub.c", import.meta.url));
  const binary = join(mkdtempSync(join(tmpdir(), "bench-transport-")), "sub");
  try {
    execFileSync("cc", ["-O2", "-o", binary, source, "-lzmq"], { stdio: "pipe" });
    return binary;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    process.stderr.write(`skipped: libzmq in C (${reason}); it needs a C compiler and libzmq3-dev\n`);
    return null;
  }
}

/** Starts the stream, lets one receiver read it, and ends both. */
export async function read(
  receiver: Receiver,
  payloadBytes: number,
  messages: number,
  subscriber: string | null,
): Promise<Reading> {
  const server = node("./stream-server.ts", [String(payloadBytes)]);
  let reader: Program | undefined;
  try {
    const endpoint = await server.line();
    const counts = [endpoint, String(Math.ceil(messages / 5)), String(messages)];
    reader =
      receiver === "libzmq_c"
        ? program(subscriber!, counts)
        : node("./receive.ts", [receiver, ...counts, String(payloadBytes)]);
    return JSON.parse(await reader.line()) as Reading;
  } finally {
    await Promise.all([server.stop(), reader?.stop()]);
  }
}
