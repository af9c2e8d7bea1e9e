/** Lets a loop through, unless somebody holds it. Several may hold it at once. */
export class Gate {
  #holders = 0;
  #opened: Promise<void> | null = null;
  #open: () => void = () => {};

  get isHeld(): boolean {
    return this.#holders > 0;
  }

  /** Holds the gate until the result is disposed. */
  hold(): Disposable {
    this.#holders++;
    let isHolding = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHolding) return;
        isHolding = false;
        this.#holders--;
        if (this.#holders > 0) return;
        this.#open();
        this.#opened = null;
      },
    };
  }

  /** Resolves when nobody holds it. */
  async opened(): Promise<void> {
    while (this.isHeld) {
      this.#opened ??= new Promise((resolve) => {
        this.#open = resolve;
      });
      await this.#opened;
    }
  }
}
