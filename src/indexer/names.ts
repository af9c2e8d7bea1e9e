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
    this.#open(blockSize).add(low, high, holding);
    this.#size++;
  }

  /** See `HashTable.countMissing`. */
  countMissing(blockSize: number, names: Int32Array, from: number, to: number): number {
    return this.#table(blockSize)?.countMissing(names, from, to) ?? to - from;
  }

  /** See `HashTable.addAll`. */
  addAll(blockSize: number, names: Int32Array, holdings: Int32Array, from: number, to: number): number {
    const added = this.#open(blockSize).addAll(names, holdings, from, to);
    this.#size += added;
    return added;
  }

  /** See `HashTable.findAll`. */
  findAll(blockSize: number, names: Int32Array, holdings: Int32Array, from: number, to: number): void {
    const table = this.#table(blockSize);
    if (table === undefined) holdings.fill(0, from, to);
    else table.findAll(names, holdings, from, to);
  }

  /** See `HashTable.removeAll`. */
  removeAll(blockSize: number, names: Int32Array, holdings: Int32Array, from: number, to: number): void {
    const table = this.#table(blockSize);
    if (table === undefined) return;
    const before = table.size;
    table.removeAll(names, holdings, from, to);
    this.#removed(blockSize, before - table.size);
  }

  remove(blockSize: number, low: number, high: number, holding: number): void {
    if (this.#table(blockSize)?.remove(low, high, holding)) this.#removed(blockSize, 1);
  }

  /** So many of this size. */
  #removed(blockSize: number, count: number): void {
    this.#size -= count;
    const at = this.#sizes.indexOf(blockSize);
    const table = this.#tables[at]!;
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

  #open(blockSize: number): HashTable {
    const known = this.#table(blockSize);
    if (known !== undefined) return known;
    const table = this.#newTable();
    this.#sizes.push(blockSize);
    this.#tables.push(table);
    return table;
  }

  #table(blockSize: number): HashTable | undefined {
    return this.#sizes[0] === blockSize ? this.#tables[0] : this.#tables[this.#sizes.indexOf(blockSize)];
  }
}
