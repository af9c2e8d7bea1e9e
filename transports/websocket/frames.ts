import type { Message } from "../../src/transport.ts";

/** What surrounds a frame in memory. */
const FRAME_OVERHEAD_BYTES = 100;

/** A key for a map: one character per byte. */
export function latin1(bytes: Uint8Array): string {
  return asBuffer(bytes).toString("latin1");
}

/** The same bytes. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A copy. */
export function copyOf(message: Message): Buffer[] {
  return message.map((frame) => Buffer.from(frame));
}

/** Bytes that a message takes in memory. */
export function sizeOf(message: Message): number {
  return message.reduce((sum, frame) => sum + frame.length + FRAME_OVERHEAD_BYTES, 0);
}
