import { isName, type WireName, wireName } from "./wire-names.ts";

// Fields of a `BlockStored`, in the order of those that are arrays; the type comes before. SGLang's metadata has no place
// of its own there: a map from the eighth entry on is that.
export const BLOCK_HASHES = 1;
export const PARENT = 2;
export const TOKEN_IDS = 3;
export const BLOCK_SIZE = 4;
export const LORA_ID = 5;
export const MEDIUM = 6;
export const LORA_NAME = 7;
export const EXTRA_KEYS = 8;
export const GROUP = 9;
export const KIND = 10;
export const WINDOW = 11;
export const METADATA = 12;
/** No field that is known. */
export const NO_FIELD = 0;

const FIELD_NAMES: readonly WireName[] = [
  "type",
  "block_hashes",
  "parent_block_hash",
  "token_ids",
  "block_size",
  "lora_id",
  "medium",
  "lora_name",
  "extra_keys",
  "group_idx",
  "kv_cache_spec_kind",
  "kv_cache_spec_sliding_window",
  "metadata",
].map(wireName);

/** Pairs of a map that one byte announces. */
const MAX_PAIRS = 16;

/**
 * Tells fields by their names. An engine writes the keys of its maps in the same order again and again, so each place
 * expects the key that it had last: one comparison, which the processor foresees, where a search has many.
 */
export class FieldOrder {
  readonly #fields = new Uint8Array(MAX_PAIRS).fill(BLOCK_HASHES);
  /** Of the key that `fieldAt` has found. */
  length = 0;

  /** The field whose name begins at `at` and is key `place` of its map, from 1 to 15; `NO_FIELD` for any other. */
  fieldAt(view: DataView, at: number, place: number): number {
    const expected = this.#fields[place]!;
    const name = FIELD_NAMES[expected]!;
    if (!isName(view, at, name)) return this.#search(view, at, place);
    this.length = name.length;
    return expected;
  }

  #search(view: DataView, at: number, place: number): number {
    for (let field = BLOCK_HASHES; field < FIELD_NAMES.length; field++) {
      const name = FIELD_NAMES[field]!;
      if (!isName(view, at, name)) continue;
      this.#fields[place] = field;
      this.length = name.length;
      return field;
    }
    return NO_FIELD;
  }
}
