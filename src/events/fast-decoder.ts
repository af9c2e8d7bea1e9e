import type { ExtraKey } from "./event.ts";
import { type PackedBatch, type PackedEvent, PackedType } from "./packed-batch.ts";
import { TextCache } from "./text-cache.ts";
import { isName, wireName } from "./wire-names.ts";

const NIL = 0xc0;
const FLOAT64 = 0xcb;
const UINT8 = 0xcc;
const UINT16 = 0xcd;
const UINT32 = 0xce;
const UINT64 = 0xcf;
const INT64 = 0xd3;
const BIN8 = 0xc4;
const STR8 = 0xd9;
const ARRAY16 = 0xdc;
const ARRAY32 = 0xdd;

const MAX_BLOCK_SIZE = 1 << 20;

// Fields of events, in the order of those that are arrays; the type comes before.
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
/** What a `BlockStored` must say. */
const REQUIRED = (1 << BLOCK_HASHES) | (1 << TOKEN_IDS) | (1 << BLOCK_SIZE);
/** Fields of a `BlockRemoved`, in the order of an array. */
const REMOVED_FIELDS: readonly number[] = [0, BLOCK_HASHES, MEDIUM, GROUP];

const TYPE_NAME = wireName("type");
const STORED_NAME = wireName("BlockStored");
const REMOVED_NAME = wireName("BlockRemoved");
const CLEARED_NAME = wireName("AllBlocksCleared");
const EVENTS_NAME = wireName("events");
const RANK_NAME = wireName("data_parallel_rank");
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
].map(wireName);

/** Extra keys that say nothing, by the number of blocks: what vLLM sends for nearly every event. */
const NO_KEYS: (readonly (readonly ExtraKey[] | null)[])[] = [];
const MAX_NO_KEYS = 1_024;

/**
 * What the oracle charges at most (`MessagePackCursor`): for an event with all its fields, a hash and the extra keys of
 * its block, a token.
 */
const EVENT_COST = 4_096;
const HASH_COST = 144;
const TOKEN_COST = 48;
const MAX_COST = 256 * 1024 * 1024;

/** Returned instead of a position where something else comes than is known here. */
const OTHER = -1;

/**
 * Reads batches of the shapes that engines send nearly always, straight into a `PackedBatch`: arrays and maps, hashes as
 * integers or binaries, tokens as unsigned integers, short ASCII texts. Whatever else comes, right or wrong, it leaves to
 * `decodeEventBatch`: it reports nothing itself, and agrees with that wherever it succeeds.
 *
 * Positions count from the start of the memory that the payload is a part of, so that a chunk of the network with many
 * messages in it needs one view. Methods take the position of what they read and return the one behind it, or `OTHER`:
 * a position in a field would be written and read again for each byte.
 */
export class FastDecoder {
  #memory: ArrayBufferLike = new ArrayBuffer(0);
  #bytes: Uint8Array = new Uint8Array(this.#memory);
  #view: DataView = new DataView(this.#memory);
  #end = 0;
  /** What is left of `MAX_COST`: taken before room is made, so that a payload cannot ask for more than the oracle allows. */
  #budget = 0;
  /** What the last of these methods has read: `#integer`, `#arrayHead`, `#textHead`, `#text`. */
  #number = 0;
  #string = "";
  readonly #texts = new TextCache();

  /** False where the payload is not of a shape that is known here; the batch's content means nothing then. */
  decode(payload: Uint8Array, batch: PackedBatch): boolean {
    const memory = payload.buffer;
    if (memory !== this.#memory) {
      this.#memory = memory;
      this.#bytes = new Uint8Array(memory);
      this.#view = new DataView(memory);
    }
    const start = payload.byteOffset;
    this.#end = start + payload.length;
    this.#budget = MAX_COST;
    return this.#envelope(start, batch) === this.#end;
  }

  /** Whether that much may still be spent; then it is. */
  #spend(cost: number): boolean {
    if (cost > this.#budget) return false;
    this.#budget -= cost;
    return true;
  }

  #envelope(start: number, batch: PackedBatch): number {
    const head = start < this.#end ? this.#bytes[start]! : 0;
    let at = start + 1;
    if (head === 0x92 || head === 0x93) {
      at = this.#events(this.#timestamp(at, batch), batch);
      return head === 0x93 && at !== OTHER ? this.#rank(at, batch) : at;
    }
    if (head !== 0x82 && head !== 0x83) return OTHER;
    let seen = 0;
    for (let pair = head & 0x0f; pair > 0; pair--) {
      at = this.#textHead(at);
      if (at === OTHER) return OTHER;
      const length = this.#number;
      let field = 0;
      if (length === 2 && this.#view.getUint16(at) === 0x7473) field = 1;
      else if (length === EVENTS_NAME.length && isName(this.#view, at, EVENTS_NAME)) field = 2;
      else if (length === RANK_NAME.length && isName(this.#view, at, RANK_NAME)) field = 4;
      if (field === 0 || (seen & field) !== 0) return OTHER;
      seen |= field;
      at += length;
      at = field === 1 ? this.#timestamp(at, batch) : field === 2 ? this.#events(at, batch) : this.#rank(at, batch);
      if (at === OTHER) return OTHER;
    }
    return (seen & 3) === 3 ? at : OTHER;
  }

  #timestamp(at: number, batch: PackedBatch): number {
    if (at + 9 > this.#end || this.#bytes[at] !== FLOAT64) return OTHER;
    batch.ts = this.#view.getFloat64(at + 1);
    return at + 9;
  }

  #rank(start: number, batch: PackedBatch): number {
    if (this.#isNil(start)) return start + 1;
    const at = this.#integer(start);
    batch.dataParallelRank = this.#number;
    return at;
  }

  #events(start: number, batch: PackedBatch): number {
    if (start === OTHER) return OTHER;
    let at = this.#arrayHead(start);
    for (let count = this.#number; count > 0 && at !== OTHER; count--) at = this.#event(at, batch);
    return at;
  }

  #event(start: number, batch: PackedBatch): number {
    const head = start < this.#end ? this.#bytes[start]! : 0;
    const isMap = (head & 0xf0) === 0x80;
    const entries = head & 0x0f;
    if ((!isMap && (head & 0xf0) !== 0x90) || entries === 0) return OTHER;
    let at = start + 1;
    if (isMap) {
      at = this.#textHead(at);
      if (at === OTHER || this.#number !== TYPE_NAME.length || !isName(this.#view, at, TYPE_NAME)) return OTHER;
      at += TYPE_NAME.length;
    }
    at = this.#textHead(at);
    if (at === OTHER) return OTHER;
    const length = this.#number;
    if (!this.#spend(EVENT_COST)) return OTHER;
    const event = batch.nextEvent();
    event.hashCount = 0;
    event.hasParent = false;
    event.tokenCount = 0;
    event.medium = null;
    event.groupIdx = null;
    if (length === STORED_NAME.length && isName(this.#view, at, STORED_NAME)) {
      event.type = PackedType.stored;
      return this.#stored(at + length, batch, event, entries, isMap);
    }
    if (length === REMOVED_NAME.length && isName(this.#view, at, REMOVED_NAME)) {
      event.type = PackedType.removed;
      return this.#removed(at + length, batch, event, entries, isMap);
    }
    event.type = PackedType.cleared;
    const isCleared = length === CLEARED_NAME.length && isName(this.#view, at, CLEARED_NAME);
    return isCleared && entries === 1 ? at + length : OTHER;
  }

  #stored(start: number, batch: PackedBatch, event: PackedEvent, entries: number, isMap: boolean): number {
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
    let seen = 0;
    let at = start;
    for (let entry = 1; entry < entries; entry++) {
      let field = entry;
      if (isMap) {
        at = this.#fieldName(at);
        field = this.#number;
      }
      if (at === OTHER || (seen & (1 << field)) !== 0) return OTHER;
      seen |= 1 << field;
      at = this.#storedField(at, batch, event, field);
    }
    return at !== OTHER && (seen & REQUIRED) === REQUIRED && fits(event) ? at : OTHER;
  }

  #storedField(at: number, batch: PackedBatch, event: PackedEvent, field: number): number {
    if (field === BLOCK_HASHES) return this.#hashes(at, batch, event);
    if (field === TOKEN_IDS) return this.#tokens(at, batch, event);
    if (this.#isNil(at)) return field === BLOCK_SIZE || field > WINDOW ? OTHER : at + 1;
    switch (field) {
      case PARENT:
        event.hasParent = true;
        return this.#hash(at, batch.hashes, 2 * event.hashStart - 2);
      case BLOCK_SIZE: {
        const after = this.#integer(at);
        event.blockSize = this.#number;
        return after;
      }
      case LORA_ID: {
        const after = this.#integer(at);
        event.loraId = this.#number;
        return after;
      }
      case MEDIUM:
        return this.#medium(at, event);
      case LORA_NAME: {
        const after = this.#text(at);
        event.loraName = this.#string;
        return after;
      }
      case EXTRA_KEYS:
        return this.#noKeys(at, event);
      case GROUP:
        return this.#group(at, event);
      case KIND: {
        const after = this.#text(at);
        event.kvCacheSpecKind = this.#string;
        return after;
      }
      case WINDOW: {
        const after = this.#integer(at);
        event.kvCacheSpecSlidingWindow = this.#number;
        return after;
      }
      default:
        return OTHER;
    }
  }

  #removed(start: number, batch: PackedBatch, event: PackedEvent, entries: number, isMap: boolean): number {
    event.hashStart = batch.hashCount;
    let seen = 0;
    let at = start;
    for (let entry = 1; entry < entries; entry++) {
      let field = REMOVED_FIELDS[entry] ?? 0;
      if (isMap) {
        at = this.#fieldName(at);
        field = this.#number;
      }
      if (at === OTHER || (seen & (1 << field)) !== 0) return OTHER;
      seen |= 1 << field;
      if (field === BLOCK_HASHES) at = this.#hashes(at, batch, event);
      else if (field === MEDIUM) at = this.#isNil(at) ? at + 1 : this.#medium(at, event);
      else if (field === GROUP) at = this.#isNil(at) ? at + 1 : this.#group(at, event);
      else return OTHER;
    }
    return (seen & (1 << BLOCK_HASHES)) === 0 ? OTHER : at;
  }

  #medium(start: number, event: PackedEvent): number {
    const at = this.#text(start);
    event.medium = this.#string;
    return at;
  }

  #group(start: number, event: PackedEvent): number {
    const at = this.#integer(start);
    event.groupIdx = this.#number;
    return at;
  }

  /** An array of nothing but nils. */
  #noKeys(start: number, event: PackedEvent): number {
    const at = this.#arrayHead(start);
    const count = this.#number;
    if (at === OTHER || count > MAX_NO_KEYS || at + count > this.#end) return OTHER;
    for (let i = 0; i < count; i++) if (this.#bytes[at + i] !== NIL) return OTHER;
    // An empty list says as little as none.
    if (count > 0) {
      NO_KEYS[count] ??= new Array<null>(count).fill(null);
      event.extraKeys = NO_KEYS[count]!;
    }
    return at + count;
  }

  #hashes(start: number, batch: PackedBatch, event: PackedEvent): number {
    let at = this.#arrayHead(start);
    const count = this.#number;
    if (at === OTHER || count > this.#end - at || !this.#spend(count * HASH_COST)) return OTHER;
    batch.reserveHashes(count);
    event.hashCount = count;
    const { hashes } = batch;
    let to = 2 * batch.hashCount;
    batch.hashCount += count;
    for (let i = 0; i < count && at !== OTHER; i++, to += 2) at = this.#hash(at, hashes, to);
    return at;
  }

  #hash(start: number, hashes: Uint32Array, to: number): number {
    const head = start < this.#end ? this.#bytes[start]! : 0;
    let after = start + 9;
    if (head === BIN8) {
      const length = start + 1 < this.#end ? this.#bytes[start + 1]! : 0;
      if (length !== 8 && length !== 32) return OTHER;
      after = start + 2 + length;
    } else if (head !== UINT64 && head !== INT64) {
      const at = this.#integer(start);
      hashes[to] = this.#number;
      hashes[to + 1] = 0;
      return at;
    }
    if (after > this.#end) return OTHER;
    hashes[to + 1] = this.#view.getInt32(after - 8);
    hashes[to] = this.#view.getInt32(after - 4);
    return after;
  }

  #tokens(start: number, batch: PackedBatch, event: PackedEvent): number {
    let at = this.#arrayHead(start);
    const count = this.#number;
    if (at === OTHER || count > this.#end - at || !this.#spend(count * TOKEN_COST)) return OTHER;
    batch.reserveTokens(count);
    event.tokenCount = count;
    const { tokens } = batch;
    const bytes = this.#bytes;
    const view = this.#view;
    let to = batch.tokenCount;
    const last = to + count;
    // Up to there a token of five bytes is within the memory.
    const safe = Math.min(this.#end, bytes.length - 5);
    let isGood = 1;
    // Without a branch on what comes: lengths of token ids are as good as random.
    while (to < last && at <= safe) {
      const head = bytes[at]!;
      const isLong = head >>> 7;
      const size = isLong << (head & 3);
      const word = view.getInt32(at + 1) >>> ((32 - 8 * size) & 31);
      tokens[to++] = isLong === 1 ? word : head;
      isGood &= SHAPES[head]!;
      at += 1 + size;
    }
    for (; to < last && at !== OTHER; to++) {
      at = this.#integer(at);
      tokens[to] = this.#number;
    }
    batch.tokenCount = last;
    return isGood === 1 && at <= this.#end ? at : OTHER;
  }

  #isNil(at: number): boolean {
    return at < this.#end && this.#bytes[at] === NIL;
  }

  /** An unsigned integer up to 32 bits. */
  #integer(start: number): number {
    const head = start < this.#end ? this.#bytes[start]! : NIL;
    if (head < 0x80) {
      this.#number = head;
      return start + 1;
    }
    const size = head === UINT8 ? 1 : head === UINT16 ? 2 : head === UINT32 ? 4 : 0;
    const after = start + 1 + size;
    if (size === 0 || after > this.#end) return OTHER;
    this.#number =
      size === 1
        ? this.#bytes[start + 1]!
        : size === 2
          ? this.#view.getUint16(start + 1)
          : this.#view.getUint32(start + 1);
    return after;
  }

  /** The number of entries of an array. */
  #arrayHead(start: number): number {
    const head = start < this.#end ? this.#bytes[start]! : NIL;
    if ((head & 0xf0) === 0x90) {
      this.#number = head & 0x0f;
      return start + 1;
    }
    const size = head === ARRAY16 ? 2 : head === ARRAY32 ? 4 : 0;
    const after = start + 1 + size;
    if (size === 0 || after > this.#end) return OTHER;
    this.#number = size === 2 ? this.#view.getUint16(start + 1) : this.#view.getUint32(start + 1);
    return after;
  }

  /** The number of bytes of a text, all of which are there. */
  #textHead(start: number): number {
    const head = start < this.#end ? this.#bytes[start]! : NIL;
    let at = start + 1;
    if ((head & 0xe0) === 0xa0) this.#number = head & 0x1f;
    else if (head === STR8 && at < this.#end) this.#number = this.#bytes[at++]!;
    else return OTHER;
    return at + this.#number <= this.#end ? at : OTHER;
  }

  #text(start: number): number {
    const at = this.#textHead(start);
    if (at === OTHER) return OTHER;
    const length = this.#number;
    const text = this.#texts.read(this.#bytes, at, length);
    if (text === null) return OTHER;
    this.#string = text;
    return at + length;
  }

  /** The number of the field whose name this is. */
  #fieldName(start: number): number {
    const at = this.#textHead(start);
    if (at === OTHER) return OTHER;
    const length = this.#number;
    const field = fieldOf(length, this.#bytes[at]!);
    this.#number = field;
    return field !== 0 && isName(this.#view, at, FIELD_NAMES[field]!) ? at + length : OTHER;
  }
}

/** The only field whose name may have this length and first letter; 0 for none. */
function fieldOf(length: number, first: number): number {
  if (length === 9) return first === 0x74 ? TOKEN_IDS : first === 0x6c ? LORA_NAME : GROUP;
  if (length === 10) return first === 0x62 ? BLOCK_SIZE : EXTRA_KEYS;
  return length < FIELD_BY_LENGTH.length ? FIELD_BY_LENGTH[length]! : 0;
}

/** Whether the numbers of tokens, blocks and extra keys go together. */
function fits({ tokenCount, blockSize, hashCount, extraKeys }: PackedEvent): boolean {
  if (blockSize > MAX_BLOCK_SIZE || blockSize < (tokenCount === 0 ? 0 : 1)) return false;
  if (tokenCount !== 0 && tokenCount !== hashCount * blockSize) return false;
  return extraKeys === null || extraKeys.length === hashCount;
}

/** Fields whose names no other has the length of; 0 for the other lengths. */
const FIELD_BY_LENGTH: Uint8Array = (() => {
  const fields = new Uint8Array(32);
  for (const field of [BLOCK_HASHES, PARENT, LORA_ID, MEDIUM, KIND, WINDOW]) {
    fields[FIELD_NAMES[field]!.length] = field;
  }
  return fields;
})();

/** 1 for heads of unsigned integers up to 32 bits. */
const SHAPES: Uint8Array = Uint8Array.from({ length: 256 }, (_, head) =>
  head < 0x80 || head === UINT8 || head === UINT16 || head === UINT32 ? 1 : 0,
);
