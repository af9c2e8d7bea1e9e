import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import { PackedType } from "../../src/events/packed-batch.ts";
import { SeededBlockHasher } from "../../src/indexer/block-hash.ts";
import { BlockRemoval } from "../../src/indexer/block-removal.ts";
import { BlockStore } from "../../src/indexer/block-store.ts";
import { HolderIndex } from "../../src/indexer/holder-index.ts";
import type { BlockSource, PodMatch } from "../../src/indexer/indexer.ts";
import { Matcher } from "../../src/indexer/match.ts";
import {
  type ResolvedTableOptions,
  resolveTableOptions,
  type SyncPrefixHashTableOptions,
} from "../../src/indexer/table-options.ts";
import { MANY_BLOCKS, packed } from "./engine-steps.ts";
import { MODEL, source } from "./support.ts";

export const SEED = 7n;

/** The index without its façade, so that its records can be looked at. */
export class Inside {
  readonly index: HolderIndex;
  readonly #options: ResolvedTableOptions;
  readonly #hasher = new SeededBlockHasher(SEED);
  readonly #matcher: Matcher;
  readonly #store: BlockStore;
  readonly #removal: BlockRemoval;

  constructor(options: SyncPrefixHashTableOptions = {}) {
    this.#options = resolveTableOptions({ ...options, seed: SEED });
    this.index = new HolderIndex(this.#options);
    this.#store = new BlockStore(this.index, this.#hasher);
    this.#removal = new BlockRemoval(this.index);
    this.#matcher = new Matcher(this.index, this.#options.tierWeights);
  }

  process(of: BlockSource, ...events: readonly (BlockStored | BlockRemoved)[]): void {
    const batch = packed(events);
    for (let i = 0; i < batch.eventCount; i++) {
      const event = batch.events[i]!;
      if (event.type === PackedType.stored) this.#store.store(of, batch, event);
      else this.#removal.remove(of, batch, i, i + 1);
    }
  }

  /** As a query does. */
  match(tokens: Uint32Array): PodMatch[] {
    const prompt = { tokens, hasher: this.#hasher, identity: {} };
    const { tierWeights } = this.#options;
    return this.#matcher.match({ model: MODEL, lora: -1, prompt, readyPods: undefined, tierWeights });
  }

  /** As before an import. */
  listAll(): void {
    const { blocks, contexts } = this.index;
    blocks.listAll((number) => contexts.numbered(number));
  }

  /** Holds many blocks for a moment. */
  growAndEmpty(): void {
    this.process(source(), ...MANY_BLOCKS);
  }
}
