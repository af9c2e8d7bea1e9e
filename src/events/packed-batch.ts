import type { DecodeError } from "../errors.ts";
import type { BlockHash, BlockRemoved, BlockStored, ExtraKey, KVEvent } from "./event.ts";

/** What kind of event a `PackedEvent` is. */
export const PackedType = { stored: 0, removed: 1, cleared: 2 } as const;

/** Room that a batch keeps for the next one; what an outlier needed beyond that is given back. */
const KEPT_WORDS = 1 << 16;
const KEPT_EVENTS = 1 << 12;

/**
 * One event of a `PackedBatch`: a `BlockStored`, `BlockRemoved` or `AllBlocksCleared` whose hashes and tokens stand in
 * the batch's arrays. Used again for another event once its batch is cleared.
 */
export class PackedEvent {
  /** Of `PackedType`. */
  type = 0;
  /** Pair of words in `hashes` where the first block hash stands. */
  hashStart = 0;
  /** Blocks. */
  hashCount = 0;
  /** Whether there is a parent hash: the pair just before `hashStart`. */
  hasParent = false;
  /** Where the first token stands in `tokens`. */
  tokenStart = 0;
  tokenCount = 0;
  // As in `BlockStored`; of other events only `medium` and `groupIdx` mean something.
  blockSize = 0;
  loraId: number | null = null;
  loraName: string | null = null;
  medium: string | null = null;
  extraKeys: readonly (readonly ExtraKey[] | null)[] | null = null;
  groupIdx: number | null = null;
  kvCacheSpecKind: string | null = null;
  kvCacheSpecSlidingWindow: number | null = null;
  cacheSalt: string | null = null;
}

/**
 * A batch of events without an object for each hash and token: what the decoder writes and the index reads. One is used
 * for all messages of a stream, so that reading one leaves no garbage.
 */
export class PackedBatch {
  /** Seconds since the epoch, by the engine's clock. */
  ts = 0;
  dataParallelRank: number | null = null;
  /** So many of `events` are of this batch. */
  eventCount = 0;
  readonly events: PackedEvent[] = [];
  /** Unsigned 64-bit hashes as pairs of words, the low one first. */
  hashes: Uint32Array = new Uint32Array(64);
  /** Pairs of words in use. */
  hashCount = 0;
  tokens: Uint32Array = new Uint32Array(512);
  tokenCount = 0;
  /** One for each event that could not be read, in order. */
  errors: DecodeError[] = [];

  /** Where tokens stand as long as they fit, if anywhere in particular. */
  #home: Uint32Array | null = null;
  /** Whether an array is another one, or longer, than is kept. */
  #isWide = false;

  /** Empties it. Nothing of the payload is held on to: one extra key may be a view of megabytes. */
  clear(): void {
    for (let index = 0; index < this.eventCount; index++) release(this.events[index]!);
    this.ts = 0;
    this.dataParallelRank = null;
    this.eventCount = 0;
    this.hashCount = 0;
    this.tokenCount = 0;
    if (this.errors.length > 0) this.errors = [];
    if (this.#isWide) this.#shrink();
  }

  /** Has its tokens in these words, 65,536 or more, from the next `clear` on, whenever they fit. Nobody else may write there. */
  keepTokensIn(words: Uint32Array): void {
    this.#home = words;
    this.#isWide = true;
  }

  /** The next event, with the fields of whatever it was used for before; it is part of the batch from now on. */
  nextEvent(): PackedEvent {
    let event = this.events[this.eventCount];
    if (event === undefined) {
      event = new PackedEvent();
      if (this.events.push(event) > KEPT_EVENTS) this.#isWide = true;
    }
    this.eventCount++;
    return event;
  }

  /** Forgets what came after so many events, hashes and tokens: what a reader began and cannot finish. */
  truncate(eventCount: number, hashCount: number, tokenCount: number): void {
    for (let index = eventCount; index < this.eventCount; index++) release(this.events[index]!);
    this.eventCount = eventCount;
    this.hashCount = hashCount;
    this.tokenCount = tokenCount;
  }

  /** Makes room for so many more hashes; `hashes` may be another array afterwards. */
  reserveHashes(count: number): void {
    const words = 2 * (this.hashCount + count);
    if (words > this.hashes.length) this.hashes = this.#widened(this.hashes, words);
  }

  /** Makes room for so many more tokens; `tokens` may be another array afterwards. */
  reserveTokens(count: number): void {
    const words = this.tokenCount + count;
    if (words > this.tokens.length) this.tokens = this.#widened(this.tokens, words);
  }

  #widened(words: Uint32Array, length: number): Uint32Array {
    const wider = new Uint32Array(Math.max(length, 2 * words.length));
    wider.set(words);
    if (wider.length > KEPT_WORDS) this.#isWide = true;
    return wider;
  }

  #shrink(): void {
    this.#isWide = false;
    if (this.hashes.length > KEPT_WORDS) this.hashes = new Uint32Array(KEPT_WORDS);
    if (this.#home !== null) this.tokens = this.#home;
    else if (this.tokens.length > KEPT_WORDS) this.tokens = new Uint32Array(KEPT_WORDS);
    if (this.events.length > KEPT_EVENTS) this.events.length = KEPT_EVENTS;
  }
}

function release(event: PackedEvent): void {
  event.loraName = null;
  event.medium = null;
  event.extraKeys = null;
  event.kvCacheSpecKind = null;
  event.cacheSalt = null;
}

/** Adds an event to the batch. Its `extraKeys` are kept as they are. */
export function packEvent(batch: PackedBatch, event: KVEvent): void {
  const packed = batch.nextEvent();
  packed.type = PackedType.cleared;
  packed.hashCount = 0;
  packed.hasParent = false;
  packed.tokenCount = 0;
  if (event.type === "BlockStored") packStored(batch, packed, event);
  else if (event.type === "BlockRemoved") packRemoved(batch, packed, event);
}

/** Event `index` of the batch as an object of its own. */
export function unpackEvent(batch: PackedBatch, index: number): KVEvent {
  const event = batch.events[index]!;
  if (event.type === PackedType.cleared) return { type: "AllBlocksCleared" };
  const { hashStart, hashCount, medium, groupIdx } = event;
  const blockHashes = Array.from({ length: hashCount }, (_, i) => hashAt(batch, hashStart + i));
  if (event.type === PackedType.removed) return { type: "BlockRemoved", blockHashes, medium, groupIdx };
  return {
    type: "BlockStored",
    blockHashes,
    parentBlockHash: event.hasParent ? hashAt(batch, hashStart - 1) : null,
    tokenIds: tokensOf(batch, event),
    blockSize: event.blockSize,
    loraId: event.loraId,
    loraName: event.loraName,
    medium,
    extraKeys: event.extraKeys,
    groupIdx,
    kvCacheSpecKind: event.kvCacheSpecKind,
    kvCacheSpecSlidingWindow: event.kvCacheSpecSlidingWindow,
    cacheSalt: event.cacheSalt,
  };
}

/** A copy of the tokens of one event. */
export function tokensOf(batch: PackedBatch, { tokenStart, tokenCount }: PackedEvent): Uint32Array {
  return batch.tokens.slice(tokenStart, tokenStart + tokenCount);
}

function packStored(batch: PackedBatch, packed: PackedEvent, event: BlockStored): void {
  packed.type = PackedType.stored;
  packed.hasParent = event.parentBlockHash !== null;
  if (event.parentBlockHash !== null) packHashes(batch, packed, [event.parentBlockHash]);
  packHashes(batch, packed, event.blockHashes);
  batch.reserveTokens(event.tokenIds.length);
  batch.tokens.set(event.tokenIds, batch.tokenCount);
  packed.tokenStart = batch.tokenCount;
  packed.tokenCount = event.tokenIds.length;
  batch.tokenCount += event.tokenIds.length;
  packed.blockSize = event.blockSize;
  packed.loraId = event.loraId;
  packed.loraName = event.loraName;
  packed.medium = event.medium;
  packed.extraKeys = event.extraKeys;
  packed.groupIdx = event.groupIdx;
  packed.kvCacheSpecKind = event.kvCacheSpecKind;
  packed.kvCacheSpecSlidingWindow = event.kvCacheSpecSlidingWindow;
  packed.cacheSalt = event.cacheSalt;
}

function packRemoved(batch: PackedBatch, packed: PackedEvent, event: BlockRemoved): void {
  packed.type = PackedType.removed;
  packHashes(batch, packed, event.blockHashes);
  packed.medium = event.medium;
  packed.groupIdx = event.groupIdx;
}

function packHashes(batch: PackedBatch, packed: PackedEvent, hashes: readonly BlockHash[]): void {
  batch.reserveHashes(hashes.length);
  packed.hashStart = batch.hashCount;
  packed.hashCount = hashes.length;
  for (const hash of hashes) {
    const at = 2 * batch.hashCount++;
    batch.hashes[at] = Number(hash & 0xffff_ffffn);
    batch.hashes[at + 1] = Number((hash >> 32n) & 0xffff_ffffn);
  }
}

function hashAt({ hashes }: PackedBatch, pair: number): BlockHash {
  return (BigInt(hashes[2 * pair + 1]!) << 32n) | BigInt(hashes[2 * pair]!);
}
