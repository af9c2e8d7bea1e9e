import { TransportError } from "../../src/errors.ts";
import type { Message } from "../../src/transport.ts";
import type { FrameCodec } from "./mechanism.ts";
import { headerBytes, MORE, writeHeader } from "./wire.ts";

/** Messages up to this size are gathered into one write by copying; above it a copy costs more than it saves. */
export const GATHERED_BYTES = 8_192;

/** Turns messages into bytes on the wire. */
export class MessageEncoder {
  readonly #scratch: Uint8Array = new Uint8Array(GATHERED_BYTES);

  /**
   * A whole message, copied: its frames may be changed at once. Up to `GATHERED_BYTES` the result is valid only until
   * the next call; a larger one has its own memory, which all peers that get the message share.
   * Throws as `firstFrame`.
   */
  encode(message: Message): Uint8Array {
    const count = message.length;
    firstFrame(message);
    let size = 0;
    for (let i = 0; i < count; i += 1) {
      const length = message[i]!.length;
      size += headerBytes(length) + length;
    }
    const target = size <= GATHERED_BYTES ? this.#scratch : Buffer.allocUnsafeSlow(size);
    let offset = 0;
    for (let i = 0; i < count; i += 1) {
      const frame = message[i]!;
      offset = writeHeader(target, offset, i + 1 < count ? MORE : 0, frame.length);
      target.set(frame, offset);
      offset += frame.length;
    }
    return size <= GATHERED_BYTES ? target.subarray(0, size) : target;
  }
}

/** Throws TransportError `unsupported` for a message without frames, which the protocol cannot express. */
export function firstFrame(message: Message): Uint8Array {
  const [frame] = message;
  if (frame !== undefined) return frame;
  throw new TransportError("unsupported", "zmtp: a message needs at least one frame; this one has none");
}

/** The same frames, each wrapped by a mechanism that encrypts: bytes of one connection alone, in their own memory. */
export function encodeWrapped(codec: FrameCodec, message: Message): Uint8Array {
  const target = Buffer.allocUnsafeSlow(message.reduce((sum, frame) => sum + wrappedBytes(codec, frame), 0));
  const last = message.length - 1;
  let offset = 0;
  for (const [i, frame] of message.entries()) offset = wrapFrame(codec, i < last ? MORE : 0, frame, target, offset);
  return target;
}

/** One frame, likewise. */
export function encodeWrappedFrame(codec: FrameCodec, flags: number, body: Uint8Array): Uint8Array {
  const target = Buffer.allocUnsafeSlow(wrappedBytes(codec, body));
  wrapFrame(codec, flags, body, target, 0);
  return target;
}

function wrappedBytes(codec: FrameCodec, frame: Uint8Array): number {
  const size = frame.length + codec.overheadBytes;
  return headerBytes(size) + size;
}

/** The frame outside has no flags, as from libzmq, whatever those inside are. */
function wrapFrame(codec: FrameCodec, flags: number, body: Uint8Array, target: Uint8Array, offset: number): number {
  const size = body.length + codec.overheadBytes;
  const start = writeHeader(target, offset, 0, size);
  codec.wrap(flags, body, target, start);
  return start + size;
}
