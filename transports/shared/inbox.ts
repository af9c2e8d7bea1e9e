import { TransportError } from "../../src/errors.ts";
import type { Message, MessageBatch } from "../../src/transport.ts";

/** Batches below this many messages are joined while the consumer is busy, as when a peer sends one at a time. */
const JOINED_MESSAGES = 256;

export interface InboxLimits {
  /** Whose sockets these are, for messages. */
  readonly transport: string;
  readonly highWaterMark: number;
  readonly highWaterMarkBytes: number;
}

interface Batch extends MessageBatch {
  readonly messages: Message[];
  bytes: number;
  /** What the messages are views into. */
  readonly chunks: Uint8Array[];
}

/** One iteration; `finish` takes its listener off the caller's signal. */
interface Consumer {
  finish(): void;
}

interface Waiter {
  readonly consumer: Consumer;
  readonly resolve: (result: IteratorResult<MessageBatch>) => void;
  readonly reject: (reason: unknown) => void;
}

const DONE: IteratorResult<MessageBatch> = { done: true, value: undefined };

/** Received messages, in order of arrival, until the consumer takes them. Pure: it knows no socket. */
export class Inbox {
  readonly #limits: InboxLimits;
  readonly #onRoom: () => void;
  readonly #onRead: (chunk: Uint8Array) => void;
  /** From `#head` on; what lies before was taken. */
  #batches: Batch[] = [];
  #head = 0;
  #messages = 0;
  #bytes = 0;
  #full = false;
  #closed = false;
  /** Of the batches that were taken and not read to the end. */
  #taken: Uint8Array[] = [];
  /** More than one only when one consumer asks ahead. */
  #waiters: Waiter[] = [];

  /**
   * `onRoom` is called when a full inbox has been emptied to half of its limits, `onRead` with each chunk of a batch
   * after which another one is asked for.
   */
  constructor(limits: InboxLimits, onRoom: () => void, onRead: (chunk: Uint8Array) => void = () => {}) {
    this.#limits = limits;
    this.#onRoom = onRoom;
    this.#onRead = onRead;
  }

  /** A limit is reached: peers have to be held back until `onRoom`. */
  get full(): boolean {
    return this.#full;
  }

  /** Whether one more may be pushed, together with so many that are about to be. */
  hasRoom(messages: number, bytes: number): boolean {
    const { highWaterMark, highWaterMarkBytes } = this.#limits;
    const hasBytes = bytes === 0 || this.#bytes + bytes < highWaterMarkBytes;
    return !this.#full && this.#messages + messages < highWaterMark && hasBytes;
  }

  /** Takes over `messages`, of `bytes` together; they, and earlier ones at most, are views into `chunk`. */
  push(connectionId: number, messages: Message[], bytes: number, chunk?: Uint8Array): void {
    if (this.#closed || messages.length === 0) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      if (chunk !== undefined) this.#taken.push(chunk);
      waiter.resolve({ done: false, value: { connectionId, messages } });
      return;
    }
    const last = this.#batches.length > this.#head ? this.#batches[this.#batches.length - 1]! : null;
    if (last !== null && last.connectionId === connectionId && last.messages.length < JOINED_MESSAGES) {
      for (const message of messages) last.messages.push(message);
      last.bytes += bytes;
      if (chunk !== undefined) last.chunks.push(chunk);
    } else {
      this.#batches.push({ connectionId, messages, bytes, chunks: chunk === undefined ? [] : [chunk] });
    }
    this.#messages += messages.length;
    this.#bytes += bytes;
    const { highWaterMark, highWaterMarkBytes } = this.#limits;
    this.#full ||= this.#messages >= highWaterMark || this.#bytes >= highWaterMarkBytes;
  }

  /** Ends every iteration; what was not taken is dropped. */
  close(): void {
    this.#closed = true;
    this.#batches = [];
    this.#head = 0;
    for (const waiter of this.#waiters.splice(0)) {
      waiter.consumer.finish();
      waiter.resolve(DONE);
    }
  }

  receive(signal?: AbortSignal): AsyncIterable<MessageBatch> {
    return { [Symbol.asyncIterator]: () => this.#iterator(signal) };
  }

  #iterator(signal: AbortSignal | undefined): AsyncIterator<MessageBatch> {
    let finished = false;
    const consumer: Consumer = {
      finish: () => {
        finished = true;
        signal?.removeEventListener("abort", abort);
      },
    };
    const abort = (): void => {
      const waiting = this.#withdraw(consumer);
      // Without one that waits, the next call is told.
      if (waiting.length > 0) consumer.finish();
      for (const waiter of waiting) waiter.reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort);
    return {
      next: () => {
        if (finished) return Promise.resolve(DONE);
        if (!signal?.aborted && !this.#closed) return this.#next(consumer);
        consumer.finish();
        return signal?.aborted ? Promise.reject(signal.reason) : Promise.resolve(DONE);
      },
      return: () => {
        consumer.finish();
        for (const waiter of this.#withdraw(consumer)) waiter.resolve(DONE);
        return Promise.resolve(DONE);
      },
    };
  }

  #next(consumer: Consumer): Promise<IteratorResult<MessageBatch>> {
    if (this.#waiters.some((waiter) => waiter.consumer !== consumer)) {
      return Promise.reject(
        new TransportError(
          "unsupported",
          `${this.#limits.transport}: another consumer waits in receive(); a socket has one consumer at a time`,
        ),
      );
    }
    // Whoever asks for the next one has read those before.
    for (const chunk of this.#taken.splice(0)) this.#onRead(chunk);
    const batch = this.#shift();
    if (batch !== null) return Promise.resolve({ done: false, value: batch });
    return new Promise((resolve, reject) => {
      this.#waiters.push({ consumer, resolve, reject });
    });
  }

  #shift(): MessageBatch | null {
    const batch = this.#batches[this.#head];
    if (batch === undefined) return null;
    this.#head += 1;
    if (this.#head === this.#batches.length || this.#head === 1_024) {
      this.#batches = this.#batches.slice(this.#head);
      this.#head = 0;
    }
    this.#messages -= batch.messages.length;
    this.#bytes -= batch.bytes;
    this.#taken = batch.chunks;
    const { highWaterMark, highWaterMarkBytes } = this.#limits;
    if (this.#full && this.#messages <= highWaterMark / 2 && this.#bytes <= highWaterMarkBytes / 2) {
      this.#full = false;
      this.#onRoom();
    }
    return batch;
  }

  #withdraw(consumer: Consumer): Waiter[] {
    const mine = this.#waiters.filter((waiter) => waiter.consumer === consumer);
    this.#waiters = this.#waiters.filter((waiter) => waiter.consumer !== consumer);
    return mine;
  }
}
