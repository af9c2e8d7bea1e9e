import type { Clock } from "../../src/clock.ts";
import type { Message } from "../../src/transport.ts";
import type { Lane } from "./faults.ts";
import { after } from "./timing.ts";

/** Most messages delivered at a time, so that the many connections of one socket take turns. */
const BATCH_MESSAGES = 256;

/** Entries that were delivered are cut off when there are so many. */
const TRIMMED_ENTRIES = 1_024;

/** Who receives at the far end of a channel. */
export interface ChannelEnd {
  /** Whether one more message may come together with so many that are about to. */
  hasRoom(messages: number, bytes: number): boolean;
  deliver(messages: Message[], bytes: number): void;
  topic(topic: Uint8Array, subscribed: boolean): void;
  /** The sender closed in good order. */
  ended(): void;
}

export interface ChannelLimits {
  readonly sendHighWaterMark: number;
  readonly sendHighWaterMarkBytes: number;
}

type Item =
  | { readonly kind: "message"; readonly message: Message; readonly bytes: number }
  | { readonly kind: "topic"; readonly topic: Uint8Array; readonly subscribed: boolean }
  | { readonly kind: "end" };

interface Entry {
  item: Item;
  /** When it arrives; never before the entry ahead of it. */
  readonly at: number;
}

/**
 * One direction of a connection: what was sent, until the receiver takes it. Whether it is still under way or the
 * receiver has no room for it, it counts against the sender's high-water mark.
 */
export class Channel {
  readonly #clock: Clock;
  readonly #lane: Lane;
  readonly #limits: ChannelLimits;
  readonly #end: ChannelEnd;
  /** From `#head` on; what lies before was delivered. */
  #entries: Entry[] = [];
  #head = 0;
  #messages = 0;
  #bytes = 0;
  /** Takes back the delivery that is due next. */
  #cancel: (() => void) | null = null;
  #state: "open" | "ending" | "closed" = "open";
  #settle: () => void = () => {};
  /** Settles when the receiver was told of the end, or all was lost. */
  readonly #closed: Promise<void> = new Promise((resolve) => {
    this.#settle = resolve;
  });

  constructor(clock: Clock, lane: Lane, limits: ChannelLimits, end: ChannelEnd) {
    this.#clock = clock;
    this.#lane = lane;
    this.#limits = limits;
    this.#end = end;
  }

  /** Messages that have not been taken. */
  get pending(): number {
    return this.#messages;
  }

  /** Sends a copy; false when the high-water mark is reached. A message always fits into an empty channel. */
  send(message: Message): boolean {
    if (this.#state !== "open") return false;
    const bytes = sizeOf(message);
    const mark = this.#lane.sendHighWaterMark(this.#limits.sendHighWaterMark);
    const isFull = this.#messages >= mark || this.#bytes + bytes > this.#limits.sendHighWaterMarkBytes;
    if (isFull && this.#messages > 0) return false;
    if (this.#lane.drops(message)) return true;
    const copies = this.#lane.duplicates() ? 2 : 1;
    for (let i = 0; i < copies; i += 1) this.#enqueueMessage({ kind: "message", message: copyOf(message), bytes });
    return true;
  }

  /** Tells a publisher what is wanted. Nothing but latency happens to that: TCP loses nothing. */
  sendTopic(topic: Uint8Array, subscribed: boolean): void {
    if (this.#state === "open") this.#enqueue({ kind: "topic", topic, subscribed }, this.#lane.latencyMs());
  }

  /** The receiver has room again. */
  resume(): void {
    this.#schedule();
  }

  /** Tells the receiver that no more comes; `losing` what is on its way. Resolves when it knows, or is gone itself. */
  end(losing: boolean): Promise<void> {
    if (losing && this.#state !== "closed") this.#discard();
    if (this.#state === "open" || (this.#state === "ending" && losing)) {
      this.#state = "ending";
      this.#enqueue({ kind: "end" }, 0);
    }
    return this.#closed;
  }

  /** Loses all that is on its way. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#discard();
    this.#settle();
  }

  #enqueueMessage(item: Item & { readonly kind: "message" }): void {
    // A fault's function may have cut the connection.
    if (this.#state !== "open") return;
    this.#messages += 1;
    this.#bytes += item.bytes;
    this.#enqueue(item, this.#lane.latencyMs());
    const newest = this.#entries.length - 1;
    const place = Math.max(this.#head, newest - this.#lane.overtakes());
    for (let i = newest; i > place && this.#entries[i - 1]!.item.kind === "message"; i -= 1) {
      this.#entries[i]!.item = this.#entries[i - 1]!.item;
      this.#entries[i - 1]!.item = item;
    }
  }

  #enqueue(item: Item, latencyMs: number): void {
    const last = this.#entries.at(-1)?.at ?? 0;
    this.#entries.push({ item, at: Math.max(last, this.#clock.now() + latencyMs) });
    this.#schedule();
  }

  #schedule(): void {
    const next = this.#entries[this.#head];
    if (next === undefined || this.#cancel !== null) return;
    if (next.item.kind === "message" && !this.#end.hasRoom(0, 0)) return;
    this.#cancel = after(this.#clock, next.at - this.#clock.now(), () => {
      this.#cancel = null;
      this.#pump();
    });
  }

  /** Delivers what has arrived: a run of messages, or one notice. */
  #pump(): void {
    const now = this.#clock.now();
    const messages: Message[] = [];
    let bytes = 0;
    for (;;) {
      const entry = this.#entries[this.#head];
      if (entry === undefined || entry.at > now || entry.item.kind !== "message") break;
      if (messages.length === BATCH_MESSAGES || !this.#end.hasRoom(messages.length, bytes)) break;
      messages.push(entry.item.message);
      bytes += entry.item.bytes;
      this.#head += 1;
    }
    if (messages.length > 0) {
      this.#messages -= messages.length;
      this.#bytes -= bytes;
      this.#end.deliver(messages, bytes);
    } else {
      this.#notify(now);
    }
    this.#trim();
    this.#schedule();
  }

  #notify(now: number): void {
    const entry = this.#entries[this.#head];
    if (entry === undefined || entry.at > now || entry.item.kind === "message") return;
    this.#head += 1;
    if (entry.item.kind === "topic") {
      this.#end.topic(entry.item.topic, entry.item.subscribed);
    } else {
      this.close();
      this.#end.ended();
    }
  }

  #trim(): void {
    if (this.#head < this.#entries.length && this.#head < TRIMMED_ENTRIES) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }

  #discard(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#entries = [];
    this.#head = 0;
    this.#messages = 0;
    this.#bytes = 0;
  }
}

/** Bytes of all frames together. */
export function sizeOf(message: Message): number {
  let bytes = 0;
  for (const frame of message) bytes += frame.length;
  return bytes;
}

/** Memory of its own for every frame. */
export function copyOf(message: Message): Message {
  return message.map((frame) => new Uint8Array(frame));
}
