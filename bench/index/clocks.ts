import { type PerformanceEntry, PerformanceObserver } from "node:perf_hooks";

/** Long enough for a coarse clock of CPU time. */
const REPEATED_MS = 300;

/** Seconds of CPU that one step took, and seconds that went by. */
export interface Took {
  readonly cpuSeconds: number;
  readonly seconds: number;
}

/** What V8 did meanwhile. */
export interface Collected {
  readonly gcMs: number;
  readonly maxGcMs: number;
}

/** What one step takes, after a collection. CPU is that of the whole process: of all threads of V8, too. */
export function timed(step: () => void): Took {
  globalThis.gc?.();
  const startedMs = performance.now();
  const started = process.cpuUsage();
  step();
  const { user, system } = process.cpuUsage(started);
  return { cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - startedMs) / 1_000 };
}

/** What one time of a short step takes, of many. */
export function timedOften(step: () => void): Took {
  let times = 0;
  const { cpuSeconds, seconds } = timed(() => {
    const startedMs = performance.now();
    do {
      step();
      times++;
    } while (performance.now() - startedMs < REPEATED_MS);
  });
  return { cpuSeconds: cpuSeconds / times, seconds: seconds / times };
}

/** The same as `timed`, and what was collected during the step. */
export async function timedWithGc(step: () => void): Promise<Took & Collected> {
  const entries: PerformanceEntry[] = [];
  const observer = new PerformanceObserver((list) => void entries.push(...list.getEntries()));
  observer.observe({ entryTypes: ["gc"] });
  let startedMs = 0;
  let endedMs = 0;
  const took = timed(() => {
    startedMs = performance.now();
    step();
    endedMs = performance.now();
  });
  // Collections are told of in a later turn of the event loop.
  await new Promise((resolve) => setTimeout(resolve, 10));
  observer.disconnect();
  // Without the one that `timed` begins with.
  const pauses = entries.filter(({ startTime }) => startTime >= startedMs && startTime <= endedMs);
  const durations = pauses.map(({ duration }) => duration);
  return { ...took, gcMs: durations.reduce((sum, ms) => sum + ms, 0), maxGcMs: Math.max(0, ...durations) };
}
