import { TransportError } from "../../src/errors.ts";
import type { Dealer, Message, SocketOptions } from "../../src/transport.ts";
import type { Connection } from "./connection.ts";
import type { MechanismFactory } from "./mechanism.ts";
import { MessageEncoder } from "./message-encoder.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";
import { copyOf } from "./wire.ts";

/** DEALER (RFC 28): sends to its ready peers in turn; what is sent before there is one waits. */
export class DealerSocket extends ReceivingSocket implements Dealer {
  readonly #encoder = new MessageEncoder();
  /** The next to send to comes first. */
  #peers: Connection[] = [];
  #waiting: Message[] = [];
  #waitingBytes = 0;

  constructor(mechanism: MechanismFactory, options: ResolvedOptions, socket: SocketOptions) {
    super("DEALER", mechanism, options, socket);
  }

  send(message: Message): void {
    this.assertOpen();
    const encoded = this.#encoder.encode(message);
    if (this.#peers.length === 0) this.#enqueue(message, encoded.length);
    else if (!this.#sendInTurn(message, encoded)) throw this.#full("all ready peers' queues");
  }

  override admit(connection: Connection): void {
    super.admit(connection);
    this.#peers.push(connection);
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const message of waiting) connection.send(message, this.#encoder.encode(message));
  }

  override release(connection: Connection): void {
    super.release(connection);
    this.#peers = this.#peers.filter((peer) => peer !== connection);
  }

  protected override onClose(): void {
    super.onClose();
    this.#waiting = [];
  }

  #sendInTurn(message: Message, encoded: Uint8Array): boolean {
    for (let tried = 0; tried < this.#peers.length; tried += 1) {
      const peer = this.#peers.shift()!;
      this.#peers.push(peer);
      if (peer.send(message, encoded)) return true;
    }
    return false;
  }

  #enqueue(message: Message, bytes: number): void {
    const { sendHighWaterMark, sendHighWaterMarkBytes } = this.options;
    const isFull = this.#waiting.length >= sendHighWaterMark || this.#waitingBytes + bytes > sendHighWaterMarkBytes;
    if (isFull && this.#waiting.length > 0) throw this.#full("the queue for a peer that is not ready yet");
    this.#waiting.push(message.map((frame) => copyOf(frame)));
    this.#waitingBytes += bytes;
  }

  #full(what: string): TransportError {
    const { sendHighWaterMark, sendHighWaterMarkBytes } = this.options;
    return new TransportError(
      "high-water-mark",
      `zmtp: ${what} reached ${sendHighWaterMark} messages or ${sendHighWaterMarkBytes} bytes; send less, or raise sendHighWaterMark and sendHighWaterMarkBytes`,
    );
  }
}
