import { getOrCreate } from "./maps.ts";
import { type RecencyLinks, RecencyList } from "./recency.ts";

/** The belief that a pod will hold a block soon. */
interface Belief extends RecencyLinks<Belief> {
  readonly hash: bigint;
  readonly pod: string;
  readonly expiresAtMs: number;
}

/**
 * What a router believes of the pods of one context: it has just sent a prompt there. Kept apart from what engines
 * said, by pod and not by rank, because a router does not see the rank. A belief ends with its time, with
 * `removePrefix`, when an event of that pod speaks of the block, or when the pod's cache is cleared.
 */
export class SpeculativeBlocks {
  readonly #byBlock = new Map<bigint, Map<string, Belief>>();
  readonly #byPod = new Map<string, Set<Belief>>();
  readonly #byAge = new RecencyList<Belief>();
  #size = 0;

  /** Number of (block, pod) pairs. */
  get size(): number {
    return this.#size;
  }

  /** Telling it again replaces the time. */
  add(hash: bigint, pod: string, expiresAtMs: number): void {
    this.drop(hash, pod);
    const belief: Belief = { hash, pod, expiresAtMs, newer: undefined, older: undefined };
    this.#byAge.touch(belief);
    this.#size++;
    getOrCreate(this.#byBlock, hash, () => new Map<string, Belief>()).set(pod, belief);
    getOrCreate(this.#byPod, pod, () => new Set<Belief>()).add(belief);
  }

  has(hash: bigint, pod: string, nowMs: number): boolean {
    const belief = this.#byBlock.get(hash)?.get(pod);
    return belief !== undefined && belief.expiresAtMs > nowMs;
  }

  podsOf(hash: bigint, nowMs: number): string[] {
    const pods = this.#byBlock.get(hash);
    if (pods === undefined) return [];
    return [...pods.values()].filter((belief) => belief.expiresAtMs > nowMs).map((belief) => belief.pod);
  }

  drop(hash: bigint, pod: string): void {
    const belief = this.#byBlock.get(hash)?.get(pod);
    if (belief !== undefined) this.#remove(belief);
  }

  dropPod(pod: string): void {
    for (const belief of this.#byPod.get(pod) ?? []) this.#remove(belief);
  }

  /** Drops the oldest until no more than `limit` are left. */
  shrinkTo(limit: number): void {
    for (let oldest = this.#byAge.oldest; oldest !== undefined && this.#size > limit; oldest = this.#byAge.oldest) {
      this.#remove(oldest);
    }
  }

  /** Drops expired beliefs, oldest first, `limit` at most, until one that still holds. */
  sweep(nowMs: number, limit: number): void {
    for (let dropped = 0; dropped < limit; dropped++) {
      const oldest = this.#byAge.oldest;
      if (oldest === undefined || oldest.expiresAtMs > nowMs) return;
      this.#remove(oldest);
    }
  }

  #remove(belief: Belief): void {
    const { hash, pod } = belief;
    this.#byAge.remove(belief);
    this.#size--;
    const pods = this.#byBlock.get(hash);
    if (pods?.delete(pod) && pods.size === 0) this.#byBlock.delete(hash);
    const ofPod = this.#byPod.get(pod);
    if (ofPod?.delete(belief) && ofPod.size === 0) this.#byPod.delete(pod);
  }
}
