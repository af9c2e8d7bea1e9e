/** A prefix cache with lists and strings, one tier, to compare the engine with. */
export class NaiveCache {
  readonly #blockSize: number;
  readonly #capacityBlocks: number;
  #held: string[] = [];
  /** Held and not in use, next to be evicted first. */
  #idle: string[] = [];

  constructor(blockSize: number, capacityBlocks: number) {
    this.#blockSize = blockSize;
    this.#capacityBlocks = capacityBlocks;
  }

  /** Returns the cached tokens. */
  run(tokens: readonly number[], lora: string | undefined): number {
    const chain: string[] = [];
    for (let end = this.#blockSize; end <= tokens.length; end += this.#blockSize) {
      chain.push(`${lora ?? ""}: ${tokens.slice(0, end).join(" ")}`);
    }
    let hits = chain.findIndex((block) => !this.#held.includes(block));
    if (hits < 0) hits = chain.length;
    this.#idle = this.#idle.filter((block) => !chain.includes(block));
    for (const block of chain.slice(hits)) {
      if (this.#held.length === this.#capacityBlocks) {
        const evicted = this.#idle.shift();
        this.#held = this.#held.filter((other) => other !== evicted);
      }
      this.#held.push(block);
    }
    this.#idle.push(...chain.reverse());
    return hits * this.#blockSize === tokens.length && hits > 0 ? (hits - 1) * this.#blockSize : hits * this.#blockSize;
  }

  held(): readonly string[] {
    return this.#held.toSorted();
  }
}
