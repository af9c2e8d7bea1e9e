import { GATHERED_BYTES } from "./message-encoder.ts";

/** Small messages gather in pieces of this size: as much as one system call moves well. */
const PIECE_BYTES = 65_536;

/** Where an outbox writes: what it needs of `net.Socket`. */
export interface ByteSink {
  readonly writableLength: number;
  readonly writable: boolean;
  write(bytes: Uint8Array, done?: () => void): boolean;
  cork(): void;
  uncork(): void;
}

export interface OutboxLimits {
  readonly highWaterMark: number;
  readonly highWaterMarkBytes: number;
}

/**
 * What waits to be sent over one connection. It hands everything it has to the kernel at the end of the current tick,
 * or as soon as a piece is full, and then gathers again until the kernel has taken that.
 */
export class Outbox {
  readonly #sink: ByteSink;
  readonly #limits: OutboxLimits;
  readonly #flush = (): void => this.flush();
  readonly #settle = (): void => this.#settled();

  /** Ready to be written, in order; `#piece` from `#sealed` to `#filled` comes after them. */
  #queue: Uint8Array[] = [];
  #piece: Uint8Array | null = null;
  #sealed = 0;
  #filled = 0;

  #messages = 0;
  #bytes = 0;
  #controls = 0;
  #writing = false;
  #writingMessages = 0;
  #writingBytes = 0;
  #writingControls = 0;
  #scheduled = false;

  constructor(sink: ByteSink, limits: OutboxLimits) {
    this.#sink = sink;
    this.#limits = limits;
  }

  /** Commands that the kernel has not taken yet: a peer that does not read can make us queue these. */
  get controls(): number {
    return this.#controls;
  }

  /** Whether a message of `size` bytes still fits; one always does when nothing is queued. */
  hasRoom(size: number): boolean {
    return (
      this.#messages === 0 ||
      (this.#messages < this.#limits.highWaterMark && this.#bytes + size <= this.#limits.highWaterMarkBytes)
    );
  }

  /** Queues a whole message; up to `GATHERED_BYTES` it is copied. */
  push(message: Uint8Array): void {
    this.#messages += 1;
    this.#bytes += message.length;
    if (message.length > GATHERED_BYTES) {
      this.#seal();
      this.#queue.push(message);
    } else {
      this.#gather(message);
    }
    if (this.#writing) return;
    if (this.#bytes >= PIECE_BYTES) this.flush();
    else this.#schedule();
  }

  /** Queues commands, whatever the limits say. The bytes must not change any more. */
  pushControl(frames: Uint8Array): void {
    this.#controls += 1;
    this.#seal();
    this.#queue.push(frames);
    if (!this.#writing) this.#schedule();
  }

  /** Hands over all there is, once the kernel has taken what it got before. */
  flush(): void {
    this.#scheduled = false;
    if (!this.#writing) this.flushAll();
  }

  /** Hands over all there is, for the last time before the sink ends. */
  flushAll(): void {
    this.#seal();
    if (this.#queue.length === 0 || !this.#sink.writable) return;
    const pieces = this.#queue;
    this.#queue = [];
    this.#writing = true;
    this.#writingMessages = this.#messages;
    this.#writingBytes = this.#bytes;
    this.#writingControls = this.#controls;
    const last = pieces.length - 1;
    if (last > 0) this.#sink.cork();
    for (let i = 0; i < last; i += 1) this.#sink.write(pieces[i]!);
    this.#sink.write(pieces[last]!, this.#settle);
    if (last > 0) this.#sink.uncork();
    this.#settled();
  }

  #gather(message: Uint8Array): void {
    let piece = this.#piece;
    if (piece === null || this.#filled + message.length > piece.length) {
      this.#seal();
      piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
      this.#piece = piece;
      this.#sealed = 0;
      this.#filled = 0;
    }
    piece.set(message, this.#filled);
    this.#filled += message.length;
  }

  #seal(): void {
    if (this.#piece === null || this.#filled === this.#sealed) return;
    this.#queue.push(this.#piece.subarray(this.#sealed, this.#filled));
    this.#sealed = this.#filled;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#flush);
  }

  /** After a write: often the kernel took all of it at once, and the callback comes later to find nothing to do. */
  #settled(): void {
    if (!this.#writing || this.#sink.writableLength > 0) return;
    this.#writing = false;
    this.#messages -= this.#writingMessages;
    this.#bytes -= this.#writingBytes;
    this.#controls -= this.#writingControls;
    if (this.#filled === this.#sealed) {
      this.#filled = 0;
      this.#sealed = 0;
    }
    this.flush();
  }
}
