import { TransportError } from "../../src/errors.ts";

/** Frame flags (RFC 23, section "Framing of commands and messages"). Bits 3 to 7 are zero. */
export const MORE = 0x01;
export const LONG = 0x02;
export const COMMAND = 0x04;
export const RESERVED_FLAGS = 0xf8;

/** A body above this many bytes needs the LONG form. */
export const SHORT_BODY_BYTES = 255;

/** What all empty frames share: nothing in it can be changed. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/** Bytes of the header of a frame whose body has `size` bytes. */
export function headerBytes(size: number): number {
  return size > SHORT_BODY_BYTES ? 9 : 2;
}

/** Writes a frame's header at `offset`, in the LONG form where `size` asks for it; returns the offset behind it. */
export function writeHeader(target: Uint8Array, offset: number, flags: number, size: number): number {
  if (size <= SHORT_BODY_BYTES) {
    target[offset] = flags;
    target[offset + 1] = size;
    return offset + 2;
  }
  target[offset] = flags | LONG;
  writeUint32(target, offset + 1, Math.floor(size / 0x1_0000_0000));
  writeUint32(target, offset + 5, size % 0x1_0000_0000);
  return offset + 9;
}

/** A whole frame, header included; LONG where the body asks for it. */
export function encodeFrame(flags: number, body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerBytes(body.length) + body.length);
  frame.set(body, writeHeader(frame, 0, flags, body.length));
  return frame;
}

/** Reads the 8 bytes of a LONG size. Throws `message-too-large` from 2^53 on, where a number is no longer exact. */
export function readLongSize(source: Uint8Array, offset: number): number {
  const high = readUint32(source, offset);
  const low = readUint32(source, offset + 4);
  if (high > 0x1f_ffff) {
    const size = (BigInt(high) << 32n) | BigInt(low);
    throw new TransportError("message-too-large", `frame of ${size} bytes; no message is that large: check the peer`);
  }
  return high * 0x1_0000_0000 + low;
}

export function readUint32(source: Uint8Array, offset: number): number {
  return (
    ((source[offset]! << 24) | (source[offset + 1]! << 16) | (source[offset + 2]! << 8) | source[offset + 3]!) >>> 0
  );
}

export function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}

/** The bytes from `start` to `end` in memory of their own; `slice` of a Buffer would be a view. */
export function copyOf(bytes: Uint8Array, start?: number, end?: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}

/** What a peer wrote, safe to log: control and other odd characters become dots, and it is cut to 200. */
export function printable(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, ".");
}

/** The bytes as a string of as many characters: ASCII to read, or a key for a `Map`. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
