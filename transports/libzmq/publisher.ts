import type { Message, Publisher, PublisherOptions } from "../../src/transport.ts";
import { copyOf } from "./frames.ts";
import type { Library } from "./library.ts";
import type { Link, LinkListener } from "./link.ts";
import type { NativeReader, NativeWriter } from "./load.ts";
import type { ResolvedOptions } from "./options.ts";
import { type Reader, readLink } from "./reading.ts";
import { callListener, LibzmqSocket } from "./socket.ts";
import { Topics } from "./topics.ts";

/** PUB (RFC 29); XPUB where somebody wants to hear of subscriptions. */
export class PublisherSocket extends LibzmqSocket implements Publisher, Reader {
  readonly #onSubscription: PublisherOptions["onSubscription"];
  /** With what the peers of each have subscribed to. */
  readonly #links = new Map<Link<NativeWriter>, Topics>();

  constructor(library: Library, options: ResolvedOptions, socket: PublisherOptions) {
    super("publisher", library, options, socket);
    this.#onSubscription = socket.onSubscription;
  }

  send(message: Message): void {
    this.assertSendable(message);
    if (this.#links.size === 0) return;
    const frames = copyOf(message);
    for (const { native } of this.#links.keys()) native.send(frames).catch(() => {});
  }

  override open(onEvent: LinkListener): Link<NativeWriter> {
    const { sendHighWaterMark } = this.options;
    const { Publisher, XPublisher } = this.library.zeromq;
    return this.library.open<NativeWriter>(this.options, onEvent, (native) => {
      const options = { ...native, sendHighWaterMark, sendTimeout: 0 };
      // An XPUB keeps what nobody reads, so it is one only where somebody does.
      if (this.#onSubscription === undefined) return new Publisher(options);
      return new XPublisher({ ...options, verbosity: "allSubsUnsubs" });
    });
  }

  override attach(link: Link<NativeWriter>): void {
    this.#links.set(link, new Topics());
    if (this.#onSubscription !== undefined) void readLink(link as Link<NativeWriter & NativeReader>, this);
  }

  override async release(link: Link<NativeWriter>): Promise<void> {
    const topics = this.#links.get(link)?.list("each") ?? [];
    this.#links.delete(link);
    for (const topic of topics) this.#report(topic, false);
  }

  async room(): Promise<void> {}

  /** A message of 01 or 00 and a topic is a subscription or its end; any other one to a publisher is ignored. */
  take(link: Link<NativeWriter>, messages: readonly Buffer[][]): void {
    for (const [frame] of messages) {
      const topics = this.#links.get(link);
      if (topics === undefined || frame === undefined || frame.length === 0) continue;
      const topic = frame.subarray(1);
      if (frame[0] === 1) topics.add(topic);
      else if (frame[0] === 0) topics.remove(topic);
      else continue;
      this.#report(topic, frame[0] === 1);
    }
  }

  protected override async onClose(): Promise<void> {}

  #report(topic: Uint8Array, subscribed: boolean): void {
    callListener(() => this.#onSubscription?.(topic, subscribed));
  }
}
