import type { PackedBatch } from "./packed-batch.ts";
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

/** Room that is kept for the next payload. */
const KEPT_BYTES = 1 << 18;
/** Words behind a payload, of bytes that no value begins with; the longest comparison ahead, of a name, takes four. */
const SLACK_WORDS = 6;
const SLACK_BYTES = 8 * SLACK_WORDS;
/** Eight bytes 0xc1. */
const NO_VALUE: number = new DataView(new Uint8Array(8).fill(0xc1).buffer).getFloat64(0);
/** What a token takes at most, and what anything else is taken for in its place. */
const TOKEN_BYTES = 9;

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
  bytes: Buffer = Buffer.alloc(KEPT_BYTES);
  view: DataView = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
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
    if (wanted > this.bytes.length || (this.bytes.length > KEPT_BYTES && wanted <= KEPT_BYTES)) {
      this.bytes = Buffer.alloc(Math.max(KEPT_BYTES, wanted));
      this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    }
    this.bytes.set(payload);
    for (let word = 0; word < SLACK_WORDS; word++) this.view.setFloat64(end + 8 * word, NO_VALUE);
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
    const { hashes } = batch;
    let to = 2 * batch.hashCount;
    batch.hashCount += count;
    for (let i = 0; i < count && at !== OTHER; i++, to += 2) at = this.hash(at, hashes, to);
    this.number = count;
    return at;
  }

  /** An array of token ids, to the end of the batch's; `number` of them. */
  tokens(start: number, batch: PackedBatch): number {
    let at = this.arrayHead(start);
    const count = this.number;
    if (at === OTHER || !this.spend(count * TOKEN_COST)) return OTHER;
    batch.reserveTokens(count);
    let to = batch.tokenCount;
    const last = to + count;
    const { bytes, view, end } = this;
    const { tokens } = batch;
    let isGood = 1;
    while (to < last && at < end) {
      // So many do not reach further than one token over the end, however long they are.
      const stop = Math.min(last, to + 1 + (((end - at) / TOKEN_BYTES) | 0));
      // Without a branch on what comes: lengths of token ids are as good as random.
      while (to < stop) {
        const head = bytes[at]!;
        const isLong = head >>> 7;
        const size = isLong << (head & 3);
        const word = view.getInt32(at + 1) >>> ((32 - 8 * size) & 31);
        tokens[to++] = isLong === 1 ? word : head;
        isGood &= TOKEN_HEADS[head]!;
        at += 1 + size;
      }
    }
    batch.tokenCount = last;
    this.number = count;
    return isGood === 1 && to === last ? at : OTHER;
  }
}

/** 1 for heads of unsigned integers up to 32 bits. */
const TOKEN_HEADS: Uint8Array = Uint8Array.from({ length: 256 }, (_, head) =>
  head < 0x80 || head === UINT8 || head === UINT16 || head === UINT32 ? 1 : 0,
);
