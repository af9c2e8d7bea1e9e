import { KVEventSyncError } from "../errors.ts";

const INITIAL_BYTES = 256;
const MAX_UINT64 = 0xffff_ffff_ffff_ffffn;
const MIN_INT64 = -(1n << 63n);
const textEncoder = new TextEncoder();

/** Writes MessagePack as msgspec does: each value in its shortest form, floats always in 8 bytes. */
export class MessagePackWriter {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  array(entries: number): void {
    if (entries < 16) this.#byte(0x90 | entries);
    else if (entries < 0x1_0000) this.#uint16(0xdc, entries);
    else this.#uint32(0xdd, entries);
  }

  map(pairs: number): void {
    if (pairs < 16) this.#byte(0x80 | pairs);
    else if (pairs < 0x1_0000) this.#uint16(0xde, pairs);
    else this.#uint32(0xdf, pairs);
  }

  /** @throws KVEventSyncError `invalid-event` outside −2^63 … 2^64−1 and for a number that is no safe integer. */
  integer(value: number | bigint): void {
    if (typeof value === "bigint" || !Number.isSafeInteger(value)) {
      this.#wideInteger(value);
    } else if (value >= 0) {
      if (value < 0x80) this.#byte(value);
      else if (value < 0x100) this.#uint8(0xcc, value);
      else if (value < 0x1_0000) this.#uint16(0xcd, value);
      else if (value < 0x1_0000_0000) this.#uint32(0xce, value);
      else this.#uint64(0xcf, BigInt(value));
    } else if (value >= -0x20) this.#byte(value & 0xff);
    else if (value >= -0x80) this.#uint8(0xd0, value);
    else if (value >= -0x8000) this.#uint16(0xd1, value);
    else if (value >= -0x8000_0000) this.#uint32(0xd2, value);
    else this.#uint64(0xd3, BigInt(value));
  }

  float(value: number): void {
    this.#reserve(9);
    this.#view.setUint8(this.#length, 0xcb);
    this.#view.setFloat64(this.#length + 1, value);
    this.#length += 9;
  }

  text(value: string): void {
    const bytes = textEncoder.encode(value);
    if (bytes.length < 32) this.#byte(0xa0 | bytes.length);
    else if (bytes.length < 0x100) this.#uint8(0xd9, bytes.length);
    else if (bytes.length < 0x1_0000) this.#uint16(0xda, bytes.length);
    else this.#uint32(0xdb, bytes.length);
    this.#append(bytes);
  }

  binary(bytes: Uint8Array): void {
    if (bytes.length < 0x100) this.#uint8(0xc4, bytes.length);
    else if (bytes.length < 0x1_0000) this.#uint16(0xc5, bytes.length);
    else this.#uint32(0xc6, bytes.length);
    this.#append(bytes);
  }

  nil(): void {
    this.#byte(0xc0);
  }

  /**
   * Anything that MessagePack holds; a number without a fraction is written as an integer.
   *
   * @throws KVEventSyncError `invalid-event` for what it does not hold.
   */
  value(value: unknown): void {
    if (value === null || value === undefined) this.nil();
    else if (typeof value === "boolean") this.#byte(value ? 0xc3 : 0xc2);
    else if (typeof value === "bigint") this.integer(value);
    else if (typeof value === "number") {
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.integer(value);
      else this.float(value);
    } else if (typeof value === "string") this.text(value);
    else if (value instanceof Uint8Array) this.binary(value);
    else if (Array.isArray(value)) {
      this.array(value.length);
      for (const entry of value) this.value(entry);
    } else if (typeof value === "object") {
      const pairs = Object.entries(value);
      this.map(pairs.length);
      for (const [key, entry] of pairs) {
        this.text(key);
        this.value(entry);
      }
    } else throw invalid(`a ${typeof value} has no MessagePack form`);
  }

  #wideInteger(value: number | bigint): void {
    if (typeof value !== "bigint" || value > MAX_UINT64 || value < MIN_INT64) {
      throw invalid(`${value} is no integer from −2^63 to 2^64−1`);
    }
    if (value >= -0x8000_0000n && value < 0x1_0000_0000n) this.integer(Number(value));
    else this.#uint64(value < 0n ? 0xd3 : 0xcf, value);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  #uint8(head: number, value: number): void {
    this.#byte(head);
    this.#byte(value & 0xff);
  }

  #uint16(head: number, value: number): void {
    this.#reserve(3);
    this.#view.setUint8(this.#length, head);
    this.#view.setUint16(this.#length + 1, value);
    this.#length += 3;
  }

  #uint32(head: number, value: number): void {
    this.#reserve(5);
    this.#view.setUint8(this.#length, head);
    this.#view.setUint32(this.#length + 1, value);
    this.#length += 5;
  }

  #uint64(head: number, value: bigint): void {
    this.#reserve(9);
    this.#view.setUint8(this.#length, head);
    this.#view.setBigUint64(this.#length + 1, BigInt.asUintN(64, value));
    this.#length += 9;
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

function invalid(problem: string): KVEventSyncError {
  return new KVEventSyncError("invalid-event", `encode: ${problem}; correct the event`);
}
