import type { PackedBatch } from "./packed-batch.ts";
import { PAYLOAD_BYTES, simdTokens } from "./simd-tokens.ts";
import { TextCache } from "./text-cache.ts";
import type { WireName } from "./wire-names.ts";

// What is imported costs a look-up each time, which shows here: what is needed per value is said in each file.
const OTHER = -1;
const FLOAT64 = 0xcb;
const UINT8 = 0xcc;
const UINT16 = 0xcd;
const UINT32 = 0xce;
const UINT64 = 0xcf;
const INT64 = 0xd3;
const BIN8 = 0xc4;
const STR8 = 0xd9;
const TEXT_OF_8 = 0xa8;
const ARRAY16 = 0xdc;
const ARRAY32 = 0xdd;

/** What the oracle allows a payload to cost (`MessagePackCursor`). */
const MAX_COST = 256 * 1024 * 1024;
/** What the oracle charges at most for a hash with the extra keys of its block, if those say nothing; and for a token. */
const HASH_COST = 144;
const TOKEN_COST = 48;

/** Room for a payload that is as long as any should be. */
const MEMORY_BYTES = PAYLOAD_BYTES;
/** Bytes behind a payload: 16 that no value begins with, and what a comparison reads beyond those. */
export const SLACK_BYTES = 48;
/** Eight bytes 0xc1. */
const NO_VALUE: number = new DataView(new Uint8Array(8).fill(0xc1).buffer).getFloat64(0);
/** What a token takes at most, and what anything else is taken for in its place. */
export const TOKEN_BYTES = 9;

/**
 * Where the payload lies that is being read, whichever reader it is that reads, unless it is too long for it. One memory for
 * all, as V8 reads what is always in one place without a look at where that is; nothing is read here once the next is loaded.
 * That of `SimdTokens`, where there is one.
 */
export const MEMORY: Buffer = simdTokens()?.payload ?? Buffer.alloc(MEMORY_BYTES);
export const MEMORY_VIEW: DataView = new DataView(MEMORY.buffer, MEMORY.byteOffset, MEMORY_BYTES);

/**
 * Reads values of MessagePack from a copy of the payload, which lies in the same memory each time: bytes of memory that is
 * well known are read without asking, the payload's own are not.
 *
 * Invariants, for all methods: they take the position of what they read and return the one behind it, or −1 (`OTHER`) where
 * something else comes than is known here. Positions never go back. Behind the payload's end stand bytes that begin no
 * value, so that a head need not be asked whether it is within; what is cut off may reach up to 8 bytes behind the end,
 * where nothing more is read. So whoever reads a payload has only to see that the last position is its end. Whatever may
 * be longer than 8 bytes is checked at once.
 */
export class WireReader {
  bytes: Buffer = MEMORY;
  view: DataView = MEMORY_VIEW;
  /** Of the payload: it begins at 0. */
  end = 0;
  /** What the last of these methods has read: `integer`, `arrayHead`, `textHead`. */
  number = 0;
  /** What `text` has read last. */
  string = "";
  /** What is left of `MAX_COST`: taken before room is made, so that a payload cannot ask for more than the oracle allows. */
  budget = 0;
  readonly #texts = new TextCache();

  /** Takes a payload, which is read from position 0 on. */
  load(payload: Uint8Array): void {
    const end = payload.length;
    const wanted = end + SLACK_BYTES;
    if (wanted <= MEMORY_BYTES) {
      this.bytes = MEMORY;
      this.view = MEMORY_VIEW;
    } else if (wanted > this.bytes.length) {
      this.bytes = Buffer.alloc(wanted);
      this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, wanted);
    }
    this.bytes.set(payload);
    this.view.setFloat64(end, NO_VALUE);
    this.view.setFloat64(end + 8, NO_VALUE);
    this.end = end;
    this.budget = MAX_COST;
  }

  /** Of `MAX_COST`. */
  get spent(): number {
    return MAX_COST - this.budget;
  }

  /** Whether that much may still be spent; then it is. */
  spend(cost: number): boolean {
    if (cost > this.budget) return false;
    this.budget -= cost;
    return true;
  }

  /** Whether this text begins at `at`. What is behind the text does not matter. */
  isName(at: number, name: WireName): boolean {
    const { view } = this;
    // Without a branch for each word: all are there.
    const difference =
      (view.getInt32(at, true) ^ name.word0) |
      ((view.getInt32(at + 4, true) ^ name.word1) & name.mask1) |
      ((view.getInt32(at + 8, true) ^ name.word2) & name.mask2) |
      ((view.getInt32(at + 12, true) ^ name.word3) & name.mask3);
    return difference === 0 && (name.length <= 16 || this.#isRest(at + 16, name));
  }

  #isRest(at: number, { rest, restMasks }: WireName): boolean {
    let difference = 0;
    for (let i = 0; i < rest.length; i++) {
      difference |= (this.view.getInt32(at + 4 * i, true) ^ rest[i]!) & restMasks[i]!;
    }
    return difference === 0;
  }

  timestamp(at: number, batch: PackedBatch): number {
    if (this.bytes[at] !== FLOAT64) return OTHER;
    batch.ts = this.view.getFloat64(at + 1);
    return at + 9;
  }

  /** An unsigned integer up to 32 bits. */
  integer(at: number): number {
    const head = this.bytes[at]!;
    if (head < 0x80) {
      this.number = head;
      return at + 1;
    }
    if (head === UINT8) {
      this.number = this.bytes[at + 1]!;
      return at + 2;
    }
    if (head === UINT16) {
      this.number = this.view.getUint16(at + 1);
      return at + 3;
    }
    if (head !== UINT32) return OTHER;
    this.number = this.view.getUint32(at + 1);
    return at + 5;
  }

  /** The number of entries of an array, each of which has a byte at least. */
  arrayHead(start: number): number {
    const head = this.bytes[start]!;
    let at = start + 1;
    if ((head & 0xf0) === 0x90) this.number = head & 0x0f;
    else if (head === ARRAY16) {
      this.number = this.view.getUint16(at);
      at += 2;
    } else if (head === ARRAY32) {
      this.number = this.view.getUint32(at);
      at += 4;
    } else return OTHER;
    return this.number <= this.end - at ? at : OTHER;
  }

  /** The number of bytes of a text of up to 255, all of which are there. */
  textHead(start: number): number {
    const head = this.bytes[start]!;
    let at = start + 1;
    if ((head & 0xe0) === 0xa0) this.number = head & 0x1f;
    else if (head === STR8) this.number = this.bytes[at++]!;
    else return OTHER;
    return this.number <= this.end - at ? at : OTHER;
  }

  /** A text of ASCII. */
  text(start: number): number {
    const at = this.textHead(start);
    if (at === OTHER) return OTHER;
    const text = this.#texts.read(this.bytes, at, this.number);
    if (text === null) return OTHER;
    this.string = text;
    return at + this.number;
  }

  /** A hash, in any form but a negative integer of less than 64 bits, to the pair of words at `to`. */
  hash(start: number, hashes: Uint32Array, to: number): number {
    const head = this.bytes[start]!;
    let after = start + 9;
    if (head !== UINT64 && head !== INT64 && head !== TEXT_OF_8) {
      if (head !== BIN8 && head !== STR8) {
        hashes[to + 1] = 0;
        const at = this.integer(start);
        hashes[to] = this.number;
        return at;
      }
      const length = this.bytes[start + 1]!;
      if (length !== 8 && length !== 32) return OTHER;
      after = start + 2 + length;
    }
    if (after > this.end) return OTHER;
    hashes[to + 1] = this.view.getInt32(after - 8);
    hashes[to] = this.view.getInt32(after - 4);
    return after;
  }

  /** An array of hashes, to the end of the batch's; `number` of them. */
  hashes(start: number, batch: PackedBatch): number {
    let at = this.arrayHead(start);
    const count = this.number;
    if (at === OTHER || !this.spend(count * HASH_COST)) return OTHER;
    batch.reserveHashes(count);
    const first = batch.hashCount;
    batch.hashCount += count;
    at = this.hashesTo(at, batch.hashes, first, count);
    this.number = count;
    return at;
  }

  /** So many hashes, to the pairs of words from `first` on. */
  hashesTo(start: number, hashes: Uint32Array, first: number, count: number): number {
    let at = start;
    for (let pair = first; pair < first + count && at !== OTHER; pair++) at = this.hash(at, hashes, 2 * pair);
    return at;
  }

  /** An array of token ids, to the end of the batch's; `number` of them. None begins in the payload's first three bytes. */
  tokens(start: number, batch: PackedBatch): number {
    let at = this.arrayHead(start);
    const count = this.number;
    if (at === OTHER || !this.spend(count * TOKEN_COST)) return OTHER;
    batch.reserveTokens(count);
    let to = batch.tokenCount;
    const last = to + count;
    const { bytes, view, end } = this;
    const { tokens } = batch;
    let good = -1;
    while (to < last && at < end) {
      // So many do not reach further than one token over the end, however long they are.
      const stop = Math.min(last, to + 1 + (((end - at) / TOKEN_BYTES) | 0));
      // Without a branch on what comes: lengths of token ids are as good as random.
      for (; to < stop; to++) {
        const head = bytes[at]!;
        at += 1 + ((head >>> 7) << (head & 3));
        const mask = TOKEN_MASKS[head]!;
        tokens[to] = view.getInt32(at - 4) & mask;
        good &= mask;
      }
    }
    batch.tokenCount = last;
    this.number = count;
    return good !== 0 && to === last ? at : OTHER;
  }
}

/**
 * Which bits of the four bytes that end where a token does are that token, by its head; none for any head but those of
 * unsigned integers up to 32 bits.
 */
export const TOKEN_MASKS: Int32Array = Int32Array.from({ length: 256 }, (_, head) =>
  head < 0x80 || head === UINT8 ? 0xff : head === UINT16 ? 0xffff : head === UINT32 ? -1 : 0,
);
