import type { Message, MessageBatch, Receiver, SocketOptions } from "../../src/transport.ts";
import { Inbox } from "../shared/inbox.ts";
import type { Library } from "./library.ts";
import type { Link } from "./link.ts";
import type { NativeReader } from "./load.ts";
import type { ResolvedOptions } from "./options.ts";
import { drained, type Reader, readLink } from "./reading.ts";
import { LibzmqSocket } from "./socket.ts";

/** A socket that receives: one inbox for all its links, none of which is read while it is full. */
export abstract class ReceivingSocket<S extends NativeReader> extends LibzmqSocket implements Receiver, Reader {
  readonly #inbox: Inbox;
  #waitingForRoom: (() => void)[] = [];

  protected constructor(kind: string, library: Library, options: ResolvedOptions, socket: SocketOptions) {
    super(kind, library, options, socket);
    const { receiveHighWaterMark, receiveHighWaterMarkBytes } = this.options;
    this.#inbox = new Inbox(
      { transport: "libzmq", highWaterMark: receiveHighWaterMark, highWaterMarkBytes: receiveHighWaterMarkBytes },
      () => this.#announceRoom(),
    );
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

  /** Resolves when more may be taken, or the socket is closed. */
  async room(): Promise<void> {
    while (this.#inbox.full && !this.isClosed) {
      await new Promise<void>((resolve) => this.#waitingForRoom.push(resolve));
    }
  }

  take(link: Link, messages: readonly Message[]): void {
    let bytes = 0;
    for (const message of messages) for (const frame of message) bytes += frame.length;
    this.#inbox.push(link.connectionId, [...messages], bytes);
  }

  protected override async onClose(): Promise<void> {
    this.#inbox.close();
    this.#announceRoom();
  }

  #announceRoom(): void {
    const waiting = this.#waitingForRoom;
    this.#waitingForRoom = [];
    for (const resolve of waiting) resolve();
  }
}
