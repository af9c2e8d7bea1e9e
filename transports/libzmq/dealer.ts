import { TransportError } from "../../src/errors.ts";
import type { Dealer, Message, SocketOptions } from "../../src/transport.ts";
import { copyOf, sizeOf } from "./frames.ts";
import type { Library } from "./library.ts";
import type { Link, LinkListener } from "./link.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";

type NativeDealer = import("zeromq").Dealer;

/** DEALER (RFC 28): sends over its links in turn; what is sent before there is a peer waits. */
export class DealerSocket extends ReceivingSocket<NativeDealer> implements Dealer {
  /** Those that have had a peer. The next to send to comes first. */
  #links: Link<NativeDealer>[] = [];
  #waiting: Buffer[][] = [];
  #waitingBytes = 0;

  constructor(library: Library, options: ResolvedOptions, socket: SocketOptions) {
    super("dealer", library, options, socket);
  }

  send(message: Message): void {
    this.assertSendable(message);
    if (this.#sendInTurn(message)) return;
    if (this.#links.some((link) => link.peers > 0)) throw this.#full("all ready peers' queues");
    this.#enqueue(message);
  }

  override open(onEvent: LinkListener): Link<NativeDealer> {
    const { receiveHighWaterMark, sendHighWaterMark } = this.options;
    return this.library.open(this.options, onEvent, (native) => {
      return new this.library.zeromq.Dealer({ ...native, receiveHighWaterMark, sendHighWaterMark, sendTimeout: 0 });
    });
  }

  override welcome(link: Link<NativeDealer>): void {
    if (!this.#links.includes(link)) this.#links.push(link);
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    // There is room for all: the new peer's queue takes as many as this one.
    for (const message of waiting) post(link.native, message);
  }

  override release(link: Link<NativeDealer>): Promise<void> {
    this.#links = this.#links.filter((each) => each !== link);
    return super.release(link);
  }

  protected override async onClose(): Promise<void> {
    await super.onClose();
    this.#waiting = [];
  }

  #sendInTurn(message: Message): boolean {
    for (let tried = 0; tried < this.#links.length; tried += 1) {
      const link = this.#links.shift()!;
      this.#links.push(link);
      const { native } = link;
      if (native.writable) {
        post(native, copyOf(message));
        return true;
      }
      // To look is to take the notice that something has come; sending, be it nothing, passes it on to who receives.
      post(native, []);
    }
    return false;
  }

  #enqueue(message: Message): void {
    const bytes = sizeOf(message);
    const { sendHighWaterMark, sendHighWaterMarkBytes } = this.options;
    const isFull = this.#waiting.length >= sendHighWaterMark || this.#waitingBytes + bytes > sendHighWaterMarkBytes;
    if (isFull && this.#waiting.length > 0) throw this.#full("the queue for a peer that is not ready yet");
    this.#waiting.push(copyOf(message));
    this.#waitingBytes += bytes;
  }

  #full(what: string): TransportError {
    const { sendHighWaterMark, sendHighWaterMarkBytes } = this.options;
    return new TransportError(
      "high-water-mark",
      `libzmq: ${what} reached ${sendHighWaterMark} messages or ${sendHighWaterMarkBytes} bytes; send less, or raise sendHighWaterMark and sendHighWaterMarkBytes`,
    );
  }
}

/** What is lost here is lost with its connection. */
function post(native: NativeDealer, message: Buffer[]): void {
  native.send(message).catch(() => {});
}
