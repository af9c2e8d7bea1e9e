import type { Clock } from "../clock.ts";
import type { TurnQueue } from "./turn-queue.ts";

/**
 * Replays that are worked side by side. Few: of a thousand engines, with 32 at once all sockets together had so much to
 * read that each waited for the others, and fell silent for as long as a second.
 */
const PLACES = 8;

/** Whoever has a place is looked at so often: vLLM takes up to 100 ms to see a request, and others may ask meanwhile. */
const LOOK_MS = 20;

/**
 * The replays of all streams, in the order in which they were wanted. One that waits here has not been asked for yet: an
 * engine drops what it is asked for early and we read late, and what we read late looks like the silence of its engine.
 *
 * Those that keep the thread busy are no more than `PLACES`. While it is busy, nothing would be over sooner if another one
 * were let in. While it is not, those that have a place wait for their engines, which may be dead: each of them makes room
 * and goes on outside. So nobody waits here for an engine, but only for work that is being done.
 */
export class ReplayLine {
  readonly #clock: Clock;
  readonly #turns: TurnQueue;
  /** Who has a place, and the timer of the next look. */
  readonly #placed = new Map<object, unknown>();
  /** Who waits, the first first, and how it asks. */
  readonly #waiting = new Map<object, () => void>();
  #isCalling = false;

  constructor(clock: Clock, turns: TurnQueue) {
    this.#clock = clock;
    this.#turns = turns;
  }

  /** `ask` is called when it is this one's turn, once, and not before the caller is done. */
  enter(replay: object, ask: () => void): void {
    this.#waiting.set(replay, ask);
    this.#call();
  }

  /** It is over, or not wanted any more: `ask` is not called from now on. Idempotent. */
  leave(replay: object): void {
    this.#waiting.delete(replay);
    this.#clock.clearTimeout(this.#placed.get(replay));
    if (this.#placed.delete(replay)) this.#call();
  }

  /** Not at once: a manager that stops takes one after the other out, and the last of them is not to be asked for. */
  #call(): void {
    if (this.#isCalling) return;
    this.#isCalling = true;
    queueMicrotask(() => {
      this.#isCalling = false;
      for (const [replay, ask] of this.#waiting) {
        if (this.#placed.size === PLACES) return;
        this.#waiting.delete(replay);
        this.#look(replay);
        ask();
      }
    });
  }

  #look(replay: object): void {
    const look = (): void => {
      if (this.#turns.isAwaited) this.#look(replay);
      else this.leave(replay);
    };
    this.#placed.set(replay, this.#clock.setTimeout(look, LOOK_MS));
  }
}
