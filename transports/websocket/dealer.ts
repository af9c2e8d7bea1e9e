import { TransportError } from "../../src/errors.ts";
import type { Dealer, Message, SocketOptions } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import { copyOf, sizeOf } from "./frames.ts";
import type { Jszmq } from "./jszmq.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";

/** DEALER (RFC 28): sends to its ready peers in turn; what is sent before there is one waits. */
export class DealerSocket extends ReceivingSocket implements Dealer {
  /** The next to send to comes first. */
  #peers: Connection[] = [];
  #waiting: Message[] = [];
  #waitingBytes = 0;

  constructor(jszmq: Jszmq, options: ResolvedOptions, socket: SocketOptions) {
    super("dealer", jszmq, options, socket);
  }

  send(message: Message): void {
    this.assertSendable(message);
    if (this.#peers.length === 0) this.#enqueue(message);
    else if (!this.#sendInTurn(message)) throw this.#full("all ready peers' queues");
  }

  override admit(connection: Connection): void {
    super.admit(connection);
    this.#peers.push(connection);
    for (const message of this.#takeWaiting()) connection.send(message);
  }

  override release(connection: Connection): void {
    super.release(connection);
    this.#peers = this.#peers.filter((peer) => peer !== connection);
  }

  protected override onClose(): void {
    super.onClose();
    this.#takeWaiting();
  }

  #sendInTurn(message: Message): boolean {
    for (let tried = 0; tried < this.#peers.length; tried += 1) {
      const peer = this.#peers.shift()!;
      this.#peers.push(peer);
      if (peer.send(message)) return true;
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

  #takeWaiting(): Message[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return waiting;
  }

  #full(what: string): TransportError {
    const { sendHighWaterMark, sendHighWaterMarkBytes } = this.options;
    return new TransportError(
      "high-water-mark",
      `websocket: ${what} reached ${sendHighWaterMark} messages or ${sendHighWaterMarkBytes} bytes; send less, or raise sendHighWaterMark and sendHighWaterMarkBytes`,
    );
  }
}
