import { KVEventSyncError } from "../errors.ts";

/** Says in one line why the command failed; a stack is shown only for what is our own fault. */
export function fail(error: unknown): void {
  const isExpected = error instanceof KVEventSyncError || (error instanceof Error && "code" in error);
  const text = error instanceof Error ? (isExpected ? error.message : (error.stack ?? error.message)) : String(error);
  process.stderr.write(`kv-event-sync: ${text}\n`);
  process.exitCode = 1;
}
