import type { BlockHash } from "../events/event.ts";
import { BASE_MODEL } from "./block-identity.ts";
import { BlocksByHash } from "./engine-blocks.ts";
import type { Lora } from "./indexer.ts";
import { getOrCreate } from "./maps.ts";
import { addPlace, type Place } from "./places.ts";
import { type RecencyLinks, RecencyList } from "./recency.ts";

/** What an event says of one block, with its tokens and extra keys already hashed. */
export interface AnnouncedBlock {
  readonly hash: BlockHash;
  readonly parent: BlockHash | null;
  readonly lora: Lora;
  readonly blockSize: number;
  /** `BlockHasher.local` of the block. */
  readonly local: bigint;
}

/** A block that cannot be indexed yet. */
export interface Orphan extends RecencyLinks<Orphan> {
  readonly announced: AnnouncedBlock;
  readonly places: Place[];
}

/** Stands for blocks of which only the engine hash and a place are known. */
const TOKENS_UNKNOWN = 0;

/**
 * Blocks of one engine whose parent, or whose tokens, are not known. They are kept as hashes, so that each takes the
 * same little memory, and waited for by the name of what they lack. An engine hash is either here or among the
 * engine's indexed blocks, never both, for any one block size.
 */
export class Orphans {
  readonly #byHash = new BlocksByHash<Orphan>();
  readonly #byParent = new Map<BlockHash, Set<Orphan>>();
  readonly #byAge = new RecencyList<Orphan>();

  get size(): number {
    return this.#byHash.size;
  }

  get(blockSize: number, hash: BlockHash): Orphan | undefined {
    return this.#byHash.get(blockSize, hash);
  }

  all(hash: BlockHash): Orphan[] {
    return this.#byHash.all(hash);
  }

  /** The oldest first. */
  *byAge(): IterableIterator<Orphan> {
    for (let orphan = this.#byAge.oldest; orphan !== undefined; orphan = orphan.newer) yield orphan;
  }

  /** Keeps a block whose parent is not known. */
  add(announced: AnnouncedBlock, place: Place): void {
    const places = this.claim(announced);
    addPlace(places, place);
    const orphan: Orphan = { announced, places, newer: undefined, older: undefined };
    this.#byHash.set(announced.blockSize, announced.hash, orphan);
    this.#byAge.touch(orphan);
    if (announced.parent === null) return;
    getOrCreate(this.#byParent, announced.parent, () => new Set<Orphan>()).add(orphan);
  }

  /** Keeps where a block lies until an event brings its tokens. */
  addPlaceOnly(hash: BlockHash, place: Place): void {
    this.add({ hash, parent: null, lora: BASE_MODEL, blockSize: TOKENS_UNKNOWN, local: 0n }, place);
  }

  /**
   * Ends the waiting of whatever is kept under this block's name, and returns the places that hold for it: those that
   * came without tokens, and those of an earlier announcement unless it spoke of another block.
   */
  claim(announced: AnnouncedBlock): Place[] {
    const places: Place[] = [];
    if (this.size === 0) return places;
    const earlier = this.get(announced.blockSize, announced.hash);
    const unplaced = this.get(TOKENS_UNKNOWN, announced.hash);
    if (earlier !== undefined && isSameBlock(earlier.announced, announced)) places.push(...earlier.places);
    if (unplaced !== undefined && unplaced !== earlier) for (const place of unplaced.places) addPlace(places, place);
    if (earlier !== undefined) this.remove(earlier);
    if (unplaced !== undefined) this.remove(unplaced);
    return places;
  }

  /** Ends the waiting of whatever is kept under this name. */
  end(blockSize: number, hash: BlockHash): void {
    for (const orphan of [this.get(blockSize, hash), this.get(TOKENS_UNKNOWN, hash)]) {
      if (orphan !== undefined) this.remove(orphan);
    }
  }

  /** Ends the waiting of all children of this block. */
  claimChildren(parent: BlockHash, blockSize: number, lora: Lora): Orphan[] {
    const waiting = this.#byParent.get(parent);
    if (waiting === undefined) return [];
    const children = [...waiting].filter(
      ({ announced }) => announced.blockSize === blockSize && announced.lora === lora,
    );
    for (const child of children) this.remove(child);
    return children;
  }

  /** Drops the oldest until no more than `limit` are left; returns how many. */
  shrinkTo(limit: number): number {
    let dropped = 0;
    for (let oldest = this.#byAge.oldest; oldest !== undefined && this.size > limit; oldest = this.#byAge.oldest) {
      this.remove(oldest);
      dropped++;
    }
    return dropped;
  }

  remove(orphan: Orphan): void {
    const { hash, parent, blockSize } = orphan.announced;
    this.#byAge.remove(orphan);
    this.#byHash.delete(blockSize, hash);
    if (parent === null) return;
    const siblings = this.#byParent.get(parent);
    if (siblings?.delete(orphan) && siblings.size === 0) this.#byParent.delete(parent);
  }
}

function isSameBlock(left: AnnouncedBlock, right: AnnouncedBlock): boolean {
  return left.parent === right.parent && left.local === right.local && left.lora === right.lora;
}
