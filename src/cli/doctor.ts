import type { Command } from "commander";
import { createTransport } from "../container.ts";
import type { Check } from "../doctor/check.ts";
import { diagnose } from "../doctor/diagnose.ts";
import { ConfigurationError } from "../errors.ts";
import { type DaemonOptions, environmentSource } from "../options.ts";
import { numberFlag } from "./number-flag.ts";
import { serveCommand, serveOptions } from "./serve.ts";

type Flags = Parameters<typeof serveOptions>[0] & {
  readonly wait: number;
  readonly timeout: number;
  readonly maxPods: number;
  readonly json?: boolean;
};

/** `kv-event-sync doctor`: takes the options of `serve`, and says what a daemon with them would meet. */
export function doctorCommand(): Command {
  return serveCommand()
    .name("doctor")
    .description("Checks, with the options of serve, all that it needs, and says what is wrong and what to do.")
    .option("--wait <seconds>", "for the first event of an engine", numberFlag, 10)
    .option("--timeout <seconds>", "for connections and answers", numberFlag, 5)
    .option("--max-pods <count>", "pods of a cluster that are looked at", numberFlag, 10)
    .option("--json", "print JSON, as when piped: { ok, checks }")
    .action((flags: Flags) => doctor(flags));
}

async function doctor(flags: Flags): Promise<void> {
  const checks: Check[] = [];
  const isText = flags.json !== true && process.stdout.isTTY === true;
  for await (const check of run(flags)) {
    checks.push(check);
    if (isText) process.stdout.write(`${lineOf(check)}\n`);
  }
  const ok = checks.every(({ status }) => status !== "fail");
  if (isText) process.stdout.write(`${summaryOf(checks)}\n`);
  else process.stdout.write(`${JSON.stringify({ ok, checks })}\n`);
  if (!ok) process.exitCode = 1;
}

async function* run({ wait, timeout, maxPods, json: _json, ...flags }: Flags): AsyncGenerator<Check> {
  let options: DaemonOptions;
  let transport: Awaited<ReturnType<typeof createTransport>>;
  try {
    options = serveOptions(flags as Parameters<typeof serveOptions>[0], environmentSource());
    transport = await createTransport(options.transport, options);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    yield { check: "configuration", subject: "options", status: "fail", message: error.message };
    return;
  }
  const patience = { waitMs: milliseconds("--wait", wait), timeoutMs: milliseconds("--timeout", timeout) };
  yield* diagnose({ options, transport, patience, maxPods });
}

function milliseconds(flag: string, seconds: number): number {
  if (seconds > 0 && seconds <= 86_400) return seconds * 1_000;
  throw new ConfigurationError("invalid-option", `${flag} is ${seconds}: use seconds above 0`);
}

const MARKS: Readonly<Record<Check["status"], readonly [text: string, color: number]>> = {
  ok: ["ok", 32],
  warn: ["warn", 33],
  fail: ["FAIL", 31],
  skipped: ["-", 90],
};

/** `FAIL  handshake  ns/a rank 0: what, and what to do`. */
function lineOf({ check, subject, status, message }: Check): string {
  const [text, color] = MARKS[status];
  return `\u001b[${color}m${text.padEnd(4)}\u001b[0m  ${check.padEnd(13)}  ${subject}: ${message}`;
}

function summaryOf(checks: readonly Check[]): string {
  const count = (status: Check["status"]): number => checks.filter((check) => check.status === status).length;
  return `${count("ok")} ok, ${count("warn")} warnings, ${count("fail")} failures`;
}
