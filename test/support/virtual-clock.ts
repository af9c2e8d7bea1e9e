import type { Clock } from "../../src/clock.ts";

/** Time that passes only when a test says so. */
export interface VirtualClock extends Clock {
  /** Timers that would still fire. */
  readonly pending: number;
  /** Lets `ms` pass. Timers fire in order, each at its own moment, and what each sets off is done before the next. */
  advance(ms: number): Promise<void>;
  /** Lets time pass until the promise settles. Throws when it never will: no timer is left, or `limitMs` is over. */
  run<T>(promise: Promise<T>, limitMs?: number): Promise<T>;
}

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** A clock that stands at 0. */
export function virtualClock(): VirtualClock {
  let now = 0;
  /** The next to fire comes first; of several at one moment the one that was set first. */
  const timers: Timer[] = [];

  const fire = async (timer: Timer): Promise<void> => {
    timers.splice(timers.indexOf(timer), 1);
    now = Math.max(now, timer.at);
    timer.callback();
    await settled();
  };

  return {
    get pending() {
      return timers.length;
    },
    now: () => now,
    setTimeout(callback, delayMs) {
      const timer = { at: now + Math.max(0, delayMs), callback };
      let place = timers.length;
      while (place > 0 && timers[place - 1]!.at > timer.at) place -= 1;
      timers.splice(place, 0, timer);
      return timer;
    },
    clearTimeout(handle) {
      const place = timers.indexOf(handle as Timer);
      if (place >= 0) timers.splice(place, 1);
    },
    async advance(ms) {
      const end = now + ms;
      await settled();
      for (let next = timers[0]; next !== undefined && next.at <= end; next = timers[0]) await fire(next);
      now = end;
    },
    async run(promise, limitMs = 86_400_000) {
      const end = now + limitMs;
      let isSettled = false;
      const mark = (): void => {
        isSettled = true;
      };
      promise.then(mark, mark);
      await settled();
      while (!isSettled) {
        const next = timers[0];
        if (next === undefined) throw new Error(`at ${now} ms: no timer is left, and still nothing has happened`);
        if (next.at > end) throw new Error(`nothing has happened in ${limitMs} ms`);
        await fire(next);
      }
      return promise;
    },
  };
}

/** Resolves when everything that runs without waiting for time or I/O is done: all microtasks come before a turn. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
