import assert from "node:assert/strict";
import type { Message, Receiver } from "../../src/transport.ts";

/** A frame as a test writes it; a string is its UTF-8. */
export type Frame = string | Uint8Array;

export interface Received {
  readonly connectionId: number;
  readonly message: Message;
}

/** Takes messages one by one, or so many, and leaves the others for later. */
export interface MessageReader {
  /** Throws when the receiver ends. */
  next(): Promise<Received>;
  take(count: number): Promise<Message[]>;
  /** Receives a batch, for `next` to take from. Throws when the receiver ends. */
  pull(): Promise<void>;
}

export function bytes(frame: Frame): Uint8Array {
  return typeof frame === "string" ? Buffer.from(frame) : frame;
}

export function text(frame: Uint8Array | undefined): string {
  return Buffer.from(frame ?? []).toString();
}

/** A message of these frames. */
export function message(...frames: readonly Frame[]): Message {
  return frames.map(bytes);
}

/** Every frame as text. */
export function texts(messages: readonly Message[]): string[][] {
  return messages.map((frames) => frames.map(text));
}

/** The receiver's one consumer. `skip` leaves messages out. */
export function readerOf(receiver: Receiver, skip: (message: Message) => boolean = () => false): MessageReader {
  const batches = receiver.receive()[Symbol.asyncIterator]();
  const waiting: Received[] = [];
  const pull = async (): Promise<void> => {
    const { value, done } = await batches.next();
    if (done) throw new Error("the receiver ended");
    const { connectionId, messages } = value;
    for (const message of messages) if (!skip(message)) waiting.push({ connectionId, message });
  };
  const next = async (): Promise<Received> => {
    while (waiting.length === 0) await pull();
    return waiting.shift()!;
  };
  return {
    pull,
    next,
    async take(count) {
      const messages: Message[] = [];
      while (messages.length < count) messages.push((await next()).message);
      return messages;
    },
  };
}

/** The next `count` messages; what else came with the last of them is dropped. */
export async function collect(receiver: Receiver, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const batch of receiver.receive()) {
    messages.push(...batch.messages);
    if (messages.length >= count) break;
  }
  return messages.slice(0, count);
}

/** Compares bytes, whatever kind of array they are in; a large frame is not printed. */
export function assertMessage(actual: Message, expected: readonly Frame[]): void {
  const shapes = [actual, expected.map(bytes)].map((frames) => frames.map((frame) => frame.length));
  assert.deepEqual(shapes[0], shapes[1], "lengths of the frames");
  actual.forEach((frame, i) => {
    const wanted = bytes(expected[i]!);
    if (wanted.length < 100) assert.equal(Buffer.from(frame).toString("hex"), Buffer.from(wanted).toString("hex"));
    else assert.ok(Buffer.compare(frame, wanted) === 0, `frame ${i} of ${wanted.length} bytes differs`);
  });
}
