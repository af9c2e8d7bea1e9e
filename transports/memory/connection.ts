import { TransportError } from "../../src/errors.ts";
import type { Message } from "../../src/transport.ts";
import type { Channel, ChannelEnd } from "./channel.ts";
import type { SocketKind } from "./faults.ts";
import type { Link } from "./link.ts";
import type { ResolvedOptions } from "./options.ts";
import { after } from "./timing.ts";

/** The socket that connections belong to. */
export interface ConnectionHost {
  readonly kind: SocketKind;
  readonly options: ResolvedOptions;
  /** A number for a connection that is ready, higher than all before. */
  nextConnectionId(): number;
  admit(connection: Connection): void;
  /** An admitted connection is over. */
  release(connection: Connection): void;
  hasRoom(messages: number, bytes: number): boolean;
  deliver(connection: Connection, messages: Message[], bytes: number): void;
  topic(connection: Connection, topic: Uint8Array, subscribed: boolean): void;
}

/** Who made a connection is told of its life. */
export interface ConnectionObserver {
  handshaking(connection: Connection): void;
  ready(connectionId: number): void;
  /** Without a cause it ended at this side's own wish. */
  closed(cause: TransportError | undefined): void;
}

/** What one end of a connection is made of. `endpoint` is as its listeners are told. */
export interface ConnectionSide {
  readonly host: ConnectionHost;
  readonly endpoint: string;
  readonly observer: ConnectionObserver;
}

/** One end of a connection between two sockets. */
export class Connection implements ChannelEnd {
  readonly host: ConnectionHost;
  readonly endpoint: string;
  readonly #observer: ConnectionObserver;
  readonly #link: Link;
  #status: "handshaking" | "ready" | "closed" = "handshaking";
  #id = 0;

  constructor(link: Link, side: ConnectionSide) {
    this.#link = link;
    this.host = side.host;
    this.endpoint = side.endpoint;
    this.#observer = side.observer;
  }

  /** In the batches of this connection; 0 before it is ready. */
  get id(): number {
    return this.#id;
  }

  get isClosed(): boolean {
    return this.#status === "closed";
  }

  /** False when the message was not queued: the peer's high-water mark is reached. */
  send(message: Message): boolean {
    return this.#status === "ready" && this.#outgoing.send(message);
  }

  sendTopic(topic: Uint8Array, subscribed: boolean): void {
    this.#outgoing.sendTopic(topic, subscribed);
  }

  /** The socket has room again for what comes in here. */
  resume(): void {
    this.#incoming.resume();
  }

  shakeHands(): void {
    if (this.#status === "handshaking") this.#observer.handshaking(this);
  }

  becomeReady(): void {
    if (this.#status !== "handshaking") return;
    this.#status = "ready";
    this.#id = this.host.nextConnectionId();
    this.host.admit(this);
    this.#observer.ready(this.#id);
  }

  /** Ends it at this side's wish. What was sent is given `lingerMs` to arrive; resolves when no timer is left. */
  async close(): Promise<void> {
    if (this.#status === "closed") return;
    const { lingerMs } = this.host.options;
    const outgoing = this.#outgoing;
    this.#incoming.close();
    this.#finish(undefined);
    if (lingerMs === 0 || outgoing.pending === 0) return outgoing.end(true);
    const told = outgoing.end(false);
    const stopLingering = after(this.#link.clock, lingerMs, () => void outgoing.end(true));
    await told;
    stopLingering();
  }

  /** Ends it because of the peer, of the way to it, or of a fault. */
  lose(cause: TransportError): void {
    this.#outgoing.close();
    this.#finish(cause);
  }

  hasRoom(messages: number, bytes: number): boolean {
    return this.host.hasRoom(messages, bytes);
  }

  deliver(messages: Message[], bytes: number): void {
    this.host.deliver(this, messages, bytes);
  }

  topic(topic: Uint8Array, subscribed: boolean): void {
    this.host.topic(this, topic, subscribed);
  }

  ended(): void {
    this.lose(new TransportError("disconnected", `memory ${this.endpoint}: the peer closed the connection`));
  }

  get #outgoing(): Channel {
    return this.#link.channelFrom(this);
  }

  get #incoming(): Channel {
    return this.#link.channelTo(this);
  }

  #finish(cause: TransportError | undefined): void {
    if (this.#status === "closed") return;
    const wasReady = this.#status === "ready";
    this.#status = "closed";
    if (wasReady) this.host.release(this);
    this.#link.onEndClosed();
    this.#observer.closed(cause);
  }
}
