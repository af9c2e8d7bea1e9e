import type { Message, SocketOptions, Subscriber } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import type { MechanismFactory } from "./mechanism.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";
import { Subscriptions } from "./subscriptions.ts";

/** SUB (RFC 29). */
export class SubscriberSocket extends ReceivingSocket implements Subscriber {
  readonly #subscriptions = new Subscriptions();
  readonly #publishers = new Set<Connection>();

  constructor(mechanism: MechanismFactory, options: ResolvedOptions, socket: SocketOptions) {
    super("SUB", mechanism, options, socket);
  }

  subscribe(topic: string | Uint8Array): void {
    this.assertOpen();
    const bytes = topicBytes(topic);
    if (this.#subscriptions.add(bytes)) this.#tell(bytes, true);
  }

  unsubscribe(topic: string | Uint8Array): void {
    this.assertOpen();
    const bytes = topicBytes(topic);
    if (this.#subscriptions.remove(bytes)) this.#tell(bytes, false);
  }

  override admit(connection: Connection): void {
    super.admit(connection);
    this.#publishers.add(connection);
    connection.sendSubscriptions(this.#subscriptions.topics(), true);
  }

  override release(connection: Connection): void {
    super.release(connection);
    this.#publishers.delete(connection);
  }

  /** Filters once more: what a publisher had sent before it learnt of a CANCEL was not asked for. */
  override deliver(connection: Connection, messages: Message[], bytes: number, chunk?: Uint8Array): void {
    const wanted = this.#subscriptions.matchesAll
      ? messages
      : messages.filter((message) => this.#subscriptions.matches(message[0]!));
    super.deliver(connection, wanted, bytes, chunk);
  }

  #tell(topic: Uint8Array, subscribe: boolean): void {
    for (const connection of this.#publishers) connection.sendSubscriptions([topic], subscribe);
  }
}

/** A string is its UTF-8. */
function topicBytes(topic: string | Uint8Array): Uint8Array {
  return typeof topic === "string" ? Buffer.from(topic) : topic;
}
