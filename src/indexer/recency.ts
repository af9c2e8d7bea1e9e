/** Room for the links of a `RecencyList` in its items. An item is in one list at most. */
export interface RecencyLinks<T> {
  newer: T | undefined;
  older: T | undefined;
}

/** Items in the order of their last mention. All steps take constant time, whatever the number of items. */
export class RecencyList<T extends RecencyLinks<T>> {
  #oldest: T | undefined;
  #newest: T | undefined;

  get oldest(): T | undefined {
    return this.#oldest;
  }

  has(item: T): boolean {
    return item.newer !== undefined || this.#newest === item;
  }

  /** Makes the item the newest, whether it is in the list or not. */
  touch(item: T): void {
    if (this.#newest === item) return;
    this.remove(item);
    item.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.newer = item;
    this.#newest = item;
  }

  remove(item: T): void {
    if (!this.has(item)) return;
    if (item.newer === undefined) this.#newest = item.older;
    else item.newer.older = item.older;
    if (item.older === undefined) this.#oldest = item.newer;
    else item.older.newer = item.newer;
    item.newer = undefined;
    item.older = undefined;
  }
}
