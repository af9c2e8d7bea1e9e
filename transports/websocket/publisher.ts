import { TransportError } from "../../src/errors.ts";
import type { Message, Publisher, PublisherOptions } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import type { Jszmq } from "./jszmq.ts";
import type { ResolvedOptions } from "./options.ts";
import { callListener, WebSocketSocket } from "./socket.ts";
import { Topics } from "./topics.ts";

/** PUB (RFC 29). */
export class PublisherSocket extends WebSocketSocket implements Publisher {
  readonly #subscribers = new Map<Connection, Topics>();
  readonly #onSubscription: PublisherOptions["onSubscription"];

  constructor(jszmq: Jszmq, options: ResolvedOptions, socket: PublisherOptions) {
    super("publisher", jszmq, options, socket);
    this.#onSubscription = socket.onSubscription;
  }

  send(message: Message): void {
    this.assertSendable(message);
    for (const [connection, topics] of this.#subscribers) {
      if (topics.matches(message[0]!)) connection.send(message);
    }
  }

  override admit(connection: Connection): void {
    this.#subscribers.set(connection, new Topics());
  }

  override release(connection: Connection): void {
    const topics = this.#subscribers.get(connection)?.list() ?? [];
    this.#subscribers.delete(connection);
    for (const topic of topics) this.#report(topic, false);
  }

  /** A message of 01 or 00 and a topic is a subscription or its end; any other one to a publisher is ignored. */
  override deliver(connection: Connection, [frame]: Message): void {
    const topics = this.#subscribers.get(connection);
    if (topics === undefined || frame === undefined || frame.length === 0 || frame[0]! > 1) return;
    const isSubscribed = frame[0] === 1;
    const topic = frame.subarray(1);
    const isChange = isSubscribed ? topics.add(topic) : topics.remove(topic);
    const { maxSubscriptionBytes } = this.options;
    if (topics.bytes > maxSubscriptionBytes) {
      const text = `the peer's subscriptions exceed maxSubscriptionBytes ${maxSubscriptionBytes}; raise it or check the subscriber`;
      throw new TransportError("message-too-large", text);
    }
    if (isChange) this.#report(topic, isSubscribed);
  }

  protected override onClose(): void {}

  #report(topic: Uint8Array, subscribed: boolean): void {
    callListener(() => this.#onSubscription?.(topic, subscribed));
  }
}
