import { TransportError } from "../../src/errors.ts";
import type { Message, MessageBatch } from "../../src/transport.ts";

/** Batches below this many messages are joined while the consumer is busy. */
const JOINED_MESSAGES = 256;

interface Batch extends MessageBatch {
  readonly messages: Message[];
  bytes: number;
}

/** One iteration. */
interface Consumer {
  /** Ends it, and gives those of its calls that still wait. */
  finish(): Waiter[];
}

interface Waiter {
  readonly consumer: Consumer;
  readonly resolve: (result: IteratorResult<MessageBatch>) => void;
  readonly reject: (reason: unknown) => void;
}

const DONE: IteratorResult<MessageBatch> = { done: true, value: undefined };

/** Received messages, in order of arrival, until the consumer takes them. */
export class Inbox {
  readonly #highWaterMark: number;
  readonly #highWaterMarkBytes: number;
  readonly #onRoom: () => void;
  readonly #batches: Batch[] = [];
  #messages = 0;
  #bytes = 0;
  /** From the moment that a mark is reached until half of it is left. */
  #full = false;
  #closed = false;
  /** More than one only when one consumer asks ahead. */
  #waiters: Waiter[] = [];

  /** `onRoom` is called when a full inbox has been emptied to half of its marks. */
  constructor(highWaterMark: number, highWaterMarkBytes: number, onRoom: () => void) {
    this.#highWaterMark = highWaterMark;
    this.#highWaterMarkBytes = highWaterMarkBytes;
    this.#onRoom = onRoom;
  }

  /** Whether one more may be pushed together with so many that are about to be. */
  hasRoom(messages: number, bytes: number): boolean {
    return (
      !this.#full &&
      this.#messages + messages < this.#highWaterMark &&
      (bytes === 0 || this.#bytes + bytes < this.#highWaterMarkBytes)
    );
  }

  /** Takes over `messages`, of `bytes` together. */
  push(connectionId: number, messages: Message[], bytes: number): void {
    if (this.#closed || messages.length === 0) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: { connectionId, messages } });
      return;
    }
    const last = this.#batches.at(-1);
    if (last !== undefined && last.connectionId === connectionId && last.messages.length < JOINED_MESSAGES) {
      for (const message of messages) last.messages.push(message);
      last.bytes += bytes;
    } else {
      this.#batches.push({ connectionId, messages, bytes });
    }
    this.#messages += messages.length;
    this.#bytes += bytes;
    this.#full ||= this.#messages >= this.#highWaterMark || this.#bytes >= this.#highWaterMarkBytes;
  }

  /** Ends every iteration; what was not taken is dropped. */
  close(): void {
    this.#closed = true;
    this.#batches.length = 0;
    for (const { consumer } of [...this.#waiters]) {
      for (const { resolve } of consumer.finish()) resolve(DONE);
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
        signal?.removeEventListener("abort", onAbort);
        const mine = this.#waiters.filter((waiter) => waiter.consumer === consumer);
        this.#waiters = this.#waiters.filter((waiter) => waiter.consumer !== consumer);
        return mine;
      },
    };
    const onAbort = (): void => {
      // Without one that waits, the next call is told.
      if (!this.#waiters.some((waiter) => waiter.consumer === consumer)) return;
      for (const { reject } of consumer.finish()) reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort);
    return {
      next: () => {
        if (finished) return Promise.resolve(DONE);
        if (!signal?.aborted && !this.#closed) return this.#next(consumer);
        consumer.finish();
        return signal?.aborted ? Promise.reject(signal.reason) : Promise.resolve(DONE);
      },
      return: () => {
        for (const { resolve } of consumer.finish()) resolve(DONE);
        return Promise.resolve(DONE);
      },
    };
  }

  #next(consumer: Consumer): Promise<IteratorResult<MessageBatch>> {
    if (this.#waiters.some((waiter) => waiter.consumer !== consumer)) {
      const text = "memory: another consumer waits in receive(); a socket has one consumer at a time";
      return Promise.reject(new TransportError("unsupported", text));
    }
    const batch = this.#batches.shift();
    if (batch === undefined) {
      return new Promise((resolve, reject) => {
        this.#waiters.push({ consumer, resolve, reject });
      });
    }
    this.#messages -= batch.messages.length;
    this.#bytes -= batch.bytes;
    if (this.#full && this.#messages <= this.#highWaterMark / 2 && this.#bytes <= this.#highWaterMarkBytes / 2) {
      this.#full = false;
      this.#onRoom();
    }
    return Promise.resolve({ done: false, value: { connectionId: batch.connectionId, messages: batch.messages } });
  }
}
