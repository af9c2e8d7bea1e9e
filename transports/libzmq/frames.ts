import type { Message } from "../../src/transport.ts";

/** A key for a map: one character per byte. */
export function latin1(bytes: Uint8Array): string {
  return asBuffer(bytes).toString("latin1");
}

/** A copy for libzmq, which keeps large frames where they are until it has sent them. */
export function copyOf(message: Message): Buffer[] {
  return message.map((frame) => Buffer.from(frame));
}

/** Bytes of all frames, with `FRAME_OVERHEAD` for each. */
export function sizeOf(message: Message): number {
  return message.reduce((sum, frame) => sum + frame.length + FRAME_OVERHEAD, 0);
}

/** The same bytes. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What surrounds a frame in memory. */
const FRAME_OVERHEAD = 100;
