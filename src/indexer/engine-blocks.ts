import type { BlockHash } from "../events/event.ts";
import { getOrCreate } from "./maps.ts";

/** Blocks of one engine by block size and engine hash, as `Names` has them, for the few that wait. */
export class BlocksByHash<T> {
  // Block size → engine hash → block. Nearly always one size.
  readonly #tables = new Map<number, Map<BlockHash, T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(blockSize: number, hash: BlockHash): T | undefined {
    return this.#tables.get(blockSize)?.get(hash);
  }

  /** Under every block size at which the hash is known. */
  all(hash: BlockHash): T[] {
    const found: T[] = [];
    for (const table of this.#tables.values()) {
      const item = table.get(hash);
      if (item !== undefined) found.push(item);
    }
    return found;
  }

  set(blockSize: number, hash: BlockHash, item: T): void {
    const table = getOrCreate(this.#tables, blockSize, () => new Map<BlockHash, T>());
    const before = table.size;
    table.set(hash, item);
    this.#size += table.size - before;
  }

  delete(blockSize: number, hash: BlockHash): void {
    const table = this.#tables.get(blockSize);
    if (!table?.delete(hash)) return;
    this.#size--;
    if (table.size === 0) this.#tables.delete(blockSize);
  }

  *values(): IterableIterator<T> {
    for (const table of this.#tables.values()) yield* table.values();
  }
}
