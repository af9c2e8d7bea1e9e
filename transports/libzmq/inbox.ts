import { TransportError } from "../../src/errors.ts";
import type { Message, MessageBatch } from "../../src/transport.ts";

export interface InboxLimits {
  readonly highWaterMark: number;
  readonly highWaterMarkBytes: number;
}

interface Batch extends MessageBatch {
  readonly bytes: number;
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
  readonly #batches: Batch[] = [];
  #messages = 0;
  #bytes = 0;
  #isFull = false;
  #isClosed = false;
  /** More than one only when one consumer asks ahead. */
  #waiters: Waiter[] = [];
  #waitingForRoom: (() => void)[] = [];

  constructor(limits: InboxLimits) {
    this.#limits = limits;
  }

  /** Resolves when more may be pushed: a full inbox has been emptied to half of its limits, or is closed. */
  async room(): Promise<void> {
    while (this.#isFull && !this.#isClosed) {
      await new Promise<void>((resolve) => this.#waitingForRoom.push(resolve));
    }
  }

  /** Takes over `messages`. */
  push(connectionId: number, messages: readonly Message[]): void {
    if (this.#isClosed || messages.length === 0) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: { connectionId, messages } });
      return;
    }
    let bytes = 0;
    for (const message of messages) for (const frame of message) bytes += frame.length;
    this.#batches.push({ connectionId, messages, bytes });
    this.#messages += messages.length;
    this.#bytes += bytes;
    const { highWaterMark, highWaterMarkBytes } = this.#limits;
    this.#isFull ||= this.#messages >= highWaterMark || this.#bytes >= highWaterMarkBytes;
  }

  /** Ends every iteration; what was not taken is dropped. */
  close(): void {
    this.#isClosed = true;
    this.#batches.length = 0;
    for (const waiter of this.#waiters.splice(0)) {
      waiter.consumer.finish();
      waiter.resolve(DONE);
    }
    this.#announceRoom();
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
        if (!signal?.aborted && !this.#isClosed) return this.#next(consumer);
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
      const text = "libzmq: another consumer waits in receive(); a socket has one consumer at a time";
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
    const { highWaterMark, highWaterMarkBytes } = this.#limits;
    if (this.#isFull && this.#messages <= highWaterMark / 2 && this.#bytes <= highWaterMarkBytes / 2) {
      this.#isFull = false;
      this.#announceRoom();
    }
    return Promise.resolve({ done: false, value: batch });
  }

  #withdraw(consumer: Consumer): Waiter[] {
    const mine = this.#waiters.filter((waiter) => waiter.consumer === consumer);
    this.#waiters = this.#waiters.filter((waiter) => waiter.consumer !== consumer);
    return mine;
  }

  #announceRoom(): void {
    for (const resolve of this.#waitingForRoom.splice(0)) resolve();
  }
}
