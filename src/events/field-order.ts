import { type WireName, wireName } from "./wire-names.ts";
import type { WireReader } from "./wire-reader.ts";

/** Pairs of a map that one byte announces. */
const MAX_PAIRS = 16;

/**
 * Tells fields by their names. An engine writes the keys of its maps in the same order again and again, so each place
 * expects the key that it had last: one comparison, which the processor foresees, where a search has many.
 */
export class FieldOrder {
  readonly #names: readonly WireName[];
  readonly #expected = new Uint8Array(MAX_PAIRS);
  /** Of the key that `fieldAt` has found, in bytes. */
  length = 0;

  /** `names`: of the fields, which are numbered from 0. */
  constructor(names: readonly string[]) {
    this.#names = names.map(wireName);
  }

  /** The field whose name begins at `at` and is key `place` of its map, from 0 to 15; −1 for any other. */
  fieldAt(reader: WireReader, at: number, place: number): number {
    const field = this.#expected[place]!;
    const name = this.#names[field]!;
    if (!reader.isName(at, name)) return this.#search(reader, at, place);
    this.length = name.length;
    return field;
  }

  #search(reader: WireReader, at: number, place: number): number {
    const field = this.#names.findIndex((name) => reader.isName(at, name));
    if (field < 0) return -1;
    this.#expected[place] = field;
    this.length = this.#names[field]!.length;
    return field;
  }
}
