import type { PackedEvent } from "./packed-batch.ts";
import { MEMORY_VIEW } from "./wire-reader.ts";

// Named once more: a constant of another file is looked up each time.
const VIEW = MEMORY_VIEW;

const MAX_BYTES = 128;

type Said = Pick<
  PackedEvent,
  | "blockSize"
  | "loraId"
  | "loraName"
  | "medium"
  | "extraKeys"
  | "groupIdx"
  | "kvCacheSpecKind"
  | "kvCacheSpecSlidingWindow"
  | "cacheSalt"
>;

/**
 * What stood in the last `BlockStored` behind its hashes and tokens: the size of its blocks, adapter, tier and the like.
 * An engine says the same there again and again, so that nearly always one comparison of bytes tells all of it.
 *
 * Invariant: what such bytes say depends on them alone, and on the event's first byte, which is compared, too.
 */
export class StoredTail {
  readonly #words = new Int32Array(MAX_BYTES / 4 + 2);
  /** Words of the tail but the last two, which may not be full. */
  #fullWords = 0;
  #mask0 = 0;
  #mask1 = 0;
  /** Of the event; 0, which begins none, while no tail is known. */
  #head = 0;
  /** Bytes. */
  length = 0;
  /** What the reader has spent on it. */
  cost = 0;
  readonly #said: Said = {
    blockSize: 0,
    loraId: null,
    loraName: null,
    medium: null,
    extraKeys: null,
    groupIdx: null,
    kvCacheSpecKind: null,
    kvCacheSpecSlidingWindow: null,
    cacheSalt: null,
  };

  /** Whether it stands in the memory at `at`, which may be looked at up to 16 bytes behind it. `head`: the event's first byte. */
  isAt(at: number, head: number): boolean {
    const words = this.#words;
    const fullWords = this.#fullWords;
    let difference = head ^ this.#head;
    let from = at;
    let word = 0;
    for (; word < fullWords; word += 2, from += 8) {
      difference |= (VIEW.getInt32(from, true) ^ words[word]!) | (VIEW.getInt32(from + 4, true) ^ words[word + 1]!);
    }
    difference |= (VIEW.getInt32(from, true) ^ words[word]!) & this.#mask0;
    difference |= (VIEW.getInt32(from + 4, true) ^ words[word + 1]!) & this.#mask1;
    return difference === 0;
  }

  /** Makes the event say what it says. */
  tell(event: PackedEvent): void {
    copy(this.#said, event);
  }

  /** Takes the tail from `start` to `end` in the memory, and what the event says by it. */
  learn(start: number, end: number, head: number, cost: number, event: PackedEvent): void {
    this.length = end - start;
    this.#head = this.length <= MAX_BYTES ? head : 0;
    if (this.#head === 0) return;
    this.cost = cost;
    this.#fullWords = (this.length >>> 3) << 1;
    const rest = this.length & 7;
    this.#mask0 = rest >= 4 ? -1 : ~(-1 << (8 * rest));
    this.#mask1 = rest <= 4 ? 0 : ~(-1 << (8 * (rest - 4)));
    for (let word = 0; word < this.#fullWords + 2; word++) this.#words[word] = VIEW.getInt32(start + 4 * word, true);
    copy(event, this.#said);
  }
}

function copy(from: Said, to: Said): void {
  to.blockSize = from.blockSize;
  to.loraId = from.loraId;
  to.loraName = from.loraName;
  to.medium = from.medium;
  to.extraKeys = from.extraKeys;
  to.groupIdx = from.groupIdx;
  to.kvCacheSpecKind = from.kvCacheSpecKind;
  to.kvCacheSpecSlidingWindow = from.kvCacheSpecSlidingWindow;
  to.cacheSalt = from.cacheSalt;
}
