/** Long enough for a coarse clock of CPU time. */
const REPEATED_MS = 300;

/** Seconds of CPU that one step took, and seconds that went by. */
export interface Took {
  readonly cpuSeconds: number;
  readonly seconds: number;
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
