import { TransportError } from "../../src/errors.ts";
import type { Message, Router, RouterOptions } from "../../src/transport.ts";
import { latin1 } from "./frames.ts";
import type { Library } from "./library.ts";
import type { Link, LinkListener } from "./link.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";
import { RouterPeer } from "./router-peer.ts";

type NativeRouter = import("zeromq").Router;

/** Peers that may be known beyond those that are connected now: libzmq does not say which of them have left. */
const SPARE_PEERS = 1_024;

/**
 * ROUTER (RFC 28). A peer is known from its first message until libzmq refuses to send to it, or until nobody at all is
 * connected any more.
 */
export class RouterSocket extends ReceivingSocket<NativeRouter> implements Router {
  readonly #mandatory: boolean;
  /** By identity; the one that was heard of last comes last. */
  readonly #peers = new Map<string, RouterPeer>();
  readonly #links = new Set<Link<NativeRouter>>();

  constructor(library: Library, options: ResolvedOptions, socket: RouterOptions) {
    super("router", library, options, socket);
    this.#mandatory = socket.mandatory ?? false;
  }

  send(message: Message): boolean {
    const [identity, ...frames] = message;
    this.assertSendable(frames);
    const peer = this.#peers.get(latin1(identity!));
    if (peer !== undefined) return peer.send(frames);
    if (!this.#mandatory) return false;
    throw new TransportError(
      "host-unreachable",
      `libzmq: no peer has the identity 0x${Buffer.from(identity!).toString("hex")}; wait until it speaks again`,
    );
  }

  override open(onEvent: LinkListener): Link<NativeRouter> {
    const { receiveHighWaterMark, sendHighWaterMark } = this.options;
    return this.library.open(this.options, onEvent, (native) => {
      // Mandatory in any case: only then libzmq says that it could not send.
      const own = { receiveHighWaterMark, sendHighWaterMark, sendTimeout: 0, mandatory: true };
      return new this.library.zeromq.Router({ ...native, ...own });
    });
  }

  override attach(link: Link<NativeRouter>): void {
    this.#links.add(link);
    super.attach(link);
  }

  override take(link: Link<NativeRouter>, messages: readonly Buffer[][]): void {
    for (const [identity] of messages) this.#meet(link, identity!);
    super.take(link, messages);
  }

  override deserted(link: Link<NativeRouter>): void {
    this.#forget(link);
  }

  override release(link: Link<NativeRouter>): Promise<void> {
    this.#links.delete(link);
    this.#forget(link);
    return super.release(link);
  }

  /** Peers that are full may take what waits for them as long as a linger lasts. */
  protected override async onClose(): Promise<void> {
    await super.onClose();
    const { clock, lingerMs } = this.options;
    let timer: unknown;
    const lingered = new Promise<void>((resolve) => {
      timer = clock.setTimeout(resolve, lingerMs);
    });
    await Promise.race([lingered, Promise.all([...this.#peers.values()].map((peer) => peer.emptied()))]);
    clock.clearTimeout(timer);
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
  }

  #meet(link: Link<NativeRouter>, identity: Buffer): void {
    const key = latin1(identity);
    const known = this.#peers.get(key);
    if (known !== undefined && known.link === link) {
      this.#peers.delete(key);
      this.#peers.set(key, known);
      return;
    }
    known?.close();
    this.#peers.set(key, new RouterPeer(link, identity, this.options, () => this.#lose(key)));
    this.#bound();
  }

  /** Forgets who has not been heard of for longest. */
  #bound(): void {
    let connected = 0;
    for (const { peers } of this.#links) connected += peers;
    if (this.#peers.size <= connected + SPARE_PEERS) return;
    const oldest = [...this.#peers.keys()].slice(0, SPARE_PEERS / 2);
    for (const key of oldest) this.#lose(key);
  }

  #forget(link: Link<NativeRouter>): void {
    for (const [key, peer] of this.#peers) if (peer.link === link) this.#lose(key);
  }

  #lose(key: string): void {
    this.#peers.get(key)?.close();
    this.#peers.delete(key);
  }
}
