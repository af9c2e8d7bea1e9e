import type { Blocks } from "./blocks.ts";
import type { Contexts } from "./context.ts";
import type { Holders } from "./holders.ts";
import type { Holdings } from "./holdings.ts";
import type { OrphanRecords } from "./orphan-records.ts";
import type { PlaceSets } from "./place-sets.ts";
import type { Segments } from "./segments.ts";
import type { Source, Sources } from "./sources.ts";

/** What the tables' slots take for each record on average: 5 bytes, of which some 3 in 5 are in use. */
const SLOT_BYTES = 9;
/** And just after segments were split, which all have in common that are filled together. */
const MOST_SLOT_BYTES = 11;

/** One part of so many of the memory is kept for blocks that wait, or else a full index would never let one wait. */
const ORPHANS_SHARE = 32;
/** Likewise for crowds: once the records have all the rest, blocks that many hold would stay lists. */
const CROWDS_SHARE = 64;

// What is on the heap, on Node 20: a source, a context, a belief, a set of places of its own. The last, an adapter of
// blocks that wait, is estimated and not measured.
const SOURCE_BYTES = 1750;
const CONTEXT_BYTES = 1300;
const BELIEF_BYTES = 360;
const OWN_PLACES_BYTES = 200;
const LORA_BYTES = 200;

/** The parts of an index that take memory. */
interface Parts {
  readonly contexts: Contexts;
  readonly sources: Sources;
  readonly blocks: Blocks;
  readonly holdings: Holdings;
  readonly holders: Holders;
  readonly orphans: OrphanRecords;
}

/** What an index takes of memory, and whether it may take more. */
export class IndexMemory {
  readonly #parts: Parts;
  readonly #segments: Segments;
  readonly #sets: PlaceSets;
  readonly #maxBytes: number;
  /** What contexts and sources took when that was looked at last. */
  #restBytes = 0;

  constructor(parts: Parts, segments: Segments, sets: PlaceSets, maxBytes: number) {
    this.#parts = parts;
    this.#segments = segments;
    this.#sets = sets;
    this.#maxBytes = maxBytes;
  }

  /** Memory that all of it takes. In time in proportion to the number of contexts and sources. */
  get bytes(): number {
    const { contexts, sources, orphans } = this.#parts;
    let bytes = (this.#sets.ownSize + orphans.ownPlaceSets) * OWN_PLACES_BYTES + orphans.loras * LORA_BYTES;
    for (const context of contexts.all()) {
      bytes += CONTEXT_BYTES + context.bytes + context.speculative.size * BELIEF_BYTES;
    }
    for (const source of sources.all()) bytes += bytesBeside(source);
    for (const source of sources.leaving) bytes += bytesBeside(source);
    this.#restBytes = bytes;
    return this.#recordBytes + this.#segments.bytes + this.#parts.holders.bytes + bytes;
  }

  /** Memory for what the source alone has: its names, and what waits. */
  bytesOf(source: Source): number {
    const { holdings, orphans } = this.#parts;
    const perName = 4 * holdings.records.words + SLOT_BYTES;
    const { size, parents } = source.orphans;
    return source.names.size * perName + size * orphans.bytesEach + (size + parents) * SLOT_BYTES;
  }

  /** Whether the next block and the next holding may take memory that was not used before. */
  get mayGrow(): boolean {
    const { blocks, holdings, holders, orphans } = this.#parts;
    const forOrphans = Math.max(0, this.#orphansShare - orphans.bytes);
    const forCrowds = Math.max(0, this.#maxBytes / CROWDS_SHARE - holders.bytes);
    return this.#fits(blocks.records.growth + holdings.records.growth + forOrphans + forCrowds);
  }

  /** Whether there is room for one more block that waits. */
  get mayWait(): boolean {
    const { bytes, growth, size } = this.#parts.orphans;
    return growth === 0 || size === 0 || bytes + growth <= this.#orphansShare || this.#fits(growth);
  }

  /** Whether there is room for one more crowd, by what contexts and sources took a moment ago: asked for any block that many hold. */
  get mayGather(): boolean {
    const { bytes } = this.#parts.holders;
    if (bytes <= this.#maxBytes / CROWDS_SHARE) return true;
    return this.#recordBytes + this.#segments.bytes + bytes + this.#restBytes <= this.#maxBytes;
  }

  /** Records of blocks that wait may always take so many bytes; `mayGrow` leaves them. */
  get #orphansShare(): number {
    return this.#maxBytes / ORPHANS_SHARE;
  }

  get #recordBytes(): number {
    const { blocks, holdings, orphans } = this.#parts;
    return blocks.records.bytes + holdings.records.bytes + orphans.bytes;
  }

  /** Whether the bound holds when records grow by so much, with their slots. */
  #fits(growth: number): boolean {
    const records = this.#recordBytes + growth;
    const slots = (records / (4 * this.#parts.holdings.records.words)) * MOST_SLOT_BYTES;
    const segments = Math.max(0, slots - this.#segments.bytes) + this.#segments.growth;
    return this.bytes + growth + segments <= this.#maxBytes;
  }
}

/** Of what a source has beside its records and their slots. */
function bytesBeside(source: Source): number {
  return SOURCE_BYTES + source.names.bytes + source.orphans.bytes;
}
