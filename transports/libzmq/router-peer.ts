import { setImmediate as turn } from "node:timers/promises";
import type { Message } from "../../src/transport.ts";
import { copyOf, sizeOf } from "./frames.ts";
import type { Link } from "./link.ts";
import { isFull } from "./native-errors.ts";
import type { ResolvedOptions } from "./options.ts";

type NativeRouter = import("zeromq").Router;

/** How soon a peer that is full is tried again, and how late: libzmq does not say when it has room. */
const RETRY_MIN_MS = 1;
const RETRY_MAX_MS = 50;

/** Messages sent before others get their turn. */
const TURN_MESSAGES = 256;

/** One peer of a router: what waits to be sent to it. */
export class RouterPeer {
  readonly link: Link<NativeRouter>;
  readonly #identity: Buffer;
  readonly #options: ResolvedOptions;
  readonly #onGone: () => void;
  #queue: Buffer[][] = [];
  #bytes = 0;
  #isClosed = false;
  #stopWaiting: () => void = () => {};
  #sending: Promise<void> | null = null;

  /** `onGone` is called when libzmq does not know the peer any more. */
  constructor(link: Link<NativeRouter>, identity: Buffer, options: ResolvedOptions, onGone: () => void) {
    this.link = link;
    this.#identity = identity;
    this.#options = options;
    this.#onGone = onGone;
  }

  /** Queues a copy; false when the queue is full. */
  send(frames: Message): boolean {
    const bytes = sizeOf(frames);
    const { sendHighWaterMark, sendHighWaterMarkBytes } = this.#options;
    const isFull = this.#queue.length >= sendHighWaterMark || this.#bytes + bytes > sendHighWaterMarkBytes;
    if (isFull && this.#queue.length > 0) return false;
    this.#queue.push([this.#identity, ...copyOf(frames)]);
    this.#bytes += bytes;
    this.#sending ??= this.#sendAll();
    return true;
  }

  /** Resolves when libzmq has taken everything, or the peer is gone. */
  async emptied(): Promise<void> {
    await this.#sending;
  }

  close(): void {
    this.#isClosed = true;
    this.#queue = [];
    this.#stopWaiting();
  }

  async #sendAll(): Promise<void> {
    let retryMs = RETRY_MIN_MS;
    for (let sent = 1; this.#queue.length > 0 && !this.link.isClosed; ) {
      const [message] = this.#queue as [Buffer[]];
      const outcome = await post(this.link.native, message);
      if (this.#isClosed) return;
      if (outcome === "gone") {
        this.#onGone();
        return;
      }
      if (outcome === "full") {
        await this.#pause(retryMs);
        retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
        continue;
      }
      this.#queue.shift();
      this.#bytes -= sizeOf(message) - sizeOf([this.#identity]);
      retryMs = RETRY_MIN_MS;
      sent += 1;
      if (sent % TURN_MESSAGES === 0) await turn();
    }
    this.#sending = null;
  }

  #pause(delayMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const timer = clock.setTimeout(resolve, delayMs);
      this.#stopWaiting = () => {
        clock.clearTimeout(timer);
        resolve();
      };
    });
  }
}

async function post(native: NativeRouter, message: Buffer[]): Promise<"sent" | "full" | "gone"> {
  try {
    await native.send(message);
    return "sent";
  } catch (error) {
    return isFull(error) ? "full" : "gone";
  }
}
