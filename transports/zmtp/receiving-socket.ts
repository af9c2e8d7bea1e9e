import type { Message, MessageBatch, Receiver, SocketOptions } from "../../src/transport.ts";
import { Inbox } from "../shared/inbox.ts";
import type { Connection } from "./connection.ts";
import type { MechanismFactory, SocketType } from "./mechanism.ts";
import type { ResolvedOptions } from "./options.ts";
import { ZmtpSocket } from "./socket.ts";

/** A socket that receives: one inbox for all its connections, which are held back while it is full. */
export abstract class ReceivingSocket extends ZmtpSocket implements Receiver {
  readonly #inbox: Inbox;
  /** The one that delivered longest ago comes first, and is the first to be read again: none can starve another. */
  readonly #connections = new Set<Connection>();
  /** The last of them. */
  #delivered: Connection | null = null;

  protected constructor(
    socketType: SocketType,
    mechanism: MechanismFactory,
    options: ResolvedOptions,
    socket: SocketOptions,
  ) {
    super(socketType, mechanism, options, socket);
    this.#inbox = new Inbox(
      {
        transport: "zmtp",
        highWaterMark: this.options.receiveHighWaterMark,
        highWaterMarkBytes: this.options.receiveHighWaterMarkBytes,
      },
      () => this.#resume(),
      (chunk) => this.options.chunks.giveBack(chunk),
    );
  }

  receive(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<MessageBatch> {
    return this.#inbox.receive(options.signal);
  }

  override admit(connection: Connection): void {
    this.#connections.add(connection);
    if (this.#inbox.full) connection.pause();
  }

  override release(connection: Connection): void {
    this.#connections.delete(connection);
  }

  override deliver(connection: Connection, messages: Message[], bytes: number, chunk?: Uint8Array): void {
    this.#inbox.push(connection.id, messages, bytes, chunk);
    this.#delivered = connection;
    if (this.#connections.size > 1) {
      this.#connections.delete(connection);
      this.#connections.add(connection);
    }
    if (!this.#inbox.full) return;
    for (const each of this.#connections) each.pause();
  }

  protected override onClose(): void {
    this.#inbox.close();
  }

  /** The one that delivered last waits for one turn of reads: the system would name it first, and again. */
  #resume(): void {
    const last = this.#connections.size > 1 ? this.#delivered : null;
    for (const connection of this.#connections) if (connection !== last) connection.resume();
    if (last === null) return;
    setImmediate(() => {
      setImmediate(() => {
        if (!this.#inbox.full) last.resume();
      });
    });
  }
}
