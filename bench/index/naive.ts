import { Decoder } from "@msgpack/msgpack";
import type { XXHashAPI } from "xxhash-wasm";

/** Who holds a block, by chained hash; and each pod's own names for its blocks. */
interface NaivePod {
  readonly names: Map<bigint, bigint>;
}

/**
 * The index as one would write it in an afternoon, with the right answers: `@msgpack/msgpack`, xxHash by WebAssembly, a
 * `Map` from a block's chained hash to the set of pods that hold it, and a `Map` from each pod's names to chained hashes.
 * It knows one rank, one tier and one adapter, and keeps nothing that waits.
 */
export class NaiveIndex {
  readonly #hash: XXHashAPI["h64Raw"];
  readonly #decoder = new Decoder({ useBigInt64: true });
  readonly #pods = new Map<string, NaivePod>();
  readonly #holders = new Map<bigint, Set<string>>();
  readonly #blockSize: number;

  constructor(xxhash: XXHashAPI, blockSize: number) {
    this.#hash = xxhash.h64Raw;
    this.#blockSize = blockSize;
  }

  get blocks(): number {
    return this.#holders.size;
  }

  /** (block, pod) pairs. */
  get pairs(): number {
    return [...this.#pods.values()].reduce((sum, { names }) => sum + names.size, 0);
  }

  handle(pod: string, payload: Uint8Array): void {
    const [, events] = this.#decoder.decode(payload) as [number, readonly Record<string, unknown>[]];
    for (const event of events) {
      if (event["type"] === "BlockStored") this.#stored(this.#pod(pod), pod, event);
      else if (event["type"] === "BlockRemoved") this.#removed(this.#pod(pod), pod, event["block_hashes"] as bigint[]);
      else this.clear(pod);
    }
  }

  clear(pod: string): void {
    for (const hash of this.#pod(pod).names.values()) this.#drop(pod, hash);
    this.#pods.delete(pod);
  }

  /** Blocks from the start of the prompt, by pod. */
  match(tokens: Uint32Array): Map<string, number> {
    const matched = new Map<string, number>();
    let going: string[] | null = null;
    let parent = 0n;
    for (let block = 0; (block + 1) * this.#blockSize <= tokens.length; block++) {
      parent = this.#chain(parent, tokens.subarray(block * this.#blockSize, (block + 1) * this.#blockSize));
      const holders = this.#holders.get(parent);
      if (holders === undefined) break;
      going = going === null ? [...holders] : going.filter((pod) => holders.has(pod));
      if (going.length === 0) break;
      for (const pod of going) matched.set(pod, block + 1);
    }
    return matched;
  }

  #pod(name: string): NaivePod {
    let pod = this.#pods.get(name);
    if (pod === undefined) {
      pod = { names: new Map() };
      this.#pods.set(name, pod);
    }
    return pod;
  }

  #stored(pod: NaivePod, name: string, event: Record<string, unknown>): void {
    const names = event["block_hashes"] as bigint[];
    const tokens = Uint32Array.from(event["token_ids"] as number[]);
    const parentName = event["parent_block_hash"] as bigint | null;
    let parent = parentName === null ? 0n : pod.names.get(parentName);
    if (parent === undefined) return;
    for (const [at, own] of names.entries()) {
      parent = this.#chain(parent, tokens.subarray(at * this.#blockSize, (at + 1) * this.#blockSize));
      pod.names.set(own, parent);
      const holders = this.#holders.get(parent);
      if (holders === undefined) this.#holders.set(parent, new Set([name]));
      else holders.add(name);
    }
  }

  #removed(pod: NaivePod, name: string, names: readonly bigint[]): void {
    for (const own of names) {
      const hash = pod.names.get(own);
      if (hash === undefined) continue;
      pod.names.delete(own);
      this.#drop(name, hash);
    }
  }

  #drop(pod: string, hash: bigint): void {
    const holders = this.#holders.get(hash);
    if (holders?.delete(pod) && holders.size === 0) this.#holders.delete(hash);
  }

  #chain(parent: bigint, tokens: Uint32Array): bigint {
    return this.#hash(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength), parent);
  }
}
