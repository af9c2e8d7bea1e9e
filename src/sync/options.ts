import { ConfigurationError } from "../errors.ts";

/** How streams are kept in order; the same for all streams of a manager. Times in milliseconds. */
export interface StreamOptions {
  /**
   * Time for a replay endpoint to give its first answer.
   * @default 5_000 // AIBrix's AIBRIX_ZMQ_REPLAY_TIMEOUT; what comes live waits so long at most, from when it is asked
   */
  readonly replayTimeoutMs?: number;
  /**
   * Silence in the middle of a replay after which it is taken for over: vLLM's end marker is the first to be lost.
   * @default 1_000 // a replay comes in one go
   */
  readonly replayIdleMs?: number;
  /**
   * Bytes of live batches that one stream holds back during a replay, and as many of replayed ones.
   * @default 67_108_864 // 64 MiB: thousands of large batches
   */
  readonly maxHeldBytes?: number;
  /**
   * Quiet after which a stream asks its replay endpoint whether it missed the last batches; 0 never asks. While it stays
   * quiet the time doubles from one question to the next, up to `quietCheckMaxMs`: the answer may be lost as well.
   * @default 2_000 // answered with one batch
   */
  readonly quietCheckMs?: number;
  /** Longest such time. @default 60_000 // a question a minute, of an engine that does nothing else */
  readonly quietCheckMaxMs?: number;
  /**
   * First delay before a partial stream asks for the whole picture again; doubles up to `replayRetryMaxMs`.
   * @default 1_000 // AIBrix's AIBRIX_ZMQ_RECONNECT_INTERVAL
   */
  readonly replayRetryMinMs?: number;
  /** Longest such delay. @default 30_000 */
  readonly replayRetryMaxMs?: number;
}

/** `StreamOptions` with every default in place. */
export type ResolvedStreamOptions = Readonly<Required<StreamOptions>>;

const DEFAULTS: ResolvedStreamOptions = {
  replayTimeoutMs: 5_000,
  replayIdleMs: 1_000,
  maxHeldBytes: 67_108_864,
  quietCheckMs: 2_000,
  quietCheckMaxMs: 60_000,
  replayRetryMinMs: 1_000,
  replayRetryMaxMs: 30_000,
};

/** The longest delay that a timer takes. */
const MAX_TIMER_MS = 2_147_483_647;

/** Fills in the defaults. Throws ConfigurationError `invalid-option` for a number that cannot be used. */
export function resolveStreamOptions(options: StreamOptions = {}): ResolvedStreamOptions {
  const numbers: Record<keyof StreamOptions, number> = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as (keyof StreamOptions)[]) {
    const value = options[name] ?? DEFAULTS[name];
    const lowest = name === "quietCheckMs" ? 0 : 1;
    const highest = name.endsWith("Ms") ? MAX_TIMER_MS : Number.MAX_SAFE_INTEGER;
    if (!Number.isInteger(value) || value < lowest || value > highest) {
      throw new ConfigurationError(
        "invalid-option",
        `stream: ${name} is ${value}; it has to be a whole number from ${lowest} to ${highest}`,
      );
    }
    numbers[name] = value;
  }
  checkRange("replayRetryMinMs", "replayRetryMaxMs", numbers);
  checkRange("quietCheckMs", "quietCheckMaxMs", numbers);
  return numbers;
}

function checkRange(least: keyof StreamOptions, most: keyof StreamOptions, numbers: ResolvedStreamOptions): void {
  if (numbers[most] >= numbers[least]) return;
  throw new ConfigurationError(
    "invalid-option",
    `stream: ${most} ${numbers[most]} is below ${least} ${numbers[least]}; raise it`,
  );
}
