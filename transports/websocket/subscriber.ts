import type { Message, SocketOptions, Subscriber } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import type { Jszmq } from "./jszmq.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";
import { Topics } from "./topics.ts";

/** SUB (RFC 29). */
export class SubscriberSocket extends ReceivingSocket implements Subscriber {
  readonly #topics = new Topics();
  readonly #publishers = new Set<Connection>();

  constructor(jszmq: Jszmq, options: ResolvedOptions, socket: SocketOptions) {
    super("subscriber", jszmq, options, socket);
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

  /** Filters once more: what a publisher had sent before it learnt that a subscription ended was not asked for. */
  override deliver(connection: Connection, message: Message, bytes: number): void {
    if (this.#topics.matches(message[0]!)) super.deliver(connection, message, bytes);
  }

  #tell(topic: Uint8Array, subscribed: boolean): void {
    for (const connection of this.#publishers) connection.sendTopic(topic, subscribed);
  }
}

/** A string is its UTF-8. */
function bytesOf(topic: string | Uint8Array): Uint8Array {
  return typeof topic === "string" ? Buffer.from(topic) : topic;
}
