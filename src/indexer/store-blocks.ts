import type { BlockHash, BlockStored, ExtraKey } from "../events/event.ts";
import type { BlockHasher } from "./block-hash.ts";
import { extraKey, extraKeysOf, loraOf, rootKey } from "./block-identity.ts";
import type { Block, Context } from "./context.ts";
import type { EngineBlock } from "./engine-blocks.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { BlockSource } from "./indexer.ts";
import type { AnnouncedBlock } from "./orphans.ts";
import { addPlace, type Place, placeOf } from "./places.ts";
import type { Source } from "./sources.ts";

/** Puts the blocks of one `BlockStored` where they belong: into the index, or aside. */
export function storeBlocks(index: HolderIndex, hasher: BlockHasher, source: BlockSource, event: BlockStored): void {
  new StoreStep(index, hasher, source, event).run();
}

/** What the steps of one event share. */
class StoreStep {
  readonly #index: HolderIndex;
  readonly #hasher: BlockHasher;
  readonly #event: BlockStored;
  readonly #source: Source;
  readonly #context: Context;
  readonly #place: Place;
  /** Parents before children. */
  readonly #mentioned: Block[] = [];

  constructor(index: HolderIndex, hasher: BlockHasher, source: BlockSource, event: BlockStored) {
    this.#index = index;
    this.#hasher = hasher;
    this.#event = event;
    this.#source = index.sources.open(source);
    this.#context = index.contexts.open(source.model, loraOf(event, source.loraId), event.blockSize);
    this.#place = placeOf(event);
  }

  run(): void {
    this.#source.groups.learn(this.#event);
    for (let i = 0; i < this.#event.blockHashes.length; i++) {
      if (hasTokens(this.#event, i)) this.#storeBlock(i);
      else this.#storePlace(this.#event.blockHashes[i]!);
    }
    this.#index.mention(this.#mentioned);
    this.#index.settle(this.#context);
    this.#index.settleOrphans(this.#source);
  }

  #storeBlock(i: number): void {
    const keys = extraKeysOf(this.#event, i);
    const announced = this.#announcedBlock(i, keys);
    const current = this.#index.held(this.#source, announced.blockSize, announced.hash);
    const parentHash = this.#parentHash(announced, keys);
    const hash = parentHash === undefined ? undefined : this.#hasher.chain(parentHash, announced.local);
    if (current !== undefined && this.#isSame(current, announced, hash)) {
      current.parent = announced.parent;
      this.#renew(current);
      return;
    }
    if (current !== undefined) this.#index.release(current);
    if (hash === undefined) {
      this.#source.orphans.add(announced, this.#place);
      return;
    }
    const places = this.#source.orphans.claim(announced);
    addPlace(places, this.#place);
    this.#adoptChildrenOf(this.#hold(announced, hash, places));
  }

  #announcedBlock(i: number, keys: readonly ExtraKey[] | null): AnnouncedBlock {
    const { blockHashes, parentBlockHash, tokenIds } = this.#event;
    const { blockSize, lora } = this.#context;
    const parent = i === 0 ? parentBlockHash : blockHashes[i - 1]!;
    const extra = this.#hasher.extra(extraKey(keys, parent === null));
    const local = this.#hasher.local(tokenIds, i * blockSize, (i + 1) * blockSize, extra);
    return { hash: blockHashes[i]!, parent, lora, blockSize, local };
  }

  /** Chained hash of what comes before the block; `undefined` if the source does not hold it. */
  #parentHash({ parent, blockSize }: AnnouncedBlock, keys: readonly ExtraKey[] | null): bigint | undefined {
    if (parent === null) return this.#hasher.root(rootKey(keys, this.#event.cacheSalt));
    const block = this.#index.held(this.#source, blockSize, parent)?.block;
    if (block?.context !== this.#context) return undefined;
    if (parent === this.#event.parentBlockHash) this.#mentioned.push(block);
    return block.hash;
  }

  /** Whether the event speaks of the block that is known by this engine hash. `hash`: its chained hash, if it has one now. */
  #isSame({ parent, block }: EngineBlock, announced: AnnouncedBlock, hash: bigint | undefined): boolean {
    if (block.context !== this.#context) return false;
    if (hash !== undefined) return block.hash === hash;
    // The parent is gone meanwhile, yet an engine hash says which one it was.
    return parent === announced.parent && block.local === announced.local;
  }

  /** Indexes all that waited for this block, and what waited for that. */
  #adoptChildrenOf(adopter: EngineBlock): void {
    const { orphans } = this.#source;
    if (orphans.size === 0) return;
    const { blockSize, lora } = this.#context;
    const parents = [adopter];
    for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
      for (const { announced, places } of orphans.claimChildren(parent.hash, blockSize, lora)) {
        parents.push(this.#hold(announced, this.#hasher.chain(parent.block.hash, announced.local), places));
      }
    }
  }

  #hold(announced: AnnouncedBlock, hash: bigint, places: Place[]): EngineBlock {
    const engineBlock = this.#index.hold(this.#source, this.#context, announced, hash, places);
    this.#context.speculative.drop(hash, this.#source.pod);
    this.#mentioned.push(engineBlock.block);
    return engineBlock;
  }

  /** A known block, perhaps in one more place. */
  #renew({ block, places }: EngineBlock): void {
    addPlace(places, this.#place);
    block.context.speculative.drop(block.hash, this.#source.pod);
    this.#mentioned.push(block);
  }

  /**
   * A block without its tokens. Its block size need not be the one it was stored with (vLLM's offloading counts larger
   * blocks): without a block of that size, the hash decides.
   */
  #storePlace(hash: BlockHash): void {
    const { orphans } = this.#source;
    const { blockSize } = this.#event;
    const exact = this.#index.held(this.#source, blockSize, hash);
    const exactOrphan = orphans.get(blockSize, hash);
    if (exact !== undefined) {
      this.#renew(exact);
    } else if (exactOrphan !== undefined) {
      addPlace(exactOrphan.places, this.#place);
    } else {
      const held = this.#index.allHeld(this.#source, hash);
      const waiting = orphans.all(hash);
      for (const engineBlock of held) this.#renew(engineBlock);
      for (const orphan of waiting) addPlace(orphan.places, this.#place);
      if (held.length + waiting.length === 0) orphans.addPlaceOnly(hash, this.#place);
    }
  }
}

/** A broken event may bring fewer tokens than its blocks have; those without are treated as blocks without tokens. */
function hasTokens({ blockSize, tokenIds }: BlockStored, i: number): boolean {
  return Number.isInteger(blockSize) && blockSize >= 1 && (i + 1) * blockSize <= tokenIds.length;
}
