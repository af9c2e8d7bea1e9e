import { Decoder } from "@msgpack/msgpack";
import { DecodeError } from "../errors.ts";
import type { BlockRemoved, BlockStored, KVEvent } from "./event.ts";
import { EventFields, type FieldName, type FieldValues, isMap } from "./event-fields.ts";
import { MAX_DEPTH, MessagePackCursor } from "./message-pack-cursor.ts";
import { shorten } from "./shorten.ts";

/** Order of the fields in an event that is an array, after its type. */
const STORED_FIELDS: readonly FieldName[] = [
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
];
const REMOVED_FIELDS: readonly FieldName[] = ["block_hashes", "medium", "group_idx"];
/** Shortest array of each type, its type included. */
const MIN_STORED_ENTRIES = 5;
const MIN_REMOVED_ENTRIES = 2;
/** From here on SGLang's metadata may stand in an array, instead of or after vLLM's fields. */
const FIRST_METADATA_ENTRY = 7;
/** A float is a mistake here, even one without a fraction. */
const INTEGER_FIELDS: ReadonlySet<string> = new Set([
  "block_hashes",
  "parent_block_hash",
  "token_ids",
  "block_size",
  "lora_id",
  "group_idx",
  "kv_cache_spec_sliding_window",
]);

const decoder = new Decoder({ useBigInt64: true });
/** Leaves strings as bytes: a hash sent as `str` is rarely UTF-8. Map keys are strings all the same. */
const rawDecoder = new Decoder({ useBigInt64: true, rawStrings: true });

/**
 * Reads one event. `cursor` has just passed its bytes.
 *
 * @throws DecodeError `event-type` or `event-fields`, with the index and the value.
 */
export function decodeEvent(bytes: Uint8Array, index: number, cursor: MessagePackCursor): KVEvent {
  if (cursor.tooDeep) {
    throw new DecodeError("event-fields", `event ${index} is nested deeper than ${MAX_DEPTH} levels`);
  }
  const hasFloat = cursor.hasFloat;
  const value = decodeValue(decoder, bytes, index);
  const type = typeOf(value);
  if (type !== "BlockStored" && type !== "BlockRemoved" && type !== "AllBlocksCleared") {
    throw new DecodeError(
      "event-type",
      type === undefined
        ? `event ${index} is ${shorten(value)}; expected an array that begins with its type, or a map with a type`
        : `event ${index} is of type ${shorten(type)}, which is not known; where the engine is newer, update kv-event-sync`,
    );
  }
  if (type === "AllBlocksCleared") return { type };
  const names = type === "BlockStored" ? STORED_FIELDS : REMOVED_FIELDS;
  const minEntries = type === "BlockStored" ? MIN_STORED_ENTRIES : MIN_REMOVED_ENTRIES;
  if (Array.isArray(value) && value.length < minEntries) {
    const problem = `event ${index} (${type}) has ${value.length} entries; expected at least ${minEntries}`;
    throw new DecodeError("event-fields", problem);
  }
  const fields = new EventFields(`event ${index} (${type})`, valuesOf(value, names), () =>
    valuesOf(decodeValue(rawDecoder, bytes, index), names),
  );
  if (hasFloat) refuseFloats(bytes, names, fields);
  return type === "BlockStored" ? readStored(fields) : readRemoved(fields);
}

function readStored(fields: EventFields): BlockStored {
  const blockHashes = fields.hashes("block_hashes");
  const blockSize = fields.blockSize("block_size", "token_ids");
  return {
    type: "BlockStored",
    blockHashes,
    parentBlockHash: fields.hash("parent_block_hash"),
    tokenIds: fields.tokenIds("token_ids", blockHashes.length, blockSize),
    blockSize,
    loraId: fields.integer("lora_id"),
    loraName: fields.text("lora_name"),
    medium: fields.text("medium"),
    extraKeys: fields.extraKeys("extra_keys", blockHashes.length),
    groupIdx: fields.integer("group_idx"),
    kvCacheSpecKind: fields.text("kv_cache_spec_kind"),
    kvCacheSpecSlidingWindow: fields.integer("kv_cache_spec_sliding_window"),
    cacheSalt: fields.cacheSalt("metadata"),
  };
}

function readRemoved(fields: EventFields): BlockRemoved {
  return {
    type: "BlockRemoved",
    blockHashes: fields.hashes("block_hashes"),
    medium: fields.text("medium"),
    groupIdx: fields.integer("group_idx"),
  };
}

/** The library refuses what an event may hold but never does: a key `__proto__`, a key that is no string, a bad timestamp. */
function decodeValue(from: Decoder, bytes: Uint8Array, index: number): unknown {
  try {
    return from.decode(bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DecodeError("event-fields", `event ${index} cannot be decoded: ${reason}`, { cause });
  }
}

function typeOf(value: unknown): string | undefined {
  const type = Array.isArray(value) ? value[0] : isMap(value) ? value.type : undefined;
  return typeof type === "string" ? type : undefined;
}

function valuesOf(value: unknown, names: readonly FieldName[]): FieldValues {
  if (!Array.isArray(value)) return isMap(value) ? value : {};
  const values: { [Name in FieldName]?: unknown } = {};
  for (const [position, name] of names.entries()) values[name] = value[position + 1];
  if (names !== STORED_FIELDS) return values;
  // SGLang ends its array with a metadata map, or with extra keys, where vLLM has `lora_name`.
  for (let entry = FIRST_METADATA_ENTRY; entry < value.length; entry++) {
    if (!isMap(value[entry])) continue;
    values.metadata = value[entry];
    const name = names[entry - 1];
    if (name !== undefined) values[name] = null;
  }
  if (Array.isArray(values.lora_name) && value.length === FIRST_METADATA_ENTRY + 1) {
    values.extra_keys = values.lora_name;
    values.lora_name = null;
  }
  return values;
}

/** The library gives 5 for the float 5.0 as well: only the bytes tell that a field is no integer. */
function refuseFloats(bytes: Uint8Array, names: readonly FieldName[], fields: EventFields): void {
  const cursor = new MessagePackCursor(bytes);
  const entries = cursor.readArrayHeader();
  const count = entries >= 0 ? entries : cursor.readMapHeader();
  for (let index = 0; index < count; index++) {
    const name = entries >= 0 ? names[index - 1] : decoder.decode(cursor.skip());
    cursor.skip();
    if (cursor.hasFloat && typeof name === "string" && INTEGER_FIELDS.has(name)) {
      fields.fail(name, "or holds a float", "integers");
    }
  }
}
