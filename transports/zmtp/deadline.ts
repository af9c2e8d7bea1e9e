import type { Clock } from "../../src/clock.ts";

/** A timer this late means that our own process did not run: the peer's bytes may lie unread in the kernel. */
const LATE_MS = 500;

/**
 * Calls `expire` once after `delayMs`, unless the returned function is called before. When the process itself was held
 * up, it gets the chance to read what came meanwhile before a peer is blamed.
 */
export function startDeadline(clock: Clock, delayMs: number, expire: () => void): () => void {
  let dueAt = clock.now() + delayMs;
  const fire = (): void => {
    const now = clock.now();
    if (now - dueAt <= LATE_MS) {
      expire();
      return;
    }
    dueAt = now + LATE_MS;
    timer = clock.setTimeout(fire, LATE_MS);
  };
  let timer = clock.setTimeout(fire, delayMs);
  return () => clock.clearTimeout(timer);
}
