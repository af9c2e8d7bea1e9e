import { KVEventSyncError } from "../errors.ts";

/**
 * Why a dump is not taken over. `corrupt-dump`: it is not what was written; `truncated-dump`: its end is missing;
 * `foreign-dump`: another program, another format or another hash wrote it.
 */
export type DumpErrorCode = "corrupt-dump" | "truncated-dump" | "foreign-dump";

export function dumpError(code: DumpErrorCode, problem: string, cause?: unknown): KVEventSyncError {
  return new KVEventSyncError(code, `dump: ${problem}`, cause === undefined ? {} : { cause });
}
