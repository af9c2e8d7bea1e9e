import type { Logger } from "pino";
import { type Clock, systemClock } from "../clock.ts";
import { type Burst, LineLimiter } from "./line-limiter.ts";

/** Levels at which lines are logged here. */
export type Level = "trace" | "debug" | "info" | "warn" | "error";

/** A log in which whatever flaps is heard a few times in a minute, and then summed up in one line. */
export class LimitedLog implements Disposable {
  readonly #logger: Logger;
  readonly #limiter: LineLimiter;
  /** At which the lines of a kind are logged, so that their sum is as well. */
  readonly #levels = new Map<string, Level>();

  constructor(logger: Logger, clock: Clock = systemClock) {
    this.#logger = logger;
    this.#limiter = new LineLimiter(clock, (burst) => this.#sumUp(burst));
  }

  /** `kind` is one of few; `subject` is whom the line is about, such as a pod's key. A level that is off costs nothing. */
  say(level: Level, kind: string, subject: string, fields: object, message: string): void {
    if (!this.#logger.isLevelEnabled(level) || !this.#limiter.admit(kind, subject)) return;
    this.#levels.set(kind, level);
    this.#logger[level](fields, message);
  }

  /** Sums up what was left out so far. */
  [Symbol.dispose](): void {
    this.#limiter[Symbol.dispose]();
  }

  #sumUp({ kind, lines, subjects, named }: Burst): void {
    const level = this.#levels.get(kind) ?? "info";
    const others = subjects > named.length ? ` and ${subjects - named.length} others` : "";
    const message = `${kind}: ${lines} more lines were left out, about ${named.join(", ")}${others}`;
    this.#logger[level]({ kind, suppressed: lines, subjects: named }, message);
  }
}
