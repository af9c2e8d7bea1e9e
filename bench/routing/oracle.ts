import type { KVEvent } from "../../src/events/event.ts";
import type { PodMatch, PrefixIndexer } from "../../src/indexer/indexer.ts";
import { blockHash } from "../../src/simulator/block.ts";

/**
 * Knows at every moment which blocks each engine has, and which prompts wait there and will be computed before anything
 * that comes later: nothing that an index could know better. Answers in the index's place.
 */
export class Oracle implements Pick<PrefixIndexer, "matchPrefix" | "getPrefixHashes" | "addPrefix"> {
  readonly #blockSize: number;
  readonly #held: ReadonlyMap<string, Set<bigint>>;
  /** How many waiting prompts have the block. */
  readonly #expected: ReadonlyMap<string, Map<bigint, number>>;
  #lastTokens: Uint32Array | undefined;
  #lastNames: readonly bigint[] = [];

  constructor(blockSize: number, pods: readonly string[]) {
    this.#blockSize = blockSize;
    this.#held = new Map(pods.map((pod) => [pod, new Set<bigint>()]));
    this.#expected = new Map(pods.map((pod) => [pod, new Map<bigint, number>()]));
  }

  /** The prompt waits there. */
  expect(pod: string, tokens: Uint32Array): void {
    const expected = this.#expected.get(pod)!;
    for (const name of this.#names(tokens)) expected.set(name, (expected.get(name) ?? 0) + 1);
  }

  /** It waits no more. */
  arrived(pod: string, tokens: Uint32Array): void {
    const expected = this.#expected.get(pod)!;
    for (const name of this.#names(tokens)) {
      const count = expected.get(name)! - 1;
      if (count === 0) expected.delete(name);
      else expected.set(name, count);
    }
  }

  apply(pod: string, events: readonly KVEvent[]): void {
    const held = this.#held.get(pod)!;
    for (const event of events) {
      if (event.type === "BlockStored") for (const name of event.blockHashes) held.add(name);
      else if (event.type === "BlockRemoved") for (const name of event.blockHashes) held.delete(name);
      else held.clear();
    }
  }

  matchPrefix(
    _model: string,
    _lora: unknown,
    tokens: Uint32Array | readonly number[],
    ready?: ReadonlySet<string>,
  ): PodMatch[] {
    const names = this.#names(tokens as Uint32Array);
    const matches: PodMatch[] = [];
    for (const [pod, held] of this.#held) {
      if (ready?.has(pod) === false) continue;
      const expected = this.#expected.get(pod)!;
      let blocks = 0;
      while (blocks < names.length && (held.has(names[blocks]!) || expected.has(names[blocks]!))) blocks++;
      if (blocks > 0) matches.push(this.#match(pod, blocks, names.length));
    }
    return matches;
  }

  /** It needs no beliefs: it knows what waits. */
  getPrefixHashes(): BigUint64Array {
    return new BigUint64Array();
  }

  addPrefix(): void {}

  #match(pod: string, blocks: number, all: number): PodMatch {
    const counts = { matchedBlocks: blocks, gpuBlocks: blocks, cpuBlocks: blocks, diskBlocks: blocks };
    return {
      pod,
      blockSize: this.#blockSize,
      matchedBlocks: blocks,
      matchedTokens: blocks * this.#blockSize,
      matchPercent: Math.floor((100 * blocks) / all),
      ranks: [{ rank: 0, ...counts, weightedBlocks: blocks }],
    };
  }

  /** By which engines call the full blocks of a prompt; the last prompt's are kept. */
  #names(tokens: Uint32Array): readonly bigint[] {
    if (tokens === this.#lastTokens) return this.#lastNames;
    const names: bigint[] = [];
    let parent: bigint | null = null;
    for (let end = this.#blockSize; end <= tokens.length; end += this.#blockSize) {
      const own = tokens.subarray(end - this.#blockSize, end);
      parent = blockHash(0, parent, own, { loraName: null, cacheSalt: null });
      names.push(parent);
    }
    this.#lastTokens = tokens;
    this.#lastNames = names;
    return names;
  }
}
