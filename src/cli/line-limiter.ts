import type { Clock } from "../clock.ts";

/** Of one kind, in a minute: for one subject, so that one that flaps does not drown the others, and in all. */
const LINES_PER_SUBJECT = 6;
const LINES_PER_KIND = 60;
const MINUTE_MS = 60_000;
/** Subjects that a burst names, and those that it counts: whoever makes up pods must not fill the memory. */
const NAMED = 5;
const COUNTED = 1_000;

/** Lines of one kind that were left out in a minute. */
export interface Burst {
  readonly kind: string;
  readonly lines: number;
  /** Of whom they were: how many, counted up to 1,000, and the first of them. */
  readonly subjects: number;
  readonly named: readonly string[];
}

interface Kind {
  lines: number;
  leftOut: number;
  /** Lines by subject. */
  readonly subjects: Map<string, number>;
  readonly silenced: Set<string>;
}

/**
 * Says which lines are logged, minute by minute from the first line on; at the end of each, what was left out is told in
 * one line for each kind. Disposing tells it at once, and leaves no timer.
 */
export class LineLimiter implements Disposable {
  readonly #clock: Clock;
  readonly #tell: (burst: Burst) => void;
  readonly #kinds = new Map<string, Kind>();
  #timer: unknown = null;

  constructor(clock: Clock, tell: (burst: Burst) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Whether this line is logged. `kind` is one of few, `subject` whom it is about. */
  admit(kind: string, subject: string): boolean {
    this.#timer ??= this.#clock.setTimeout(() => this.#endMinute(), MINUTE_MS);
    const known = this.#kinds.get(kind) ?? { lines: 0, leftOut: 0, subjects: new Map(), silenced: new Set() };
    this.#kinds.set(kind, known);
    const lines = known.subjects.get(subject) ?? 0;
    if (lines >= LINES_PER_SUBJECT || known.lines >= LINES_PER_KIND) {
      known.leftOut++;
      if (known.silenced.size < COUNTED) known.silenced.add(subject);
      return false;
    }
    known.lines++;
    known.subjects.set(subject, lines + 1);
    return true;
  }

  [Symbol.dispose](): void {
    this.#clock.clearTimeout(this.#timer);
    this.#endMinute();
  }

  #endMinute(): void {
    this.#timer = null;
    const kinds = [...this.#kinds];
    this.#kinds.clear();
    for (const [kind, { leftOut, silenced }] of kinds) {
      if (leftOut === 0) continue;
      this.#tell({ kind, lines: leftOut, subjects: silenced.size, named: [...silenced].slice(0, NAMED) });
    }
  }
}
