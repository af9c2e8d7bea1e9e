import { DecodeError } from "../errors.ts";
import type { BlockHash, ExtraKey } from "./event.ts";
import { shorten } from "./shorten.ts";

const MAX_TOKEN_ID = 0xffff_ffff;
const MAX_BLOCK_SIZE = 1 << 20;
const HASH_FORMS = "an integer, or 8 or 32 bytes";

/** The wire's names. */
export type FieldName =
  | "type"
  | "block_hashes"
  | "parent_block_hash"
  | "token_ids"
  | "block_size"
  | "lora_id"
  | "medium"
  | "lora_name"
  | "extra_keys"
  | "group_idx"
  | "kv_cache_spec_kind"
  | "kv_cache_spec_sliding_window"
  | "metadata";

/** What the wire says of them; `undefined` where it says nothing. */
export type FieldValues = { readonly [Name in FieldName]?: unknown };

/** A map as the MessagePack library gives it: no array, binary, timestamp or extension. */
export function isMap(value: unknown): value is FieldValues {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/**
 * The fields of one event under the wire's names, read one by one as what they must be. Every method throws
 * `DecodeError` `event-fields` that names the event, the field and its value.
 */
export class EventFields {
  readonly #event: string;
  readonly #values: FieldValues;
  readonly #rawValues: () => FieldValues;

  /** `rawValues` gives the same fields with strings as bytes; asked for only where a hash came as a string. */
  constructor(event: string, values: FieldValues, rawValues: () => FieldValues) {
    this.#event = event;
    this.#values = values;
    this.#rawValues = rawValues;
  }

  fail(field: string, found: string, expected: string): never {
    throw new DecodeError("event-fields", `${this.#event}: ${field} is ${found}; expected ${expected}`);
  }

  hashes(name: FieldName): readonly BlockHash[] {
    const value = this.#hashValue(name);
    if (!Array.isArray(value)) this.fail(name, shorten(value), "an array of hashes");
    return value.map((hash: unknown, index) => {
      const parsed = parseHash(hash);
      return parsed ?? this.fail(`${name}[${index}]`, shorten(hash), HASH_FORMS);
    });
  }

  hash(name: FieldName): BlockHash | null {
    const value = this.#hashValue(name);
    if (value === null || value === undefined) return null;
    return parseHash(value) ?? this.fail(name, shorten(value), `${HASH_FORMS}, or nil`);
  }

  integer(name: FieldName): number | null {
    const value = this.#values[name];
    if (value === null || value === undefined) return null;
    const integer = typeof value === "bigint" ? Number(value) : value;
    if (typeof integer === "number" && Number.isSafeInteger(integer)) return integer;
    return this.fail(name, shorten(value), "an integer or nil");
  }

  text(name: FieldName): string | null {
    const value = this.#values[name];
    if (value === null || value === undefined) return null;
    return typeof value === "string" ? value : this.fail(name, shorten(value), "a string or nil");
  }

  /** Tokens per block. vLLM's offloading says 0 where it announces blocks without their tokens (`offloading_connector.py`). */
  blockSize(name: FieldName, tokensName: FieldName): number {
    const blockSize = this.integer(name);
    const tokens = this.#values[tokensName];
    const least = Array.isArray(tokens) && tokens.length === 0 ? 0 : 1;
    if (blockSize !== null && blockSize >= least && blockSize <= MAX_BLOCK_SIZE) return blockSize;
    return this.fail(name, shorten(this.#values[name]), `an integer from 1 to ${MAX_BLOCK_SIZE}`);
  }

  tokenIds(name: FieldName, blocks: number, blockSize: number): Uint32Array {
    const value = this.#values[name];
    if (!Array.isArray(value)) this.fail(name, shorten(value), "an array of token ids");
    if (value.length !== 0 && value.length !== blocks * blockSize) {
      this.fail(name, shorten(value), `none, or ${blocks} blocks × ${blockSize} = ${blocks * blockSize} ids`);
    }
    const tokenIds = new Uint32Array(value.length);
    for (let index = 0; index < value.length; index++) {
      const entry: unknown = value[index];
      const id = typeof entry === "bigint" ? Number(entry) : entry;
      if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > MAX_TOKEN_ID) {
        this.fail(`${name}[${index}]`, shorten(entry), `an integer from 0 to ${MAX_TOKEN_ID}`);
      }
      tokenIds[index] = id;
    }
    return tokenIds;
  }

  /** An empty list says as little as none. */
  extraKeys(name: FieldName, blocks: number): readonly (readonly ExtraKey[] | null)[] | null {
    const value = this.#values[name];
    if (value === null || value === undefined) return null;
    if (!Array.isArray(value)) this.fail(name, shorten(value), "an array with an entry per block, or nil");
    if (value.length === 0) return null;
    if (value.length !== blocks) this.fail(name, shorten(value), `an entry for each of ${blocks} blocks`);
    return value.map((keys: unknown, index) => {
      if (keys === null || Array.isArray(keys)) return keys;
      return this.fail(`${name}[${index}]`, shorten(keys), "an array or nil");
    });
  }

  cacheSalt(name: FieldName): string | null {
    const metadata = this.#values[name];
    if (metadata === null || metadata === undefined) return null;
    if (!isMap(metadata)) this.fail(name, shorten(metadata), "a map or nil");
    const salt = (metadata as { readonly cache_salt?: unknown }).cache_salt ?? null;
    if (salt === null || typeof salt === "string") return salt;
    return this.fail(`${name}.cache_salt`, shorten(salt), "a string or nil");
  }

  #hashValue(name: FieldName): unknown {
    const value = this.#values[name];
    const hasText = Array.isArray(value) ? value.some(isText) : isText(value);
    return hasText ? this.#rawValues()[name] : value;
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

/** `undefined` for what is no hash. */
function parseHash(value: unknown): BlockHash | undefined {
  if (typeof value === "bigint") return BigInt.asUintN(64, value);
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt.asUintN(64, BigInt(value)) : undefined;
  if (!(value instanceof Uint8Array) || (value.length !== 8 && value.length !== 32)) return undefined;
  return new DataView(value.buffer, value.byteOffset, value.length).getBigUint64(value.length - 8);
}
