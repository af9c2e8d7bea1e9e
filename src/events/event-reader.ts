import { ExtraKeysReader } from "./extra-keys-reader.ts";
import { FieldOrder } from "./field-order.ts";
import { type PackedBatch, type PackedEvent, PackedType } from "./packed-batch.ts";
import { fits, type UsualEvent } from "./usual-event.ts";
import { UsualRemoval } from "./usual-removal.ts";
import { wireName } from "./wire-names.ts";
import type { WireReader } from "./wire-reader.ts";

const OTHER = -1;
const NIL = 0xc0;

/** What the oracle charges at most for an event with all its fields, without its hashes, tokens and extra keys. */
const EVENT_COST = 4_096;

// Fields of a `BlockStored`, in the order of those that are arrays. SGLang's metadata has no place of its own there: a map
// from the eighth entry on is that.
const TYPE_FIELD = 0;
const BLOCK_HASHES = 1;
const PARENT = 2;
const TOKEN_IDS = 3;
const BLOCK_SIZE = 4;
const LORA_ID = 5;
const MEDIUM = 6;
const LORA_NAME = 7;
const EXTRA_KEYS = 8;
const GROUP = 9;
const KIND = 10;
const WINDOW = 11;
const METADATA = 12;
const FIELD_NAMES = [
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
];

/** What a `BlockStored` must say. */
const REQUIRED = (1 << BLOCK_HASHES) | (1 << TOKEN_IDS) | (1 << BLOCK_SIZE);
/** What a `UsualEvent` has read by the event's tail, and the entry that comes then. */
const BEFORE_TAIL = (1 << BLOCK_HASHES) | (1 << PARENT) | (1 << TOKEN_IDS);
const FIRST_OF_TAIL = BLOCK_SIZE;
/** What it may not say with nil. */
const NEVER_NIL = REQUIRED | (1 << TYPE_FIELD);
/** Fields of a `BlockRemoved`, in the order of an array. */
const REMOVED_FIELDS: readonly number[] = [TYPE_FIELD, BLOCK_HASHES, MEDIUM, GROUP];
/** Entries of an array that ends with SGLang's extra keys, where vLLM has `lora_name`. */
const ENTRIES_TO_LORA_NAME = LORA_NAME + 1;

const TYPE = wireName(FIELD_NAMES[TYPE_FIELD]!);
const STORED = wireName("BlockStored");
const REMOVED = wireName("BlockRemoved");
const CLEARED = wireName("AllBlocksCleared");
const CACHE_SALT = wireName("cache_salt");

/**
 * Reads one event of the shapes that engines send into a batch: arrays, and maps with their type first, without keys that
 * are not known. Where it returns `OTHER` the event may be of another shape or wrong; what the batch has got of it by then
 * means nothing.
 */
export class EventReader {
  readonly #reader: WireReader;
  readonly #usual: UsualEvent;
  readonly #removal: UsualRemoval;
  readonly #extraKeys: ExtraKeysReader;
  readonly #storedOrder = new FieldOrder(FIELD_NAMES);
  readonly #removedOrder = new FieldOrder(FIELD_NAMES);

  constructor(reader: WireReader, usual: UsualEvent) {
    this.#reader = reader;
    this.#usual = usual;
    this.#removal = new UsualRemoval(reader);
    this.#extraKeys = new ExtraKeysReader(reader);
  }

  /**
   * Position behind the event that the `UsualEvent` could not read just now, or not to its end, and behind those that follow
   * and were read with it, `most` at most in all; or `OTHER`.
   */
  read(start: number, batch: PackedBatch, most: number): number {
    const reader = this.#reader;
    const head = reader.bytes[start]!;
    const { tailAt } = this.#usual;
    if (tailAt !== OTHER) return this.#tail(tailAt, batch, head);
    const after = this.#removal.read(start, batch, most);
    return after === OTHER ? this.#unusual(start, batch, head) : after;
  }

  #unusual(start: number, batch: PackedBatch, head: number): number {
    const reader = this.#reader;
    const isMap = (head & 0xf0) === 0x80;
    const entries = head & 0x0f;
    if ((!isMap && (head & 0xf0) !== 0x90) || entries === 0) return OTHER;
    let at = start + 1;
    if (isMap) {
      if (!reader.isName(at, TYPE)) return OTHER;
      at += TYPE.length;
    }
    if (!reader.spend(EVENT_COST)) return OTHER;
    const event = batch.nextEvent();
    event.medium = null;
    event.groupIdx = null;
    if (reader.isName(at, STORED)) return this.#stored(at + STORED.length, batch, event, entries, isMap);
    event.hasParent = false;
    event.tokenCount = 0;
    if (reader.isName(at, REMOVED)) {
      const end = this.#removed(at + REMOVED.length, batch, event, entries, isMap);
      if (end !== OTHER) this.#removal.learn(start, end, event);
      return end;
    }
    event.type = PackedType.cleared;
    event.hashCount = 0;
    return entries === 1 && reader.isName(at, CLEARED) ? at + CLEARED.length : OTHER;
  }

  #stored(start: number, batch: PackedBatch, event: PackedEvent, entries: number, isMap: boolean): number {
    begin(batch, event);
    return this.#fields(start, batch, event, 1, entries, isMap, 0);
  }

  /** The tail of the event that is in the batch without it; it is the usual one from now on. */
  #tail(start: number, batch: PackedBatch, head: number): number {
    const { budget } = this.#reader;
    const event = batch.events[batch.eventCount - 1]!;
    const isMap = (head & 0xf0) === 0x80;
    const at = this.#fields(start, batch, event, FIRST_OF_TAIL, head & 0x0f, isMap, BEFORE_TAIL);
    if (at !== OTHER) this.#usual.tail.learn(start, at, head, budget - this.#reader.budget, event);
    return at;
  }

  /** Entries of a `BlockStored` from `first` on. `before`: bits of the fields that came already. */
  #fields(
    start: number,
    batch: PackedBatch,
    event: PackedEvent,
    first: number,
    entries: number,
    isMap: boolean,
    before: number,
  ): number {
    const reader = this.#reader;
    const order = this.#storedOrder;
    let seen = before;
    let at = start;
    for (let entry = first; entry < entries; entry++) {
      let field = entry;
      if (isMap) {
        field = order.fieldAt(reader, at, entry);
        at += order.length;
      } else if (entry >= LORA_NAME) field = this.#lateField(at, entry, entries);
      if (field < 0 || (seen & (1 << field)) !== 0) return OTHER;
      seen |= 1 << field;
      if (reader.bytes[at] !== NIL) at = this.#storedField(at, batch, event, field);
      else if ((NEVER_NIL & (1 << field)) === 0) at++;
      else return OTHER;
      if (at === OTHER) return OTHER;
    }
    return (seen & REQUIRED) === REQUIRED && fits(event) ? at : OTHER;
  }

  /** What an array has in its entry, from the eighth on. */
  #lateField(at: number, entry: number, entries: number): number {
    const head = this.#reader.bytes[at]!;
    if ((head & 0xf0) === 0x80) return METADATA;
    if (entry >= METADATA) return OTHER;
    return entries === ENTRIES_TO_LORA_NAME && (head & 0xf0) === 0x90 ? EXTRA_KEYS : entry;
  }

  #storedField(at: number, batch: PackedBatch, event: PackedEvent, field: number): number {
    const reader = this.#reader;
    let after = OTHER;
    switch (field) {
      case BLOCK_HASHES:
        after = reader.hashes(at, batch);
        event.hashCount = reader.number;
        return after;
      case PARENT:
        event.hasParent = true;
        return reader.hash(at, batch.hashes, 2 * event.hashStart - 2);
      case TOKEN_IDS:
        after = reader.tokens(at, batch);
        event.tokenCount = reader.number;
        return after;
      case BLOCK_SIZE:
        after = reader.integer(at);
        event.blockSize = reader.number;
        return after;
      case LORA_ID:
        after = reader.integer(at);
        event.loraId = reader.number;
        return after;
      case MEDIUM:
        after = reader.text(at);
        event.medium = reader.string;
        return after;
      case LORA_NAME:
        after = reader.text(at);
        event.loraName = reader.string;
        return after;
      case EXTRA_KEYS:
        after = this.#extraKeys.read(at);
        event.extraKeys = this.#extraKeys.value;
        return after;
      case GROUP:
        after = reader.integer(at);
        event.groupIdx = reader.number;
        return after;
      case KIND:
        after = reader.text(at);
        event.kvCacheSpecKind = reader.string;
        return after;
      case WINDOW:
        after = reader.integer(at);
        event.kvCacheSpecSlidingWindow = reader.number;
        return after;
      case METADATA:
        return this.#metadata(at, event);
      default:
        return OTHER;
    }
  }

  /** A map with a cache salt, or with nothing. */
  #metadata(at: number, event: PackedEvent): number {
    const { bytes, end } = this.#reader;
    if (bytes[at] === 0x80) return at + 1;
    if (bytes[at] !== 0x81 || !this.#reader.isName(at + 1, CACHE_SALT)) return OTHER;
    const from = at + 1 + CACHE_SALT.length;
    if (bytes[from] === NIL) return from + 1;
    const after = from < end ? this.#reader.text(from) : OTHER;
    event.cacheSalt = this.#reader.string;
    return after;
  }

  #removed(start: number, batch: PackedBatch, event: PackedEvent, entries: number, isMap: boolean): number {
    const reader = this.#reader;
    const order = this.#removedOrder;
    event.type = PackedType.removed;
    event.hashStart = batch.hashCount;
    let seen = 0;
    let at = start;
    for (let entry = 1; entry < entries; entry++) {
      let field = REMOVED_FIELDS[entry] ?? OTHER;
      if (isMap) {
        field = order.fieldAt(reader, at, entry);
        at += order.length;
      }
      if (field < 0 || (seen & (1 << field)) !== 0) return OTHER;
      seen |= 1 << field;
      if (field !== BLOCK_HASHES && field !== MEDIUM && field !== GROUP) return OTHER;
      if (field !== BLOCK_HASHES && reader.bytes[at] === NIL) at++;
      else at = this.#storedField(at, batch, event, field);
      if (at === OTHER) return OTHER;
    }
    return (seen & (1 << BLOCK_HASHES)) === 0 ? OTHER : at;
  }
}

/** Makes a `BlockStored` of an event that says nothing yet. */
function begin(batch: PackedBatch, event: PackedEvent): void {
  event.type = PackedType.stored;
  event.hasParent = false;
  event.loraId = null;
  event.loraName = null;
  event.extraKeys = null;
  event.kvCacheSpecKind = null;
  event.kvCacheSpecSlidingWindow = null;
  event.cacheSalt = null;
  event.tokenStart = batch.tokenCount;
  // The parent's hash stands before the others, and comes after them.
  batch.reserveHashes(1);
  event.hashStart = ++batch.hashCount;
}
