import type { ConnectionListener, Message, Publisher, Receiver, Subscriber } from "../../../src/transport.ts";
import { type MemoryOptions, type MemoryTransport, memory } from "../../../transports/memory/index.ts";
import { bytes, text } from "../../support/messages.ts";
import { seededRandom } from "../../support/random.ts";
import { settled, type VirtualClock, virtualClock } from "../../support/virtual-clock.ts";

/** A transport whose time and chance belong to the test. */
export function virtualMemory(options: Omit<MemoryOptions, "clock" | "random"> & { readonly seed?: number } = {}): {
  readonly clock: VirtualClock;
  readonly transport: MemoryTransport;
} {
  const { seed = 1, ...rest } = options;
  const clock = virtualClock();
  return { clock, transport: memory({ ...rest, clock, random: seededRandom(seed) }) };
}

/** Everything that a receiver gets, as it comes: the last frame of each message as text. */
export function inboxOf(receiver: Receiver): string[] {
  const received: string[] = [];
  void (async () => {
    for await (const { messages } of receiver.receive()) for (const each of messages) received.push(text(each.at(-1)));
  })();
  return received;
}

export interface Stream {
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;
  readonly received: string[];
  readonly endpoint: string;
}

/** A publisher and a subscriber to everything that has joined it; without faults no time passes. */
export async function stream(
  { transport }: { readonly transport: MemoryTransport },
  endpoint = "tcp://10.0.0.1:5557",
  onConnection: ConnectionListener = () => {},
): Promise<Stream> {
  const publisher = transport.publisher();
  await publisher.bind(endpoint);
  const subscriber = transport.subscriber({ onConnection });
  subscriber.subscribe("");
  subscriber.connect(endpoint);
  const received = inboxOf(subscriber);
  await settled();
  return { publisher, subscriber, received, endpoint };
}

export function sendNumbers(target: { send(message: Message): unknown }, count: number, first = 0): void {
  for (let i = first; i < first + count; i += 1) target.send([bytes(`${i}`)]);
}

export function numbers(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, i) => `${first + i}`);
}
