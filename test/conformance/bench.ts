import { setImmediate as turn } from "node:timers/promises";
import { TransportError } from "../../src/errors.ts";
import type {
  Message,
  Publisher,
  PublisherOptions,
  Socket,
  SocketOptions,
  Subscriber,
  Transport,
} from "../../src/transport.ts";
import { bytes, type Frame, type MessageReader, message, readerOf, text } from "../support/messages.ts";

/** Who binds, and who connects: one transport twice, or two that have to understand each other. */
export interface TransportPair {
  readonly server: Transport;
  readonly client: Transport;
}

/** What a test cannot do without, of the side that binds or of the one that connects. */
export type Need =
  | "server.subscriberBinds"
  | "server.connectionStates"
  | "server.subscriptionEvents"
  | "server.acceptedConnections"
  | "server.highWaterMarkBytes"
  | "client.connectionStates"
  | "client.subscriptionEvents"
  | "client.socketTypes"
  | "client.highWaterMarkBytes";

/** One behaviour that every transport has. */
export interface ConformanceTest {
  /** A sentence. */
  readonly name: string;
  readonly needs?: readonly Need[];
  run(bench: Bench): Promise<void>;
}

/** Why the test cannot run with this pair, or null. */
export function obstacle(needs: readonly Need[], pair: TransportPair): string | null {
  for (const need of needs) {
    const [side, capability] = need.split(".") as ["server" | "client", keyof Transport["capabilities"]];
    const { name, capabilities } = pair[side];
    if (capabilities[capability] === false) return `${name} says that its capability ${capability} is false`;
  }
  return null;
}

/** For `assert.throws` and `assert.rejects`. */
export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof TransportError && error.code === code) return true;
    throw new Error(`expected a TransportError ${code}, got ${error}`, { cause: error });
  };
}

/** Two transports, an endpoint to bind, and all sockets that a test opened: they are closed in any case. */
export class Bench {
  readonly server: Transport;
  readonly client: Transport;
  /** A free one to bind. */
  readonly endpoint: () => string;
  readonly #sockets: Socket[] = [];

  constructor(pair: TransportPair, endpoint: () => string) {
    this.server = pair.server;
    this.client = pair.client;
    this.endpoint = endpoint;
  }

  /** Closes the socket when the test is over. */
  open<S extends Socket>(socket: S): S {
    this.#sockets.push(socket);
    return socket;
  }

  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }

  /** An endpoint where nobody listens, but somebody could. */
  async vacantEndpoint(): Promise<string> {
    const router = this.server.router();
    const endpoint = await router.bind(this.endpoint());
    await router.close();
    return endpoint;
  }

  /** A bound publisher; `watch` tells of its subscriptions. */
  async publisher(options: PublisherOptions = {}, endpoint: string = this.endpoint()): Promise<BoundPublisher> {
    const watch = new SubscriptionWatch();
    const publisher = this.open(
      this.server.publisher(withWatch(options, watch, this.server.capabilities.subscriptionEvents)),
    );
    return { publisher, watch, endpoint: await publisher.bind(endpoint) };
  }

  /** A subscriber that connects there. */
  subscriber(endpoints: readonly string[], topics: readonly Frame[], options: SocketOptions = {}): ReadSubscriber {
    const subscriber = this.open(this.client.subscriber(options));
    for (const topic of topics) subscriber.subscribe(topic);
    for (const endpoint of endpoints) subscriber.connect(endpoint);
    return readSubscriber(subscriber, topics);
  }

  /** A publisher and one subscriber that has joined it. */
  async pubSub(
    topics: readonly Frame[],
    options: { readonly publisher?: PublisherOptions; readonly subscriber?: SocketOptions } = {},
  ): Promise<BoundPublisher & ReadSubscriber> {
    const bound = await this.publisher(options.publisher);
    const reading = this.subscriber([bound.endpoint], topics, options.subscriber);
    await joined(bound, [reading]);
    return { ...bound, ...reading };
  }
}

export interface BoundPublisher {
  readonly publisher: Publisher;
  readonly watch: SubscriptionWatch;
  readonly endpoint: string;
}

export interface ReadSubscriber {
  readonly subscriber: Subscriber;
  readonly reader: MessageReader;
  readonly topics: readonly Frame[];
  /** Topics of the probes that it got. */
  readonly probed: Set<string>;
}

/** A reader that keeps probes to itself. */
export function readSubscriber(subscriber: Subscriber, topics: readonly Frame[]): ReadSubscriber {
  const probed = new Set<string>();
  const reader = readerOf(subscriber, (frames) => {
    if (!isProbe(frames)) return false;
    probed.add(keyOf(frames[0]!));
    return true;
  });
  return { subscriber, reader, topics, probed };
}

/** What a publisher was told of its subscriptions. */
export class SubscriptionWatch {
  /** `+topic` or `-topic`. */
  readonly seen: string[] = [];
  isReporting = false;
  #wake: (() => void)[] = [];

  record(topic: Uint8Array, subscribed: boolean): void {
    this.seen.push(`${subscribed ? "+" : "-"}${text(topic)}`);
    for (const resolve of this.#wake.splice(0)) resolve();
  }

  /** Resolves when so many reports have come. */
  async count(reports: number): Promise<void> {
    while (this.seen.length < reports) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }
}

export function withWatch(options: PublisherOptions, watch: SubscriptionWatch, isReporting: boolean): PublisherOptions {
  watch.isReporting = isReporting;
  return isReporting ? { ...options, onSubscription: (topic, subscribed) => watch.record(topic, subscribed) } : options;
}

const PROBE = "conformance probe";

function isProbe(frames: Message): boolean {
  return frames.length === 2 && text(frames[1]) === PROBE;
}

/**
 * Resolves when the publisher knows all topics of all these subscribers, which must be new to it: it was told, or else
 * as `heard`.
 */
export async function joined(
  { publisher, watch }: Omit<BoundPublisher, "endpoint">,
  subscribers: readonly ReadSubscriber[],
): Promise<void> {
  if (watch.isReporting) await watch.count(subscribers.reduce((sum, { topics }) => sum + topics.length, 0));
  else await heard(publisher, subscribers);
}

/** Publishes until each subscriber has got something of every topic. */
export async function heard(publisher: Publisher, subscribers: readonly ReadSubscriber[]): Promise<void> {
  let isDone = false;
  const all = Promise.all(subscribers.map(hearProbes)).finally(() => {
    isDone = true;
  });
  const topics = subscribers.flatMap((each) => each.topics);
  while (!isDone) {
    for (const topic of topics) publisher.send(message(topic, PROBE));
    await turn();
  }
  await all;
}

async function hearProbes({ reader, probed, topics }: ReadSubscriber): Promise<void> {
  probed.clear();
  while (!topics.every((topic) => probed.has(keyOf(bytes(topic))))) await reader.pull();
}

function keyOf(topic: Uint8Array): string {
  return Buffer.from(topic).toString("latin1");
}
