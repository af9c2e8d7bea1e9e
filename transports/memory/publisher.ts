import type { Message, Publisher, PublisherOptions } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import type { Network } from "./network.ts";
import type { ResolvedOptions } from "./options.ts";
import { callListener, MemorySocket } from "./socket.ts";
import { Topics } from "./topics.ts";

/** PUB (RFC 29). */
export class PublisherSocket extends MemorySocket implements Publisher {
  readonly #subscribers = new Map<Connection, Topics>();
  readonly #onSubscription: PublisherOptions["onSubscription"];

  constructor(network: Network, options: ResolvedOptions, socket: PublisherOptions) {
    super("publisher", network, options, socket);
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
    const topics = this.#subscribers.get(connection)!.list();
    this.#subscribers.delete(connection);
    for (const topic of topics) this.#report(topic, false);
  }

  override topic(connection: Connection, topic: Uint8Array, subscribed: boolean): void {
    const topics = this.#subscribers.get(connection)!;
    const isChange = subscribed ? topics.add(topic) : topics.remove(topic);
    if (isChange) this.#report(topic, subscribed);
  }

  /** Nobody sends messages to a publisher. */
  override hasRoom(): boolean {
    return true;
  }

  override deliver(): void {}

  protected override onClose(): void {}

  #report(topic: Uint8Array, subscribed: boolean): void {
    callListener(() => this.#onSubscription?.(topic, subscribed));
  }
}
