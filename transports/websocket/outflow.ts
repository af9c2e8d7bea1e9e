export interface OutflowLimits {
  readonly highWaterMark: number;
  readonly highWaterMarkBytes: number;
}

/** Messages that were handed to a WebSocket, which tells only how many bytes of all of them it still holds. */
export class Outflow {
  readonly #limits: OutflowLimits;
  /** Bytes handed over since the start, the last message's included. */
  #total = 0;
  /** `#total` after each message that may still be held, from `#head` on. */
  #ends: number[] = [];
  #head = 0;

  constructor(limits: OutflowLimits) {
    this.#limits = limits;
  }

  /** Whether a message of `size` bytes still fits while `held` bytes are held; one always does when none are. */
  hasRoom(size: number, held: number): boolean {
    this.#forget(this.#total - held);
    const messages = this.#ends.length - this.#head;
    return messages === 0 || (messages < this.#limits.highWaterMark && held + size <= this.#limits.highWaterMarkBytes);
  }

  /** A message was handed over, and made so many more bytes be held. */
  handedOver(bytes: number): void {
    this.#total += bytes;
    this.#ends.push(this.#total);
  }

  #forget(gone: number): void {
    while (this.#head < this.#ends.length && this.#ends[this.#head]! <= gone) this.#head += 1;
    if (this.#head < this.#ends.length && this.#head < 1_024) return;
    this.#ends = this.#ends.slice(this.#head);
    this.#head = 0;
  }
}
