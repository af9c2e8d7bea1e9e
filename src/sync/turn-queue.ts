import type { Clock } from "../clock.ts";

/**
 * What comes beside, such as a question, waits no longer than this for all streams together. With less of it the event
 * loop asks the system anew more often, and the longest waits, which are the machine's and the collector's, stay.
 */
const TURN_MS = 2;

/**
 * Divides the thread among the loops of all streams and replays: together they work so long in one turn of the event
 * loop, then each waits until it is called, the one that has waited longest first. With a limit for each alone, a
 * thousand of them would keep everything else waiting a thousand times as long.
 */
export class TurnQueue {
  readonly #clock: Clock;
  /** Worked by all, since they last made room for all else. */
  #turnMs = 0;
  #workedMs = 0;
  #waiting: (() => void)[] = [];
  #isCalling = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts what it takes: not the time on the wall, so that a recording is played in the same order at any speed. */
  work(piece: () => void): void {
    const startedMs = this.#clock.now();
    piece();
    const tookMs = this.#clock.now() - startedMs;
    this.#turnMs += tookMs;
    this.#workedMs += tookMs;
  }

  /** Whether it is time to wait for `next()`. */
  get isOver(): boolean {
    return this.#turnMs >= TURN_MS;
  }

  /** Worked by all, since the start. Of that time nobody can say whether an engine was silent, or was not listened to. */
  get workedMs(): number {
    return this.#workedMs;
  }

  /** Resolves when all else has had its turn, and those who waited before. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#isCalling) return;
      this.#isCalling = true;
      setImmediate(() => void this.#call());
    });
  }

  async #call(): Promise<void> {
    this.#turnMs = 0;
    const waiting = this.#waiting;
    this.#waiting = [];
    let called = 0;
    do {
      waiting[called++]!();
      // It works now, until it waits for something.
      await null;
    } while (called < waiting.length && !this.isOver);
    this.#waiting = [...waiting.slice(called), ...this.#waiting];
    this.#isCalling = false;
    if (this.#waiting.length > 0) {
      this.#isCalling = true;
      setImmediate(() => void this.#call());
    }
  }
}
