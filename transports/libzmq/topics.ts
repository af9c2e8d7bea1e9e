import { latin1 } from "./frames.ts";

/** Counted topics. */
export class Topics {
  /** How often each was added, by the topic's bytes as latin1. */
  readonly #counts = new Map<string, number>();

  /** True when the topic is new. */
  add(topic: Uint8Array): boolean {
    const key = latin1(topic);
    const count = this.#counts.get(key) ?? 0;
    this.#counts.set(key, count + 1);
    return count === 0;
  }

  /** True when it was the last time that the topic had been added; one that is not there is ignored. */
  remove(topic: Uint8Array): boolean {
    const key = latin1(topic);
    const count = this.#counts.get(key);
    if (count === undefined) return false;
    if (count > 1) this.#counts.set(key, count - 1);
    else this.#counts.delete(key);
    return count === 1;
  }

  /** Every topic as often as it was added, or once. */
  list(how: "each" | "once"): Buffer[] {
    return [...this.#counts].flatMap(([key, count]) =>
      Array.from({ length: how === "each" ? count : 1 }, () => Buffer.from(key, "latin1")),
    );
  }
}
