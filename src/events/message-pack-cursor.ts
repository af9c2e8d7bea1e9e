import { DecodeError } from "../errors.ts";

/** Arrays and maps in one another: real events have four levels. More would only serve to overflow a reader's stack. */
export const MAX_DEPTH = 32;

/** What decoding one payload may cost. The largest real batches stay below a hundredth of it. */
const MAX_DECODED_BYTES = 256 * 1024 * 1024;
const INTEGER_BYTES = 16;
const LONG_INTEGER_BYTES = 48;
/** Strings, binaries and containers: an object header, its slots, its place in the parent. */
const OBJECT_BYTES = 128;

/**
 * Walks MessagePack without building anything, so that a payload's claims are checked against its length before a
 * decoder believes them: an array header of ten bytes can ask for 2^32 slots, and every nested one can do it again.
 * The estimate of what decoding will allocate is bounded too: one byte of payload can be a view of over a hundred.
 *
 * Every method throws `DecodeError`: `msgpack` where the bytes end early or are no MessagePack, `batch` above the bound.
 */
export class MessagePackCursor {
  /** Of the next byte to read. */
  position = 0;
  /** Whether the value skipped last is nested deeper than `MAX_DEPTH`. */
  tooDeep = false;
  /** Whether a float is anywhere in the value skipped last. */
  hasFloat = false;
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #pending = new Float64Array(MAX_DEPTH + 1);
  #decodedBytes = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Entries of the array that begins here, and moves to the first; −1, without a move, where no array begins. */
  readArrayHeader(): number {
    const head = this.#peek();
    return (head & 0xf0) === 0x90 || head === 0xdc || head === 0xdd ? this.#readHead() : -1;
  }

  /** Pairs of the map that begins here, and moves to the first key; −1, without a move, where no map begins. */
  readMapHeader(): number {
    const head = this.#peek();
    return (head & 0xf0) === 0x80 || head === 0xde || head === 0xdf ? this.#readHead() / 2 : -1;
  }

  /** Passes the value that begins here and returns its bytes. */
  skip(): Uint8Array {
    const start = this.position;
    const pending = this.#pending;
    this.tooDeep = false;
    this.hasFloat = false;
    let level = 0;
    pending[0] = 1;
    while (level >= 0) {
      const left = pending[level]!;
      if (left === 0) {
        level--;
        continue;
      }
      pending[level] = left - 1;
      const children = this.#readHead();
      if (children === 0) continue;
      if (level < MAX_DEPTH) {
        level++;
        pending[level] = children;
      } else {
        // Deeper values are counted on the last level: enough to find the end, and nothing grows.
        this.tooDeep = true;
        pending[level] = pending[level]! + children;
      }
    }
    return this.bytes.subarray(start, this.position);
  }

  /** The estimate of what decoding allocates, so far. */
  get decodedBytes(): number {
    return this.#decodedBytes;
  }

  /** Adds to the estimate of what decoding allocates. */
  charge(decodedBytes: number): void {
    this.#decodedBytes += decodedBytes;
    if (this.#decodedBytes > MAX_DECODED_BYTES) {
      throw new DecodeError(
        "batch",
        `payload of ${this.bytes.length} bytes would take more than ${MAX_DECODED_BYTES} bytes of memory decoded; no engine sends such a batch, check who publishes there`,
      );
    }
  }

  /** Passes a whole scalar, or the head of a container; returns the number of values in the container. */
  #readHead(): number {
    const head = this.#peek();
    this.position++;
    if (head < 0x80 || head >= 0xe0) return this.#scalar(0, INTEGER_BYTES);
    if (head < 0x90) return this.#container((head & 0x0f) * 2);
    if (head < 0xa0) return this.#container(head & 0x0f);
    if (head < 0xc0) return this.#scalar(head & 0x1f, OBJECT_BYTES);
    if (head >= 0xd4 && head <= 0xd8) return this.#scalar((1 << (head - 0xd4)) + 1, OBJECT_BYTES);
    switch (head) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return this.#scalar(0, INTEGER_BYTES);
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#scalar(this.#readLength(1 << (head - 0xc4)), OBJECT_BYTES);
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#scalar(this.#readLength(1 << (head - 0xc7)) + 1, OBJECT_BYTES);
      case 0xca:
      case 0xcb:
        this.hasFloat = true;
        return this.#scalar(head === 0xca ? 4 : 8, LONG_INTEGER_BYTES);
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.#scalar(1 << (head - 0xcc), head === 0xcf ? LONG_INTEGER_BYTES : INTEGER_BYTES);
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.#scalar(1 << (head - 0xd0), head === 0xd3 ? LONG_INTEGER_BYTES : INTEGER_BYTES);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#scalar(this.#readLength(1 << (head - 0xd9)), OBJECT_BYTES);
      case 0xdc:
      case 0xdd:
        return this.#container(this.#readLength(head === 0xdc ? 2 : 4));
      case 0xde:
      case 0xdf:
        return this.#container(this.#readLength(head === 0xde ? 2 : 4) * 2);
      default:
        throw new DecodeError(
          "msgpack",
          `byte ${this.position - 1} is 0x${head.toString(16)}, which is no MessagePack`,
        );
    }
  }

  #peek(): number {
    if (this.position >= this.bytes.length) throw this.#cutOff();
    return this.bytes[this.position]!;
  }

  #readLength(width: number): number {
    const at = this.position;
    if (at + width > this.bytes.length) throw this.#cutOff();
    this.position += width;
    return width === 1 ? this.bytes[at]! : width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #scalar(bodyBytes: number, decodedBytes: number): number {
    if (bodyBytes > this.bytes.length - this.position) throw this.#cutOff();
    this.position += bodyBytes;
    this.charge(decodedBytes);
    return 0;
  }

  #container(values: number): number {
    // Each value is a byte at least, so a larger claim cannot be true.
    if (values > this.bytes.length - this.position) throw this.#cutOff();
    this.charge(OBJECT_BYTES);
    return values;
  }

  #cutOff(): DecodeError {
    return new DecodeError("msgpack", `payload of ${this.bytes.length} bytes is cut off in the value at its end`);
  }
}
