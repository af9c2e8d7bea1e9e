import { END_OF_REPLAY, encodeSequence } from "../../src/simulator/sequence.ts";
import type { Dealer, Message, PublisherOptions, Receiver, Subscriber, Transport } from "../../src/transport.ts";

/** A transport that tells when subscriptions have reached its publishers: only from then on nothing is lost. */
export interface WatchedTransport extends Transport {
  /** Resolves when that many subscriptions have arrived since the start. */
  subscribed(count: number): Promise<void>;
}

export function watch(transport: Transport): WatchedTransport {
  let arrived = 0;
  let waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const onSubscription = (_topic: Uint8Array, subscribed: boolean): void => {
    if (subscribed) arrived++;
    for (const { count, resolve } of waiting) if (arrived >= count) resolve();
    waiting = waiting.filter(({ count }) => arrived < count);
  };
  return {
    ...transport,
    publisher: (options?: PublisherOptions) => transport.publisher({ ...options, onSubscription }),
    subscribed: (count) =>
      new Promise<void>((resolve) => {
        if (arrived >= count) resolve();
        else waiting.push({ count, resolve });
      }),
  };
}

/** Messages of a socket one by one. */
export class Reader {
  readonly #messages: AsyncGenerator<Message, void>;

  constructor(receiver: Receiver) {
    this.#messages = messagesOf(receiver);
  }

  async next(): Promise<Message> {
    const { value, done } = await this.#messages.next();
    if (done || value === undefined) throw new Error("the socket closed");
    return value.map((frame) => frame.slice());
  }

  async take(count: number): Promise<readonly Message[]> {
    const messages: Message[] = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }
}

async function* messagesOf(receiver: Receiver): AsyncGenerator<Message, void> {
  for await (const { messages } of receiver.receive()) yield* messages;
}

export function subscribe(transport: Transport, endpoint: string): { subscriber: Subscriber; reader: Reader } {
  const subscriber = transport.subscriber();
  subscriber.subscribe("");
  subscriber.connect(endpoint);
  return { subscriber, reader: new Reader(subscriber) };
}

export function requestReplay(dealer: Dealer, start: number): void {
  dealer.send([new Uint8Array(), encodeSequence(start)]);
}

/** A replay's messages up to its end marker, and with it. */
export async function readReplay(reader: Reader): Promise<readonly Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const message = await reader.next();
    messages.push(message);
    if (sequenceOf(message) === END_OF_REPLAY) return messages;
  }
}

/** −1 for the end marker. */
export function sequenceOf(message: Message): number {
  const frame = message.at(-2)!;
  return Number(new DataView(frame.buffer, frame.byteOffset, 8).getBigInt64(0));
}
