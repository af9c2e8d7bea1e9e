import { setTimeout as pause } from "node:timers/promises";

/** Time that nothing in these tests needs, on a busy machine neither. */
const DEADLINE_MS = 120_000;
const PAUSE_MS = 20;

/** Another process tells its state only when it is asked: asks until the answer is good, and throws at the deadline. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  isGood: (answer: T) => boolean,
  deadlineMs: number = DEADLINE_MS,
): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (isGood(answer)) return answer;
    if (performance.now() > endMs) {
      throw new Error(`${what}: not so after ${deadlineMs} ms; at last ${JSON.stringify(answer)}`);
    }
    await pause(PAUSE_MS);
  }
}
