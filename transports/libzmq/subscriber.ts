import type { SocketOptions, Subscriber } from "../../src/transport.ts";
import { asBuffer } from "./frames.ts";
import type { Library } from "./library.ts";
import type { Link, LinkListener } from "./link.ts";
import type { ResolvedOptions } from "./options.ts";
import { ReceivingSocket } from "./receiving-socket.ts";
import { Topics } from "./topics.ts";

type NativeSubscriber = import("zeromq").Subscriber;

/** The package keeps its setters to itself, and has no name for this option of a subscriber. */
interface OptionSetter {
  setInt32Option(option: number, value: number): void;
}

/** `ZMQ_SNDHWM`; 0 is no limit. */
const SEND_HIGH_WATER_MARK = 23;

/** SUB (RFC 29). */
export class SubscriberSocket extends ReceivingSocket<NativeSubscriber> implements Subscriber {
  readonly #topics = new Topics();
  readonly #links = new Set<Link<NativeSubscriber>>();

  constructor(library: Library, options: ResolvedOptions, socket: SocketOptions) {
    super("subscriber", library, options, socket);
  }

  subscribe(topic: string | Uint8Array): void {
    this.assertOpen();
    const bytes = bytesOf(topic);
    if (this.#topics.add(bytes)) for (const { native } of this.#openLinks()) native.subscribe(bytes);
  }

  unsubscribe(topic: string | Uint8Array): void {
    this.assertOpen();
    const bytes = bytesOf(topic);
    if (this.#topics.remove(bytes)) for (const { native } of this.#openLinks()) native.unsubscribe(bytes);
  }

  override open(onEvent: LinkListener): Link<NativeSubscriber> {
    const { receiveHighWaterMark } = this.options;
    const link = this.library.open(this.options, onEvent, (native) => {
      // It has nothing to say that were worth waiting for.
      return new this.library.zeromq.Subscriber({ ...native, linger: 0, receiveHighWaterMark });
    });
    // Beyond a limit libzmq would forget subscriptions without a word (libzmq#4064).
    (link.native as unknown as OptionSetter).setInt32Option(SEND_HIGH_WATER_MARK, 0);
    const topics = this.#topics.list("once");
    if (topics.length > 0) link.native.subscribe(...topics);
    this.#links.add(link);
    return link;
  }

  #openLinks(): Set<Link<NativeSubscriber>> {
    for (const link of this.#links) if (link.isClosed) this.#links.delete(link);
    return this.#links;
  }
}

/** A string is its UTF-8. */
function bytesOf(topic: string | Uint8Array): Buffer {
  return typeof topic === "string" ? Buffer.from(topic) : asBuffer(topic);
}
