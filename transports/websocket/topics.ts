import { latin1 } from "./frames.ts";

/** What a topic costs beside its bytes, so that a peer with very many short ones is seen for what it is. */
const TOPIC_OVERHEAD_BYTES = 200;

/** Counted subscriptions, matched as prefixes of a frame. */
export class Topics {
  /** How often each was added, by the topic's bytes as latin1. */
  readonly #counts = new Map<string, number>();
  /** How many topics there are of each length: a frame is looked up once per length, not once per topic. */
  readonly #lengths = new Map<number, number>();
  #bytes = 0;

  /** Memory held, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True when the topic is new. */
  add(topic: Uint8Array): boolean {
    const key = latin1(topic);
    const count = this.#counts.get(key) ?? 0;
    this.#counts.set(key, count + 1);
    if (count > 0) return false;
    this.#lengths.set(topic.length, (this.#lengths.get(topic.length) ?? 0) + 1);
    this.#bytes += topic.length + TOPIC_OVERHEAD_BYTES;
    return true;
  }

  /** True when it was the last time that the topic had been added; one that is not there is ignored. */
  remove(topic: Uint8Array): boolean {
    const key = latin1(topic);
    const count = this.#counts.get(key);
    if (count === undefined) return false;
    if (count > 1) {
      this.#counts.set(key, count - 1);
      return false;
    }
    this.#counts.delete(key);
    const left = this.#lengths.get(topic.length)! - 1;
    if (left === 0) this.#lengths.delete(topic.length);
    else this.#lengths.set(topic.length, left);
    this.#bytes -= topic.length + TOPIC_OVERHEAD_BYTES;
    return true;
  }

  /** Whether a topic is a prefix of the frame. */
  matches(frame: Uint8Array): boolean {
    for (const length of this.#lengths.keys()) {
      if (length === 0) return true;
      if (length <= frame.length && this.#counts.has(latin1(frame.subarray(0, length)))) return true;
    }
    return false;
  }

  /** Every topic once. */
  list(): Buffer[] {
    return [...this.#counts.keys()].map((key) => Buffer.from(key, "latin1"));
  }
}
