/** Things that records name by a number, from 1 to a limit; a number that was given back is taken again. */
export class NumberedList<T> {
  readonly #limit: number;
  readonly #items: (T | undefined)[] = [undefined];
  readonly #free: number[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** One more than the highest number that was ever given. */
  get length(): number {
    return this.#items.length;
  }

  /** The item's number from now on; 0 where none is left. */
  add(item: T): number {
    const number = this.#free.pop() ?? (this.#items.length <= this.#limit ? this.#items.length : 0);
    if (number !== 0) this.#items[number] = item;
    return number;
  }

  /** Throws where nothing has this number. */
  get(number: number): T {
    const item = this.#items[number];
    if (item === undefined) throw new RangeError(`nothing has the number ${number}`);
    return item;
  }

  remove(number: number): void {
    this.#items[number] = undefined;
    this.#free.push(number);
  }
}
