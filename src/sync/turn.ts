import { setImmediate } from "node:timers/promises";
import type { Clock } from "../clock.ts";

/** A loop that never waits would keep timers and other streams waiting: no longer than this. */
const TURN_MS = 8;

/** Reminds a loop over batches that are all there already to let others have a turn. */
export class Turn {
  readonly #clock: Clock;
  #startedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.now();
  }

  /** Whether it is time to wait for `next()`. */
  get isOver(): boolean {
    return this.#clock.now() - this.#startedMs >= TURN_MS;
  }

  /** Resolves when all others have had their turn. */
  async next(): Promise<void> {
    await setImmediate();
    this.#startedMs = this.#clock.now();
  }
}
