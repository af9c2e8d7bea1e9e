import type { Message, MessageBatch, Receiver, SocketOptions } from "../../src/transport.ts";
import { Inbox } from "../shared/inbox.ts";
import type { Connection } from "./connection.ts";
import type { SocketKind } from "./faults.ts";
import type { Network } from "./network.ts";
import type { ResolvedOptions } from "./options.ts";
import { MemorySocket } from "./socket.ts";

/** A socket that receives: one inbox for all its connections, which are held back while it is full. */
export abstract class ReceivingSocket extends MemorySocket implements Receiver {
  readonly #inbox: Inbox;
  /** The one that delivered longest ago comes first, and is the first to go on: none can starve another. */
  readonly #connections = new Set<Connection>();

  protected constructor(kind: SocketKind, network: Network, options: ResolvedOptions, socket: SocketOptions) {
    super(kind, network, options, socket);
    const { receiveHighWaterMark, receiveHighWaterMarkBytes } = this.options;
    this.#inbox = new Inbox(
      { transport: "memory", highWaterMark: receiveHighWaterMark, highWaterMarkBytes: receiveHighWaterMarkBytes },
      () => this.#resume(),
    );
  }

  receive(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<MessageBatch> {
    return this.#inbox.receive(options.signal);
  }

  override admit(connection: Connection): void {
    this.#connections.add(connection);
  }

  override release(connection: Connection): void {
    this.#connections.delete(connection);
  }

  override hasRoom(messages: number, bytes: number): boolean {
    return this.#inbox.hasRoom(messages, bytes);
  }

  override deliver(connection: Connection, messages: Message[], bytes: number): void {
    this.#connections.delete(connection);
    this.#connections.add(connection);
    this.#inbox.push(connection.id, messages, bytes);
  }

  protected override onClose(): void {
    this.#inbox.close();
  }

  #resume(): void {
    for (const connection of this.#connections) connection.resume();
  }
}
