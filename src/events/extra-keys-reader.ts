import type { ExtraKey } from "./event.ts";
import type { WireReader } from "./wire-reader.ts";

const OTHER = -1;
const NIL = 0xc0;

type BlockKeys = readonly ExtraKey[] | null;

/** Arrays in one another; real keys have one level. Deeper ones are left to the oracle. */
const MAX_LEVELS = 4;
/** What the oracle charges at most for a value that holds no others, and for a container. */
const VALUE_COST = 128;

/** Keys that say nothing, by the number of blocks: what vLLM sends for nearly every event. */
const NO_KEYS: (readonly BlockKeys[])[] = [];
const MAX_NO_KEYS = 1_024;

/**
 * Reads `extra_keys`: for each block nil, or an array of whatever MessagePack holds but maps, extensions and texts that
 * are not short ASCII. Nothing that it gives is part of the payload. Neighbours whose keys are the same bytes share them:
 * an adapter's name or a salt is said again for each block.
 */
export class ExtraKeysReader {
  readonly #reader: WireReader;
  /** One entry for each block; `null` where there are none at all. */
  value: readonly BlockKeys[] | null = null;
  /** Behind the value that `#value` has read last; `OTHER` where it could not. */
  #at = 0;

  constructor(reader: WireReader) {
    this.#reader = reader;
  }

  /** Position behind the keys, or `OTHER`. */
  read(start: number): number {
    const at = this.#reader.arrayHead(start);
    const count = this.#reader.number;
    this.value = null;
    // An empty list says as little as none.
    if (at === OTHER || count === 0) return at;
    return count <= MAX_NO_KEYS && this.#areNils(at, count) ? this.#none(at, count) : this.#some(at, count);
  }

  #areNils(at: number, count: number): boolean {
    const { bytes } = this.#reader;
    for (let i = 0; i < count; i++) if (bytes[at + i] !== NIL) return false;
    return true;
  }

  #none(at: number, count: number): number {
    NO_KEYS[count] ??= new Array<null>(count).fill(null);
    this.value = NO_KEYS[count]!;
    return at + count;
  }

  #some(start: number, count: number): number {
    const reader = this.#reader;
    const blocks: BlockKeys[] = [];
    let [before, at, cost] = [start, start, 0];
    for (let i = 0; i < count; i++) {
      const length = at - before;
      if (length > 0 && this.#isSame(before, at, length)) {
        if (!reader.spend(cost)) return OTHER;
        blocks.push(blocks[i - 1]!);
        before = at;
        at += length;
        continue;
      }
      const budget = reader.budget;
      const keys = this.#value(at, MAX_LEVELS);
      if (this.#at === OTHER || (keys !== null && !Array.isArray(keys))) return OTHER;
      blocks.push(keys as BlockKeys);
      cost = budget - reader.budget;
      before = at;
      at = this.#at;
    }
    this.value = blocks;
    return at;
  }

  /** The value at `at` has the same bytes as the one before, so it is the same, and ends where that does. */
  #isSame(before: number, at: number, length: number): boolean {
    const { bytes, end } = this.#reader;
    if (at + length > end) return false;
    for (let i = 0; i < length; i++) if (bytes[before + i] !== bytes[at + i]) return false;
    return true;
  }

  #value(start: number, levels: number): ExtraKey {
    const reader = this.#reader;
    const head = reader.bytes[start]!;
    if (!reader.spend(VALUE_COST)) return this.#other();
    if ((head & 0xf0) === 0x90 || head === 0xdc || head === 0xdd) return this.#list(start, levels);
    if ((head & 0xe0) === 0xa0 || head === 0xd9) {
      this.#at = reader.text(start);
      return reader.string;
    }
    if (head === 0xc4 || head === 0xc5) return this.#binary(start, head === 0xc4 ? 1 : 2);
    return this.#scalar(start, head);
  }

  #list(start: number, levels: number): ExtraKey {
    let at = this.#reader.arrayHead(start);
    const count = this.#reader.number;
    if (levels === 0) return this.#other();
    const values: ExtraKey[] = [];
    for (let i = 0; i < count && at !== OTHER; i++) {
      values.push(this.#value(at, levels - 1));
      at = this.#at;
    }
    this.#at = at;
    return values;
  }

  /** A copy: the memory is that of the next payload, too. */
  #binary(start: number, width: 1 | 2): ExtraKey {
    const { bytes, view, end } = this.#reader;
    const length = width === 1 ? bytes[start + 1]! : view.getUint16(start + 1);
    const from = start + 1 + width;
    if (length > end - from) return this.#other();
    this.#at = from + length;
    return Uint8Array.from(bytes.subarray(from, from + length));
  }

  #scalar(start: number, head: number): ExtraKey {
    const { view } = this.#reader;
    this.#at = start + 1;
    if (head < 0x80) return head;
    if (head >= 0xe0) return head - 0x100;
    switch (head) {
      case NIL:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return this.#sized(4, view.getFloat32(start + 1));
      case 0xcb:
        return this.#sized(8, view.getFloat64(start + 1));
      case 0xcc:
        return this.#sized(1, view.getUint8(start + 1));
      case 0xcd:
        return this.#sized(2, view.getUint16(start + 1));
      case 0xce:
        return this.#sized(4, view.getUint32(start + 1));
      case 0xcf:
        return this.#sized(8, view.getBigUint64(start + 1));
      case 0xd0:
        return this.#sized(1, view.getInt8(start + 1));
      case 0xd1:
        return this.#sized(2, view.getInt16(start + 1));
      case 0xd2:
        return this.#sized(4, view.getInt32(start + 1));
      case 0xd3:
        return this.#sized(8, view.getBigInt64(start + 1));
      default:
        return this.#other();
    }
  }

  #sized(bytes: number, value: number | bigint): ExtraKey {
    this.#at += bytes;
    return value;
  }

  #other(): null {
    this.#at = OTHER;
    return null;
  }
}
