/** What a label says of a value that is none of those it knows, so that nobody can make up series. */
export const OTHER = "other";

/** A counter by one label of few values. */
export class Tally {
  readonly #known: ReadonlySet<string>;
  readonly #counts: Map<string, number>;

  /** Values that are not `known` count as `other`. Those of `initial` are there from the start, as 0, so that their first one shows as an increase. */
  constructor(known: ReadonlySet<string>, initial: Iterable<string> = known) {
    this.#known = known;
    this.#counts = new Map(Array.from(initial, (value) => [value, 0]));
  }

  /** Ignores what is no count: below 0, infinite, NaN. */
  add(value: string, count = 1): void {
    const label = this.#known.has(value) ? value : OTHER;
    this.#counts.set(label, added(this.#counts.get(label) ?? 0, count));
  }

  entries(): IterableIterator<[string, number]> {
    return this.#counts.entries();
  }
}

/** The sum, or `total` where `count` is no count: below 0, infinite, NaN. */
export function added(total: number, count: number): number {
  return count >= 0 && count < Number.POSITIVE_INFINITY ? total + count : total;
}
