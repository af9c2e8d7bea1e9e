/** Time as the rest of the package sees it: passed in, so that a test can own it. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes backwards. */
  now(): number;
  /** As the global `setTimeout`; the handle is opaque. */
  setTimeout(callback: () => void, delayMs: number): unknown;
  /** Takes what `setTimeout` gave; any other value is ignored. */
  clearTimeout(handle: unknown): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/** Resolves after this time, or when the signal is aborted. */
export function pause(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) return done();
    const timer = clock.setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
    function end(): void {
      clock.clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    }
  });
}
