import { TransportError } from "../../src/errors.ts";
import type { Message, Publisher, PublisherOptions } from "../../src/transport.ts";
import { type Command, parseSubscriptionMessage } from "./commands.ts";
import type { Connection } from "./connection.ts";
import type { MechanismFactory } from "./mechanism.ts";
import { firstFrame, MessageEncoder } from "./message-encoder.ts";
import type { ResolvedOptions } from "./options.ts";
import { callListener, ZmtpSocket } from "./socket.ts";
import { Subscriptions } from "./subscriptions.ts";
import { copyOf } from "./wire.ts";

/** PUB (RFC 29). */
export class PublisherSocket extends ZmtpSocket implements Publisher {
  readonly #subscribers = new Map<Connection, Subscriptions>();
  readonly #encoder = new MessageEncoder();
  readonly #onSubscription: PublisherOptions["onSubscription"];

  constructor(mechanism: MechanismFactory, options: ResolvedOptions, socket: PublisherOptions) {
    super("PUB", mechanism, options, socket);
    this.#onSubscription = socket.onSubscription;
  }

  send(message: Message): void {
    this.assertOpen();
    const topic = firstFrame(message);
    let encoded: Uint8Array | null = null;
    for (const [connection, subscriptions] of this.#subscribers) {
      if (!subscriptions.matches(topic)) continue;
      encoded ??= this.#encoder.encode(message);
      connection.send(message, encoded);
    }
  }

  override admit(connection: Connection): void {
    this.#subscribers.set(connection, new Subscriptions());
  }

  override release(connection: Connection): void {
    const topics = this.#subscribers.get(connection)?.topics() ?? [];
    this.#subscribers.delete(connection);
    for (const topic of topics) this.#report(topic, false);
  }

  /** A peer of ZMTP 3.0 subscribes by message; any other message to a publisher is ignored. */
  override deliver(connection: Connection, messages: Message[]): void {
    for (const message of messages) {
      const change = parseSubscriptionMessage(message);
      if (change !== null) this.#change(connection, change.topic, change.subscribe);
    }
  }

  override command(connection: Connection, command: Command): void {
    if (command.name === "SUBSCRIBE") this.#change(connection, command.data, true);
    else if (command.name === "CANCEL") this.#change(connection, command.data, false);
  }

  protected override onClose(): void {}

  #change(connection: Connection, topic: Uint8Array, subscribe: boolean): void {
    const subscriptions = this.#subscribers.get(connection);
    if (subscriptions === undefined) return;
    const changed = subscribe ? subscriptions.add(topic) : subscriptions.remove(topic);
    const { maxSubscriptionBytes } = this.options;
    if (subscriptions.bytes > maxSubscriptionBytes) {
      throw new TransportError(
        "message-too-large",
        `the peer's subscriptions exceed maxSubscriptionBytes ${maxSubscriptionBytes}; raise it or check the subscriber`,
      );
    }
    if (changed) this.#report(copyOf(topic), subscribe);
  }

  #report(topic: Uint8Array, subscribed: boolean): void {
    callListener(() => this.#onSubscription?.(topic, subscribed));
  }
}
