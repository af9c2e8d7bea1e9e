import type { Clock } from "../../src/clock.ts";

/** Calls back after so long, at once meaning after what runs now: in a microtask, so that no real timer decides an order. */
export function after(clock: Clock, delayMs: number, callback: () => void): () => void {
  if (delayMs > 0) {
    const timer = clock.setTimeout(callback, delayMs);
    return () => clock.clearTimeout(timer);
  }
  let isCancelled = false;
  queueMicrotask(() => {
    if (!isCancelled) callback();
  });
  return () => {
    isCancelled = true;
  };
}
