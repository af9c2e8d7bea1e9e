import type { Message, SocketOptions, Subscriber } from "../../src/transport.ts";
import { sizeOf } from "./channel.ts";
import type { Connection } from "./connection.ts";
import type { Network } from "./network.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";
import { Topics } from "./topics.ts";

/** SUB (RFC 29). */
export class SubscriberSocket extends ReceivingSocket implements Subscriber {
  readonly #topics = new Topics();
  readonly #publishers = new Set<Connection>();

  constructor(network: Network, options: ResolvedOptions, socket: SocketOptions) {
    super("subscriber", network, options, socket);
  }

  subscribe(topic: string | Uint8Array): void {
    this.assertOpen();
    const bytes = bytesOf(topic);
    if (this.#topics.add(bytes)) this.#tell(bytes, true);
  }

  unsubscribe(topic: string | Uint8Array): void {
    this.assertOpen();
    const bytes = bytesOf(topic);
    if (this.#topics.remove(bytes)) this.#tell(bytes, false);
  }

  override admit(connection: Connection): void {
    super.admit(connection);
    this.#publishers.add(connection);
    for (const topic of this.#topics.list()) connection.sendTopic(topic, true);
  }

  override release(connection: Connection): void {
    super.release(connection);
    this.#publishers.delete(connection);
  }

  /** Filters once more: what was under way when a subscription ended is not wanted. */
  override deliver(connection: Connection, messages: Message[], bytes: number): void {
    const wanted = messages.filter((message) => this.#topics.matches(message[0]!));
    const isAll = wanted.length === messages.length;
    super.deliver(connection, wanted, isAll ? bytes : wanted.reduce((sum, message) => sum + sizeOf(message), 0));
  }

  #tell(topic: Uint8Array, subscribed: boolean): void {
    for (const connection of this.#publishers) connection.sendTopic(topic, subscribed);
  }
}

/** A copy; a string is its UTF-8. */
function bytesOf(topic: string | Uint8Array): Uint8Array {
  return typeof topic === "string" ? Buffer.from(topic) : new Uint8Array(topic);
}
