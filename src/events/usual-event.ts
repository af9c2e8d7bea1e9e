import { type PackedBatch, type PackedEvent, PackedType } from "./packed-batch.ts";
import { SimdTokens, simdTokens } from "./simd-tokens.ts";
import { StoredTail } from "./stored-tail.ts";
import { wireRun } from "./wire-names.ts";
import { MEMORY, MEMORY_VIEW, SLACK_BYTES, TOKEN_BYTES, TOKEN_MASKS, type WireReader } from "./wire-reader.ts";

const OTHER = -1;
const NIL = 0xc0;
const UINT64 = 0xcf;
const ARRAY16 = 0xdc;
// Named once more: a constant of another file is looked up each time.
const BYTES = MEMORY;
const VIEW = MEMORY_VIEW;
const MASKS = TOKEN_MASKS;
const SIMD = simdTokens();
const SIMD_TOKENS = SIMD?.tokens ?? null;
/** Up to here whatever is taken for tokens may reach. */
const LAST_TOKEN_END = MEMORY.length - SLACK_BYTES;
const MAX_TOKEN_BYTES = TOKEN_BYTES;

/** Fewer hashes are read sooner one by one than by `SimdTokens`. */
const MIN_NAMES = 16;
const MAX_NAMES = SimdTokens.mostNames;
/** Of an integer of 64 bits. */
const NAME_BYTES = 9;

const MAX_BLOCK_SIZE = 1 << 20;
/** As in `EventReader` and `WireReader`. */
const EVENT_COST = 4_096;
const HASH_COST = 144;
const TOKEN_COST = 48;

const MAP_FRONT = wireRun("type", "BlockStored", "block_hashes");
const ARRAY_FRONT = wireRun("BlockStored");
const PARENT_NAME = wireRun("parent_block_hash");
const TOKENS_NAME = wireRun("token_ids");
/** Entries of the shortest `BlockStored`. */
const MIN_ENTRIES = 5;

/**
 * Reads in one go what comes nearly always: a `BlockStored` that has type, hashes, parent and tokens in front, in the order
 * in which engines write them, and behind those the same as the last one had there.
 *
 * An event that is not so leaves nothing in the batch. One whose tail alone is another is in the batch without its tail, for
 * `EventReader` to finish: see `tailAt`.
 *
 * `read` is long because a call costs as much as two tokens, and without a loop because V8 may come to run a function with
 * one in pieces, at a sixth of the speed, once it meets an event of another kind.
 */
export class UsualEvent {
  readonly #reader: WireReader;
  readonly tail: StoredTail = new StoredTail();
  /** Where the tail of the event begins that is in the batch without it; `OTHER` if none is. */
  tailAt: number = OTHER;

  constructor(reader: WireReader) {
    this.#reader = reader;
  }

  /** Position behind the event, or `OTHER`. */
  read(start: number, batch: PackedBatch): number {
    const reader = this.#reader;
    this.tailAt = OTHER;
    if (reader.bytes !== BYTES) return OTHER;
    const head = BYTES[start]!;
    const isMap = (head & 0xf0) === 0x80;
    let at = start + 1;
    if (isMap) {
      if (
        VIEW.getFloat64(at, true) !== MAP_FRONT.double0 ||
        VIEW.getFloat64(at + MAP_FRONT.at1, true) !== MAP_FRONT.double1 ||
        VIEW.getFloat64(at + MAP_FRONT.at2, true) !== MAP_FRONT.double2 ||
        VIEW.getFloat64(at + MAP_FRONT.at3, true) !== MAP_FRONT.double3
      ) {
        return OTHER;
      }
      at += MAP_FRONT.length;
    } else {
      if (
        (head & 0xf0) !== 0x90 ||
        VIEW.getFloat64(at, true) !== ARRAY_FRONT.double0 ||
        VIEW.getFloat64(at + ARRAY_FRONT.at1, true) !== ARRAY_FRONT.double1
      ) {
        return OTHER;
      }
      at += ARRAY_FRONT.length;
    }
    const hashesHead = BYTES[at++]!;
    let hashCount = hashesHead & 0x0f;
    if (hashesHead === ARRAY16) {
      hashCount = VIEW.getUint16(at);
      at += 2;
    } else if ((hashesHead & 0xf0) !== 0x90) return OTHER;
    if ((head & 0x0f) < MIN_ENTRIES || hashCount > reader.end - at) return OTHER;
    batch.reserveHashes(1 + hashCount);
    const { hashes } = batch;
    const hashStart = batch.hashCount + 1;
    if (hashCount === 1 && BYTES[at] === UINT64) {
      hashes[2 * hashStart + 1] = VIEW.getInt32(at + 1);
      hashes[2 * hashStart] = VIEW.getInt32(at + 5);
      at += 9;
    } else {
      at = hashesTo(reader, at, hashes, hashStart, hashCount);
      if (at === OTHER) return OTHER;
    }
    if (isMap) {
      if (
        VIEW.getFloat64(at, true) !== PARENT_NAME.double0 ||
        VIEW.getFloat64(at + PARENT_NAME.at1, true) !== PARENT_NAME.double1 ||
        VIEW.getFloat64(at + PARENT_NAME.at2, true) !== PARENT_NAME.double2
      ) {
        return OTHER;
      }
      at += PARENT_NAME.length;
    }
    const parentHead = BYTES[at]!;
    if (parentHead === UINT64) {
      hashes[2 * hashStart - 1] = VIEW.getInt32(at + 1);
      hashes[2 * hashStart - 2] = VIEW.getInt32(at + 5);
      at += 9;
    } else {
      at = parentHead === NIL ? at + 1 : reader.hash(at, hashes, 2 * hashStart - 2);
      if (at === OTHER) return OTHER;
    }
    if (isMap) {
      if (
        VIEW.getFloat64(at, true) !== TOKENS_NAME.double0 ||
        VIEW.getFloat64(at + TOKENS_NAME.at1, true) !== TOKENS_NAME.double1
      ) {
        return OTHER;
      }
      at += TOKENS_NAME.length;
    }
    const tokensHead = BYTES[at++]!;
    let tokenCount = tokensHead & 0x0f;
    if (tokensHead === ARRAY16) {
      tokenCount = VIEW.getUint16(at);
      at += 2;
    } else if ((tokensHead & 0xf0) !== 0x90) return OTHER;
    const cost = EVENT_COST + HASH_COST * hashCount + TOKEN_COST * tokenCount;
    if (cost > reader.budget || at + MAX_TOKEN_BYTES * tokenCount > LAST_TOKEN_END) return OTHER;
    // The first batch that comes is as a rule the only one.
    if (SIMD?.isFree) {
      SIMD.isFree = false;
      batch.keepTokensIn(SIMD.tokens);
    }
    batch.reserveTokens(tokenCount);
    const tokenStart = batch.tokenCount;
    at = tokenIds(at, batch.tokens, tokenStart, tokenStart + tokenCount);
    if (at === OTHER || at > reader.end) return OTHER;
    reader.budget -= cost;
    const event = batch.nextEvent();
    event.type = PackedType.stored;
    event.hashStart = hashStart;
    event.hashCount = hashCount;
    event.hasParent = parentHead !== NIL;
    event.tokenStart = tokenStart;
    event.tokenCount = tokenCount;
    batch.hashCount = hashStart + hashCount;
    batch.tokenCount = tokenStart + tokenCount;
    return this.#finish(at, head, event);
  }

  /** Position behind the event whose tail begins at `at`, or `OTHER`. */
  #finish(at: number, head: number, event: PackedEvent): number {
    const { tail } = this;
    const after = at + tail.length;
    if (after <= this.#reader.end && tail.isAt(at, head) && this.#reader.spend(tail.cost)) {
      tail.tell(event);
      if (fits(event)) return after;
    }
    this.tailAt = at;
    event.loraId = null;
    event.loraName = null;
    event.medium = null;
    event.extraKeys = null;
    event.groupIdx = null;
    event.kvCacheSpecKind = null;
    event.kvCacheSpecSlidingWindow = null;
    event.cacheSalt = null;
    return OTHER;
  }
}

/** As `WireReader.hashesTo`, but that integers of 64 bits, as nearly all are, may reach 8 bytes behind the payload. */
function hashesTo(reader: WireReader, start: number, hashes: Uint32Array, first: number, count: number): number {
  const last = 2 * (first + count);
  let to = 2 * first;
  let at = start;
  if (SIMD !== null && count >= MIN_NAMES && count <= MAX_NAMES && start + NAME_BYTES * count <= LAST_TOKEN_END) {
    const end = SIMD.readNames(start, count & ~1, hashes, to);
    if (end !== OTHER) {
      at = end;
      to += 2 * (count & ~1);
    }
  }
  for (; to < last && at !== OTHER; to += 2) {
    if (BYTES[at] !== UINT64) at = reader.hash(at, hashes, to);
    else {
      hashes[to + 1] = VIEW.getInt32(at + 1);
      hashes[to] = VIEW.getInt32(at + 5);
      at += 9;
    }
  }
  return at;
}

/**
 * Token ids to `tokens`, from `first` to before `last`, as `WireReader.tokens` reads them, by `SimdTokens` where those are
 * its own. They may reach behind the payload.
 */
export function tokenIds(start: number, tokens: Uint32Array, first: number, last: number): number {
  let at = start;
  let to = first;
  if (tokens === SIMD_TOKENS && last - first >= 8) {
    to = last - ((last - first) & 7);
    at = SIMD!.read(start, first, to);
    if (at === OTHER) return OTHER;
  }
  let good = -1;
  // Four at a time: a loop has a cost of its own.
  for (; to < last - 3; to += 4) {
    let head = BYTES[at]!;
    at += 1 + ((head >>> 7) << (head & 3));
    let mask = MASKS[head]!;
    tokens[to] = VIEW.getInt32(at - 4) & mask;
    good &= mask;
    head = BYTES[at]!;
    at += 1 + ((head >>> 7) << (head & 3));
    mask = MASKS[head]!;
    tokens[to + 1] = VIEW.getInt32(at - 4) & mask;
    good &= mask;
    head = BYTES[at]!;
    at += 1 + ((head >>> 7) << (head & 3));
    mask = MASKS[head]!;
    tokens[to + 2] = VIEW.getInt32(at - 4) & mask;
    good &= mask;
    head = BYTES[at]!;
    at += 1 + ((head >>> 7) << (head & 3));
    mask = MASKS[head]!;
    tokens[to + 3] = VIEW.getInt32(at - 4) & mask;
    good &= mask;
  }
  for (; to < last; to++) {
    const head = BYTES[at]!;
    at += 1 + ((head >>> 7) << (head & 3));
    const mask = MASKS[head]!;
    tokens[to] = VIEW.getInt32(at - 4) & mask;
    good &= mask;
  }
  return good === 0 ? OTHER : at;
}

/** Whether the numbers of tokens, blocks and extra keys of a `BlockStored` go together. */
export function fits({ tokenCount, blockSize, hashCount, extraKeys }: PackedEvent): boolean {
  if (blockSize > MAX_BLOCK_SIZE || blockSize < (tokenCount === 0 ? 0 : 1)) return false;
  if (tokenCount !== 0 && tokenCount !== hashCount * blockSize) return false;
  return extraKeys === null || extraKeys.length === hashCount;
}
