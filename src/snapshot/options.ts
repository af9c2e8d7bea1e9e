import { ConfigurationError } from "../errors.ts";

/** From what a start is a warm one, and what is kept for the next. */
export interface WarmStartOptions {
  /** File that is read at the start, and written while running. Default none. */
  readonly snapshotPath?: string;
  /**
   * From one snapshot to the next, and nine times as long at least as one takes; 0 writes one at the end alone.
   * @default 60_000 // a replay covers more than a minute
   */
  readonly snapshotIntervalMs?: number;
  /** Other daemons' URLs, such as `http://10.0.0.9:8090`. Default none. */
  readonly peers?: readonly string[];
  /** Time for one peer, or the file, to be taken over. @default 60_000 // 10 M blocks, on loopback */
  readonly restoreTimeoutMs?: number;
}

/** The same, checked. */
export interface ResolvedWarmStartOptions {
  readonly snapshotPath: string | null;
  readonly snapshotIntervalMs: number;
  readonly peers: readonly string[];
  readonly restoreTimeoutMs: number;
}

const MAX_TIMER_MS = 2_147_483_647;

/** Throws ConfigurationError `invalid-option`. */
export function resolveWarmStartOptions(options: WarmStartOptions): ResolvedWarmStartOptions {
  for (const peer of options.peers ?? []) checkPeer(peer);
  return {
    snapshotPath: options.snapshotPath ?? null,
    snapshotIntervalMs: milliseconds("snapshotIntervalMs", options.snapshotIntervalMs ?? 60_000, 0),
    peers: options.peers ?? [],
    restoreTimeoutMs: milliseconds("restoreTimeoutMs", options.restoreTimeoutMs ?? 60_000, 1),
  };
}

function milliseconds(name: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least && value <= MAX_TIMER_MS) return value;
  throw new ConfigurationError("invalid-option", `${name} is ${value}: use a whole number of ms from ${least}`);
}

function checkPeer(peer: string): void {
  if (URL.canParse(peer) && /^https?:$/.test(new URL(peer).protocol)) return;
  throw new ConfigurationError(
    "invalid-option",
    `peer is ${JSON.stringify(peer)}: use a daemon's URL, such as http://10.0.0.9:8090`,
  );
}
