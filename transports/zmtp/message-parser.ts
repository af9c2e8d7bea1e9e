import { TransportError } from "../../src/errors.ts";
import type { Message } from "../../src/transport.ts";
import type { FrameCodec } from "./mechanism.ts";
import { COMMAND, copyOf, EMPTY, LONG, MORE, RESERVED_FLAGS, readLongSize } from "./wire.ts";

/** Commands after the handshake are short: the longest is a subscription's topic. */
const MAX_COMMAND_BYTES = 65_536;

/** What a view costs beside its bytes, so that the count of held bytes is the memory that is held. */
export const FRAME_OVERHEAD_BYTES = 100;

export interface MessageLimits {
  /** Of all frames of one message together. */
  readonly maxMessageBytes: number;
  readonly maxFrames: number;
}

/**
 * From the bytes after a handshake to messages, without I/O. Frames are views into the chunks; only one that crosses
 * chunks is copied, once, into a buffer of its exact size, which is allocated after its size was checked.
 *
 * Complete messages gather in `messages` until they are taken, so that the caller handles one array per chunk.
 */
export class MessageParser {
  readonly #limits: MessageLimits;
  readonly #codec: FrameCodec | null;
  readonly #onCommand: (body: Uint8Array) => void;

  #messages: Message[] = [];
  #heldBytes = 0;
  #chunkBytes = 0;

  /** The message being assembled. */
  #frames: Uint8Array[] = [];
  #messageBytes = 0;
  /** How many of its frames lie in no chunk that only they keep in memory. */
  #owned = 0;

  /** A header cut by the end of a chunk. */
  readonly #header: Uint8Array = new Uint8Array(9);
  #headerLength = 0;

  /** A body cut by the end of a chunk: its buffer, how much of it is filled, its flags. */
  #body: Uint8Array | null = null;
  #filled = 0;
  #flags = 0;

  /** `onCommand` gets the body of each command, in order with the messages: those before it can be taken in it. */
  constructor(limits: MessageLimits, codec: FrameCodec | null, onCommand: (body: Uint8Array) => void) {
    this.#limits = limits;
    this.#codec = codec;
    this.#onCommand = onCommand;
  }

  /**
   * Memory of the messages that were not taken yet: their bytes, with a fixed charge for each frame, and never less
   * than the last chunk, which one small message keeps whole.
   */
  get heldBytes(): number {
    return Math.max(this.#heldBytes, this.#chunkBytes);
  }

  /** The messages that are complete since the last call. */
  take(): Message[] {
    const messages = this.#messages;
    if (messages.length > 0) this.#messages = [];
    this.#heldBytes = 0;
    return messages;
  }

  /**
   * Takes the next bytes. Throws TransportError `protocol` or `message-too-large` (and what `onCommand` throws): the
   * messages before the fault can still be taken, no more bytes may follow.
   */
  push(chunk: Uint8Array): void {
    this.#chunkBytes = chunk.length;
    this.#parse(chunk);
    if (this.#frames.length > this.#owned) this.#own(chunk);
  }

  #parse(chunk: Uint8Array): void {
    const end = chunk.length;
    let offset = this.#finishPending(chunk);
    while (offset < end) {
      const flags = chunk[offset]!;
      checkFlags(flags);
      const start = offset + ((flags & LONG) === 0 ? 2 : 9);
      if (start > end) {
        this.#header.set(chunk.subarray(offset), 0);
        this.#headerLength = end - offset;
        return;
      }
      const size = (flags & LONG) === 0 ? chunk[offset + 1]! : readLongSize(chunk, offset + 1);
      this.#check(flags, size);
      if (start + size > end) {
        this.#open(flags, size, chunk, start);
        return;
      }
      offset = start + size;
      this.#accept(flags, size === 0 ? EMPTY : new Uint8Array(chunk.buffer, chunk.byteOffset + start, size));
    }
  }

  /**
   * Copies what a message has of this chunk when it goes on in the next one: or a peer could make each small frame of
   * one message keep a chunk of its own.
   */
  #own(chunk: Uint8Array): void {
    const frames = this.#frames;
    for (let i = this.#owned; i < frames.length; i += 1) {
      if (frames[i]!.buffer === chunk.buffer) frames[i] = copyOf(frames[i]!);
    }
    this.#owned = frames.length;
  }

  /** Completes the header or the body that the last chunk cut; returns where the next frame begins. */
  #finishPending(chunk: Uint8Array): number {
    if (this.#headerLength > 0) return this.#finishHeader(chunk);
    return this.#body === null ? 0 : this.#fill(chunk, 0);
  }

  #finishHeader(chunk: Uint8Array): number {
    const header = this.#header;
    const flags = header[0]!;
    const needed = (flags & LONG) === 0 ? 2 : 9;
    let offset = 0;
    while (this.#headerLength < needed) {
      if (offset === chunk.length) return offset;
      header[this.#headerLength] = chunk[offset]!;
      this.#headerLength += 1;
      offset += 1;
    }
    this.#headerLength = 0;
    const size = (flags & LONG) === 0 ? header[1]! : readLongSize(header, 1);
    this.#check(flags, size);
    return this.#open(flags, size, chunk, offset);
  }

  /** Starts a frame that may go beyond this chunk; returns where the next one begins. */
  #open(flags: number, size: number, chunk: Uint8Array, offset: number): number {
    this.#flags = flags;
    this.#filled = 0;
    this.#body = size === 0 ? EMPTY : Buffer.allocUnsafe(size);
    return this.#fill(chunk, offset);
  }

  #fill(chunk: Uint8Array, offset: number): number {
    const body = this.#body!;
    const taken = Math.min(body.length - this.#filled, chunk.length - offset);
    body.set(chunk.subarray(offset, offset + taken), this.#filled);
    this.#filled += taken;
    if (this.#filled === body.length) {
      this.#body = null;
      this.#accept(this.#flags, body);
    }
    return offset + taken;
  }

  /** Refuses a frame by its header alone, before anything is allocated for it. */
  #check(flags: number, size: number): void {
    if (this.#codec === null) checkCommandSize(flags, size);
    const overhead = this.#codec === null ? 0 : this.#codec.overheadBytes;
    if (size + this.#messageBytes > this.#limits.maxMessageBytes + overhead) throw this.#tooLarge(size);
  }

  #accept(flags: number, body: Uint8Array): void {
    if (this.#codec !== null) {
      const inner = this.#codec.unwrap(body);
      checkCommandSize(inner.flags, inner.body.length);
      this.#assemble(inner.flags, inner.body);
      return;
    }
    this.#assemble(flags, body);
  }

  #assemble(flags: number, body: Uint8Array): void {
    if ((flags & COMMAND) !== 0) {
      this.#onCommand(body);
      return;
    }
    const frames = this.#frames;
    frames.push(body);
    this.#messageBytes += body.length;
    if ((flags & MORE) !== 0) {
      if (frames.length >= this.#limits.maxFrames) {
        throw new TransportError(
          "message-too-large",
          `message of more than ${frames.length} frames exceeds maxFrames ${this.#limits.maxFrames}; raise maxFrames or check the peer`,
        );
      }
      return;
    }
    this.#heldBytes += this.#messageBytes + frames.length * FRAME_OVERHEAD_BYTES;
    this.#messages.push(exact(frames));
    frames.length = 0;
    this.#owned = 0;
    this.#messageBytes = 0;
  }

  #tooLarge(size: number): TransportError {
    const { maxMessageBytes } = this.#limits;
    const what = this.#messageBytes === 0 ? `frame of ${size}` : `message of ${this.#messageBytes + size} or more`;
    return new TransportError(
      "message-too-large",
      `${what} bytes exceeds maxMessageBytes ${maxMessageBytes}; raise maxMessageBytes or check the publisher`,
    );
  }
}

/** A copy as an array without spare room: one that grew by `push` would hold 17 places for 3 frames. */
function exact(frames: readonly Uint8Array[]): Message {
  switch (frames.length) {
    case 1:
      return [frames[0]!];
    case 2:
      return [frames[0]!, frames[1]!];
    case 3:
      return [frames[0]!, frames[1]!, frames[2]!];
    default:
      return frames.slice();
  }
}

function checkCommandSize(flags: number, size: number): void {
  if ((flags & COMMAND) !== 0 && size > MAX_COMMAND_BYTES) {
    throw new TransportError("message-too-large", `command of ${size} bytes exceeds ${MAX_COMMAND_BYTES}`);
  }
}

function checkFlags(flags: number): void {
  if ((flags & RESERVED_FLAGS) !== 0) {
    throw new TransportError("protocol", `frame with reserved flags ${flags}; check the peer`);
  }
  if ((flags & COMMAND) !== 0 && (flags & MORE) !== 0) {
    throw new TransportError("protocol", "command with the MORE flag; check the peer");
  }
}
