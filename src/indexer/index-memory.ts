import type { Blocks } from "./blocks.ts";
import type { Context, Contexts } from "./context.ts";
import { mostCrowdBytes } from "./crowd.ts";
import type { Holders } from "./holders.ts";
import { type Holdings, MAX_SOURCE } from "./holdings.ts";
import type { OrphanRecords } from "./orphan-records.ts";
import type { PlaceSets } from "./place-sets.ts";
import type { Segments } from "./segments.ts";
import { MAX_SEGMENT_SLOTS } from "./slots.ts";
import type { Source, Sources } from "./sources.ts";

/** What the tables' slots take for each record on average: 8 bytes, of which some 3 in 5 are in use. */
const SLOT_BYTES = 13;
/** And just after segments were split, which all have in common that are filled together. */
const MOST_SLOT_BYTES = 15;
/** Slots for each record of a table then, at most: before, they were half as many. */
const MOST_SLOTS = 2;
/** What the entries of directories take for each segment, at most. */
const ENTRY_BYTES = 16;

// Records and segments give no memory back, so that what comes later would find none left. One part of so many is kept
// for blocks that wait, or else a full index would never let one wait; for crowds, or else blocks that many hold would
// stay lists; and for sources and contexts that come when it is full. Small indexes keep more for these: they are for few
// pods, and not for one.
const ORPHANS_SHARE = 32;
const CROWDS_SHARE = 64;
const SOURCES_SHARE = 64;
const FIRST_SOURCES_SHARE = 16;
const FIRST_SOURCES_BYTES = 2 ** 17;
/** One part of so many is the most that records of blocks that wait take, or else they would leave none for others. */
const MOST_ORPHANS_SHARE = 3;

/** A block that waits has one for its name, and at most one for its parent's. */
const SLOTS_OF_ORPHAN = 2;

/** Segments that are free before a block is held, or waits: one for each of its tables. */
const SEGMENTS = 2;
/** And before it is held, one that is left to what waits. */
const SEGMENTS_TO_WAIT = 1;

/** Far from the bound so many blocks are granted at once. */
const GRANTED = 64;

// What is on the heap, on Node 20: a source, a context, a belief, a set of places of its own. The last, an adapter of
// blocks that wait, is estimated and not measured.
const SOURCE_BYTES = 1750;
const CONTEXT_BYTES = 1250;
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

/** What an index takes of memory, and whether it may take more: asked for each block, so in the same little time. */
export class IndexMemory {
  readonly #parts: Parts;
  readonly #segments: Segments;
  readonly #sets: PlaceSets;
  readonly #maxBytes: number;
  /** When they were counted last: by whom they are told, and where there seems to be no memory. */
  #beliefs = 0;
  /** So many blocks may still be held without asking. */
  #granted = 0;

  constructor(parts: Parts, segments: Segments, sets: PlaceSets, maxBytes: number) {
    this.#parts = parts;
    this.#segments = segments;
    this.#sets = sets;
    this.#maxBytes = maxBytes;
  }

  /** Memory that all of it takes. In time in proportion to the number of contexts. */
  get bytes(): number {
    this.#countBeliefs();
    return this.#bytes;
  }

  /** Memory for what the source alone has: its names, and what waits. */
  bytesOf(source: Source): number {
    const { holdings, orphans } = this.#parts;
    const perName = 4 * holdings.records.words + SLOT_BYTES;
    const { size, parents } = source.orphans;
    return source.names.size * perName + size * orphans.bytesEach + (size + parents) * SLOT_BYTES;
  }

  /** Whether there is room for one more block that the source holds, if need be in memory that was not used before. */
  mayHold(source: Source, context: Context): boolean {
    const { blocks, holdings, orphans } = this.#parts;
    const records = blocks.records.growth + holdings.records.growth;
    if (records === 0 && source.isKept && context.isKept) {
      if (this.#granted === 0 && this.mayHoldAll(GRANTED)) this.#granted = GRANTED;
      if (this.#granted > 0) {
        this.#granted--;
        return true;
      }
    }
    const forOrphans = Math.max(0, this.#maxBytes / ORPHANS_SHARE - orphans.bytes);
    const objects = (source.isKept ? 0 : SOURCE_BYTES) + (context.isKept ? 0 : CONTEXT_BYTES);
    return this.#mayGrow(records, SEGMENTS_TO_WAIT, objects, forOrphans);
  }

  /**
   * Whether there surely is room for so many blocks of a source and a context that are known, in the records that there are:
   * each may be in places of its own, widen a crowd, and split a segment of both tables.
   */
  mayHoldAll(count: number): boolean {
    this.#granted = 0;
    const added = 2 * this.#segments.directoryBytes + count * this.#stepBytes;
    const fits = this.#fits(0, SEGMENTS * count, SEGMENTS_TO_WAIT, added, 0);
    if (fits) this.#segments.isScarce = false;
    return fits;
  }

  /** Whether there is room for one more block of the source that waits. */
  mayWait(source: Source): boolean {
    const { bytes, growth } = this.#parts.orphans;
    if (growth > 0 && bytes + growth > this.#maxBytes / MOST_ORPHANS_SHARE) return false;
    this.#granted = 0;
    return this.#mayGrow(growth, 0, source.isKept ? 0 : SOURCE_BYTES, 0);
  }

  /** Whether there is room for one more crowd. */
  get mayGather(): boolean {
    const { holders, sources } = this.#parts;
    this.#granted = 0;
    const isShare = holders.bytes <= this.#maxBytes / CROWDS_SHARE;
    const forSources = isShare ? 0 : Math.max(0, this.#sourcesShare - this.#besideBytes);
    const objects = SOURCE_BYTES + CONTEXT_BYTES + mostCrowdBytes(sources.numbers);
    return this.#bytes + forSources + objects + this.#growthWithListing(0, 0) <= this.#maxBytes;
  }

  get #bytes(): number {
    return this.#recordBytes + this.#segments.bytes + this.#parts.holders.bytes + this.#besideBytes;
  }

  get #recordBytes(): number {
    const { blocks, holdings, orphans } = this.#parts;
    return blocks.records.bytes + holdings.records.bytes + orphans.bytes;
  }

  /** What the slots of all records that there are take at most. */
  get #mostSlotBytes(): number {
    const { blocks, holdings, orphans } = this.#parts;
    const held = blocks.records.bytes / blocks.records.words + holdings.records.bytes / holdings.records.words;
    return MOST_SLOT_BYTES * (held / 4 + (SLOTS_OF_ORPHAN * orphans.bytes) / orphans.bytesEach);
  }

  /** All but records, segments and crowds. */
  get #besideBytes(): number {
    const { contexts, sources, orphans } = this.#parts;
    return (
      (sources.size + sources.leaving.length) * SOURCE_BYTES +
      contexts.size * CONTEXT_BYTES +
      this.#beliefs * BELIEF_BYTES +
      (this.#sets.ownSize + orphans.ownPlaceSets) * OWN_PLACES_BYTES +
      orphans.loras * LORA_BYTES +
      this.#segments.directoryBytes
    );
  }

  get #sourcesShare(): number {
    const share = this.#maxBytes / SOURCES_SHARE + Math.min(this.#maxBytes / FIRST_SOURCES_SHARE, FIRST_SOURCES_BYTES);
    return Math.min(share, MAX_SOURCE * SOURCE_BYTES);
  }

  /**
   * What one block may add besides records, segments and their directories, its source and its context, at most: it is in
   * places that nothing else is in, and widens a crowd.
   */
  get #stepBytes(): number {
    const { holders, sources } = this.#parts;
    const crowd = holders.bytes === 0 ? 0 : mostCrowdBytes(sources.numbers);
    return OWN_PLACES_BYTES + LORA_BYTES + crowd;
  }

  /**
   * Segments that stay free for blocks that follow (`Blocks`), since a removal may put them into tables, and cannot be
   * refused: one for each, or if that is less, as many as hold all of them after the tables of the other blocks have
   * doubled.
   */
  get #segmentsToList(): number {
    const { size, following } = this.#parts.blocks;
    return Math.min(following, Math.ceil((MOST_SLOTS * (size + following)) / 2 / MAX_SEGMENT_SLOTS));
  }

  /** What so many segments take, and all that may be needed for those that follow, which may be what is left otherwise. */
  #growthWithListing(segments: number, left: number): number {
    const toList = this.#segmentsToList;
    const directories = toList === 0 ? 0 : 3 * this.#segments.directoryBytes + toList * ENTRY_BYTES;
    return this.#segments.growthFor(segments + Math.max(left, toList)) + directories;
  }

  /**
   * Whether the bound holds after one more block, for which records grow by so much, and so many bytes of objects come, so
   * many segments and bytes of records being left to what waits.
   */
  #mayGrow(records: number, left: number, objects: number, forOrphans: number): boolean {
    const added = objects + this.#segments.directoryBytes + this.#stepBytes;
    if (records > 0) this.#countBeliefs();
    let fits = this.#fits(records, SEGMENTS, left, added, forOrphans);
    if (!fits) {
      this.#countBeliefs();
      fits = this.#fits(records, SEGMENTS, left, added, forOrphans);
    }
    this.#segments.isScarce = !fits && this.#segments.growthFor(SEGMENTS + left) > 0;
    return fits;
  }

  /** Likewise, with so many segments; where records or segments grow, with what shares and slots will need. */
  #fits(records: number, count: number, left: number, added: number, forOrphans: number): boolean {
    if (this.#bytes + records + this.#growthWithListing(count, left) + added > this.#maxBytes) return false;
    const segments = this.#segments.growthFor(count + left);
    if (records + segments === 0) return true;
    const { holdings, orphans } = this.#parts;
    const newSlots = (MOST_SLOT_BYTES * records) / (4 * holdings.records.words);
    const forSlots = records === 0 ? 0 : this.#mostSlotBytes + newSlots + this.#segments.growth;
    const slots = Math.max(this.#segments.bytes + segments, forSlots);
    const beside = Math.max(this.#besideBytes + added, this.#sourcesShare);
    const crowds = Math.max(this.#parts.holders.bytes, this.#maxBytes / CROWDS_SHARE);
    const forWaiting = forOrphans * (1 + (SLOTS_OF_ORPHAN * MOST_SLOT_BYTES) / orphans.bytesEach);
    return this.#recordBytes + records + slots + forWaiting + beside + crowds <= this.#maxBytes;
  }

  #countBeliefs(): void {
    this.#beliefs = 0;
    for (const context of this.#parts.contexts.all()) this.#beliefs += context.speculative.size;
  }
}
