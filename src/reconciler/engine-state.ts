/** What an engine tells over HTTP of its cache; `null` for what it does not tell. */
export interface EngineState {
  /** vLLM's `/is_sleeping`: its cache is gone, of whatever level the sleep is. */
  readonly isSleeping: boolean | null;
  /** When its process started, in seconds since 1970. */
  readonly startedAtSeconds: number | null;
  /** Blocks that its cache has room for. */
  readonly gpuBlocks: number | null;
}

/** What was seen of an engine until now. */
export interface EngineHistory {
  readonly last: EngineState;
  /** Whether this sleep's purge has been asked for. */
  readonly isSettled: boolean;
}

/** What follows from a look at an engine. */
export interface Judgement {
  readonly history: EngineHistory;
  /** Why its cache is known to be gone; `null`: nothing says so. */
  readonly dropped: "sleeps" | "restarted" | "resized" | null;
}

/** Two readings of the same start may differ by the clock's rounding. */
const SAME_START_SECONDS = 1;

/**
 * Judges a look at an engine by the one before. A sleep counts when it is seen twice in a row: by then nothing that was
 * published before it is under way any more. That little of the cache is in use (`vllm:kv_cache_usage_perc` 0) says
 * nothing: blocks that are free keep their content until they are needed.
 */
export function judge(history: EngineHistory | null, now: EngineState): Judgement {
  if (history === null) return { history: { last: now, isSettled: false }, dropped: null };
  const { last } = history;
  if (isOther(last.startedAtSeconds, now.startedAtSeconds, SAME_START_SECONDS)) return settled(now, "restarted");
  if (isOther(last.gpuBlocks, now.gpuBlocks, 0)) return settled(now, "resized");
  const sleepsOn = last.isSleeping === true && now.isSleeping === true;
  if (sleepsOn && !history.isSettled) return settled(now, "sleeps");
  return { history: { last: known(last, now), isSettled: sleepsOn && history.isSettled }, dropped: null };
}

function settled(now: EngineState, dropped: Judgement["dropped"]): Judgement {
  return { history: { last: now, isSettled: true }, dropped };
}

function isOther(before: number | null, now: number | null, tolerance: number): boolean {
  return before !== null && now !== null && Math.abs(before - now) > tolerance;
}

/** What an engine does not tell now, it may have told before. */
function known(last: EngineState, now: EngineState): EngineState {
  return {
    isSleeping: now.isSleeping,
    startedAtSeconds: now.startedAtSeconds ?? last.startedAtSeconds,
    gpuBlocks: now.gpuBlocks ?? last.gpuBlocks,
  };
}

/**
 * Reads the two figures out of `/metrics` in the Prometheus text format: `process_start_time_seconds`, and the label
 * `num_gpu_blocks` of `vllm:cache_config_info` (`vllm/v1/metrics/loggers.py`). With several engines in one process, the
 * sum of their blocks.
 */
export function readMetrics(text: string): Pick<EngineState, "startedAtSeconds" | "gpuBlocks"> {
  let startedAtSeconds: number | null = null;
  let gpuBlocks: number | null = null;
  for (const line of text.split("\n")) {
    if (line.startsWith("process_start_time_seconds ")) startedAtSeconds = finite(line.slice(line.lastIndexOf(" ")));
    if (!line.startsWith("vllm:cache_config_info{")) continue;
    const blocks = finite(/[{,]num_gpu_blocks="(\d+)"/.exec(line)?.[1]);
    if (blocks !== null) gpuBlocks = (gpuBlocks ?? 0) + blocks;
  }
  return { startedAtSeconds, gpuBlocks };
}

/** `{"is_sleeping": true}`; `null` for any other answer. */
export function readSleeping(body: string): boolean | null {
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== "object" || answer === null) return null;
    const { is_sleeping: isSleeping } = answer as { readonly is_sleeping?: unknown };
    return typeof isSleeping === "boolean" ? isSleeping : null;
  } catch {
    return null;
  }
}

function finite(text: string | undefined): number | null {
  const value = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}
