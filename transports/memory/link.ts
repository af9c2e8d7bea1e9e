import type { Clock } from "../../src/clock.ts";
import { TransportError } from "../../src/errors.ts";
import { Channel } from "./channel.ts";
import { Connection, type ConnectionSide } from "./connection.ts";
import { type FaultTable, Lane, type SocketKind } from "./faults.ts";
import { after } from "./timing.ts";

/** Whom a socket may talk to (RFC 28 and 29). */
const PARTNERS: Readonly<Record<SocketKind, readonly SocketKind[]>> = {
  subscriber: ["publisher"],
  publisher: ["subscriber"],
  dealer: ["router", "dealer"],
  router: ["dealer", "router"],
};

/** What a link needs of its network. */
export interface LinkNetwork {
  readonly clock: Clock;
  readonly table: FaultTable;
  readonly links: Set<Link>;
}

/** A connection between two sockets, from the handshake on: two ends, and a channel each way. */
export class Link {
  /** Of all endpoints under which a fault may name it. */
  readonly keys: ReadonlySet<string>;
  readonly dialer: Connection;
  readonly #network: LinkNetwork;
  readonly #listener: Connection;
  readonly #fromDialer: Channel;
  readonly #fromListener: Channel;
  readonly #answer: Lane;
  #cancelHandshake: () => void = () => {};

  constructor(network: LinkNetwork, keys: ReadonlySet<string>, dialer: ConnectionSide, listener: ConnectionSide) {
    this.#network = network;
    this.keys = keys;
    this.dialer = new Connection(this, dialer);
    this.#listener = new Connection(this, listener);
    this.#answer = new Lane(network.table, keys, listener.host.kind);
    const question = new Lane(network.table, keys, dialer.host.kind);
    this.#fromDialer = new Channel(network.clock, question, dialer.host.options, this.#listener);
    this.#fromListener = new Channel(network.clock, this.#answer, listener.host.options, this.dialer);
  }

  get clock(): Clock {
    return this.#network.clock;
  }

  /** The kinds of socket at its ends. */
  get kinds(): readonly SocketKind[] {
    return [this.dialer.host.kind, this.#listener.host.kind];
  }

  channelFrom(end: Connection): Channel {
    return end === this.dialer ? this.#fromDialer : this.#fromListener;
  }

  channelTo(end: Connection): Channel {
    return end === this.dialer ? this.#fromListener : this.#fromDialer;
  }

  /** Begins the handshake; it takes as long as the answer is under way. */
  start(): void {
    this.#network.links.add(this);
    this.#cancelHandshake = after(this.clock, this.#answer.latencyMs(), () => this.#finishHandshake());
    this.dialer.shakeHands();
    this.#listener.shakeHands();
  }

  /** Breaks it at once: both ends lose what is on its way. */
  cut(): void {
    for (const end of [this.dialer, this.#listener]) {
      end.lose(new TransportError("disconnected", `memory ${end.endpoint}: the connection was cut by a fault`));
    }
  }

  onEndClosed(): void {
    this.#cancelHandshake();
    if (this.dialer.isClosed && this.#listener.isClosed) this.#network.links.delete(this);
  }

  #finishHandshake(): void {
    const [own, other] = [this.dialer.host.kind, this.#listener.host.kind];
    if (PARTNERS[own].includes(other)) {
      this.#listener.becomeReady();
      this.dialer.becomeReady();
      return;
    }
    for (const end of [this.dialer, this.#listener]) {
      const text = `memory ${end.endpoint}: a ${own} cannot connect to a ${other}; check the endpoint`;
      end.lose(new TransportError("socket-type-mismatch", text));
    }
  }
}
