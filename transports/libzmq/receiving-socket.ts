import type { Message, MessageBatch, Receiver, SocketOptions } from "../../src/transport.ts";
import { Inbox } from "./inbox.ts";
import type { Library } from "./library.ts";
import type { Link } from "./link.ts";
import type { NativeReader } from "./load.ts";
import type { ResolvedOptions } from "./options.ts";
import { drained, type Reader, readLink } from "./reading.ts";
import { LibzmqSocket } from "./socket.ts";

/** A socket that receives: one inbox for all its links, none of which is read while it is full. */
export abstract class ReceivingSocket<S extends NativeReader> extends LibzmqSocket implements Receiver, Reader {
  readonly #inbox: Inbox;

  protected constructor(kind: string, library: Library, options: ResolvedOptions, socket: SocketOptions) {
    super(kind, library, options, socket);
    const { receiveHighWaterMark, receiveHighWaterMarkBytes } = this.options;
    this.#inbox = new Inbox({ highWaterMark: receiveHighWaterMark, highWaterMarkBytes: receiveHighWaterMarkBytes });
  }

  receive(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<MessageBatch> {
    return this.#inbox.receive(options.signal);
  }

  override attach(link: Link<S>): void {
    void readLink(link, this);
  }

  override release(link: Link<S>): Promise<void> {
    return drained(link, this);
  }

  room(): Promise<void> {
    return this.#inbox.room();
  }

  take(link: Link, messages: readonly Message[]): void {
    this.#inbox.push(link.connectionId, messages);
  }

  protected override async onClose(): Promise<void> {
    this.#inbox.close();
  }
}
