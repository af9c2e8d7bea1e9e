import type { HashTable } from "./hash-table.ts";

/**
 * One engine's holdings by block size and the engine's name for the block. Both are needed: in a hybrid model whose
 * groups have different block sizes, vLLM names a larger block by the hash of the last smaller one in it
 * (`vllm/v1/core/kv_cache_utils.py`, `BlockHashListWithBlockSize`).
 */
export class Names {
  readonly #newTable: () => HashTable;
  // Nearly always one.
  readonly #sizes: number[] = [];
  readonly #tables: HashTable[] = [];
  #size = 0;

  constructor(newTable: () => HashTable) {
    this.#newTable = newTable;
  }

  get size(): number {
    return this.#size;
  }

  /** Of the tables' directories. */
  get bytes(): number {
    return this.#tables.reduce((sum, table) => sum + table.directoryBytes, 0);
  }

  /** Block sizes at which it has any. */
  get blockSizes(): readonly number[] {
    return this.#sizes;
  }

  /** The holding; 0 for none. */
  find(blockSize: number, low: number, high: number): number {
    const table = this.#table(blockSize);
    return table === undefined ? 0 : table.find(low, high);
  }

  /** See `HashTable.touch`. */
  touch(blockSize: number, low: number, high: number): number {
    const table = this.#table(blockSize);
    return table === undefined ? 0 : table.touch(low, high);
  }

  add(blockSize: number, low: number, high: number, holding: number): void {
    let table = this.#table(blockSize);
    if (table === undefined) {
      table = this.#newTable();
      this.#sizes.push(blockSize);
      this.#tables.push(table);
    }
    table.add(low, high, holding);
    this.#size++;
  }

  remove(blockSize: number, low: number, high: number, holding: number): void {
    const at = this.#sizes.indexOf(blockSize);
    if (at < 0) return;
    const table = this.#tables[at]!;
    const before = table.size;
    table.remove(low, high, holding);
    this.#size -= before - table.size;
    if (table.size > 0) return;
    table.drop();
    this.#sizes.splice(at, 1);
    this.#tables.splice(at, 1);
  }

  /** See `HashTable.drain`: of all tables, one after the other. */
  drain(into: Int32Array): number {
    for (let table = this.#tables.at(-1); table !== undefined; table = this.#tables.at(-1)) {
      const count = table.drain(into);
      this.#size -= count;
      if (count > 0) return count;
      this.#tables.pop();
      this.#sizes.pop();
    }
    return 0;
  }

  /** By block size; must not change before the end of the iteration. */
  *values(): IterableIterator<number> {
    for (const table of this.#tables) yield* table.values();
  }

  #table(blockSize: number): HashTable | undefined {
    return this.#sizes[0] === blockSize ? this.#tables[0] : this.#tables[this.#sizes.indexOf(blockSize)];
  }
}
