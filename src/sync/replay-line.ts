import type { Clock } from "../clock.ts";
import type { TurnQueue } from "./turn-queue.ts";

/**
 * Replays that are worked side by side. Few: of a thousand engines, with 16 at once all sockets together could have so
 * much to read that each waited for the others, and seemed silent for as long as a second.
 */
const PLACES = 8;

/** So long a place is held without a first answer: vLLM takes up to 100 ms to see a request, and others may ask meanwhile. */
const ASKED_MS = 20;

/** So long it is held after an answer: the next one comes at once, but may have to wait until we read it. */
const ANSWERED_MS = 100;

/** While somebody waits, it is looked so often whether there is room. */
const LOOK_MS = 10;

/** Of that time we work at least so much, unless it is the network that keeps replays from being over. */
const BUSY_SHARE = 0.5;

/**
 * The replays of all streams, in the order in which they were wanted. One that waits here has not been asked for yet: an
 * engine drops what it is asked for early and we read late, and what we read late looks like the silence of its engine.
 *
 * A place is held by whoever asked or was answered a moment ago. While `PLACES` or more are held nobody is let in, but for
 * one at each look that finds us idle. So a dead engine keeps the others waiting for a moment and no longer; and slow
 * ones, which hold a place with each answer, do not hold up the fleet.
 */
export class ReplayLine {
  readonly #clock: Clock;
  readonly #turns: Pick<TurnQueue, "workedMs">;
  /** Who has a place, and until when. */
  readonly #placed = new Map<object, number>();
  /** Who waits, the first first, and how it asks. */
  readonly #waiting = new Map<object, () => void>();
  #isCalling = false;
  #timer: unknown;

  constructor(clock: Clock, turns: Pick<TurnQueue, "workedMs">) {
    this.#clock = clock;
    this.#turns = turns;
  }

  /** `ask` is called when it is this one's turn, once, and not before the caller is done. */
  enter(replay: object, ask: () => void): void {
    this.#waiting.set(replay, ask);
    this.#call();
  }

  /** It was asked for, and something came. */
  answered(replay: object): void {
    this.#placed.set(replay, this.#clock.now() + ANSWERED_MS);
  }

  /** It is over, or not wanted any more: `ask` is not called from now on. Idempotent. */
  leave(replay: object): void {
    this.#waiting.delete(replay);
    this.#placed.delete(replay);
    this.#call();
  }

  /** Not at once: a manager that stops takes one after the other out, and the last of them is not to be asked for. */
  #call(): void {
    if (this.#isCalling) return;
    this.#isCalling = true;
    queueMicrotask(() => {
      this.#isCalling = false;
      while (this.#waiting.size > 0 && this.#hasRoom()) this.#letIn();
      if (this.#waiting.size > 0) this.#lookAgain();
      else this.#stopLooking();
    });
  }

  #hasRoom(): boolean {
    if (this.#placed.size < PLACES) return true;
    const nowMs = this.#clock.now();
    for (const [replay, untilMs] of this.#placed) if (untilMs <= nowMs) this.#placed.delete(replay);
    return this.#placed.size < PLACES;
  }

  #letIn(): void {
    for (const [replay, ask] of this.#waiting) {
      this.#waiting.delete(replay);
      this.#placed.set(replay, this.#clock.now() + ASKED_MS);
      ask();
      return;
    }
  }

  #lookAgain(): void {
    if (this.#timer !== undefined) return;
    const fromMs = this.#clock.now();
    const { workedMs } = this.#turns;
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      const share = (this.#turns.workedMs - workedMs) / (this.#clock.now() - fromMs);
      if (share < BUSY_SHARE) this.#letIn();
      this.#call();
    }, LOOK_MS);
  }

  #stopLooking(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
