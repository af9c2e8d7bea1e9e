import type { BlockRun, HashedBlocks } from "./block-run.ts";
import { Blocks } from "./blocks.ts";
import { Bounds } from "./bounds.ts";
import { type Context, Contexts } from "./context.ts";
import { AT_ONCE, Departures, WITH_A_STEP } from "./departures.ts";
import { HashTable } from "./hash-table.ts";
import { Holders } from "./holders.ts";
import { Holdings } from "./holdings.ts";
import { IndexMemory } from "./index-memory.ts";
import { OrphanRecords } from "./orphan-records.ts";
import { type AnnouncedBlock, Orphans } from "./orphans.ts";
import { OWN_PLACES, type PlaceSet, PlaceSets, withoutPlace, withPlace } from "./place-sets.ts";
import type { Place } from "./places.ts";
import type { Records } from "./records.ts";
import { Segments } from "./segments.ts";
import { type Source, Sources } from "./sources.ts";
import type { ResolvedTableOptions } from "./table-options.ts";
import { WasmRecords } from "./wasm-records.ts";

/** So many of a prompt's next blocks are asked of the memory together. */
const TOUCHED_AHEAD = 16;

/** Fewer are mentioned sooner where they are than when they are copied. */
const MIN_MENTIONED = 32;

/** One name is normal; a broken engine must not make a block's list long, which every match reads. The oldest goes. */
const MAX_NAMES = 16;

/**
 * Blocks and their holders, found from both sides: by chained hash within a context, and by engine hash within a
 * source. Keeps the two sides equal, the bounds kept and no empty table behind; what events mean is not decided here.
 * Blocks and holdings are numbers, 0 for none.
 */
export class HolderIndex {
  readonly contexts: Contexts;
  readonly sources: Sources;
  readonly blocks: Blocks;
  readonly holdings: Holdings;
  readonly holders: Holders;
  readonly orphans: OrphanRecords;
  readonly memory: IndexMemory;
  readonly bounds: Bounds;
  readonly #departures: Departures;
  readonly #segments = new Segments();
  readonly #sets: PlaceSets;
  readonly #options: ResolvedTableOptions;
  /** Reading the clock for each block would cost as much as hashing it. */
  readonly expires: boolean = false;
  /** (block, source) pairs. */
  #pairs = 0;
  /** The block that was given a holder last; 0 where it was forgotten. */
  #lastHeld = 0;
  /** Never read: see `HashTable.touch`. */
  #touched = 0;
  #wasm: WasmRecords | null | undefined;

  constructor(options: ResolvedTableOptions) {
    this.#options = options;
    this.expires = options.entryTtlMs < Number.POSITIVE_INFINITY;
    this.#sets = new PlaceSets(options.tierWeights);
    this.blocks = new Blocks(this.expires, () => this.#openWasm()?.blocks ?? null);
    this.holdings = new Holdings(() => this.#openWasm()?.holdings ?? null);
    this.holders = new Holders(this.blocks, this.holdings, this.#sets, () => this.memory.mayGather);
    // Not the hash seed itself: what orders slots must not be what names blocks.
    const secret = Number(BigInt.asUintN(32, (options.seed * 0x9e37_79b9_7f4a_7c15n) >> 17n));
    this.contexts = new Contexts(() => new HashTable(this.blocks.records, this.#segments, secret));
    this.orphans = new OrphanRecords(options.tierWeights);
    const newTable = (records: Records): HashTable => new HashTable(records, this.#segments, secret);
    this.sources = new Sources(
      () => newTable(this.holdings.records),
      () => new Orphans(this.orphans, newTable),
    );
    this.memory = new IndexMemory(this, this.#segments, this.#sets, options.maxBytes);
    this.bounds = new Bounds(this, options);
    this.#departures = new Departures(this, options.defer);
  }

  /** Where the records of blocks and holdings are, if both are there. */
  get wasm(): WasmRecords | null {
    return this.blocks.records.isHome && this.holdings.records.isHome ? this.#wasm! : null;
  }

  /** (block, source) pairs, without those of sources that leave. */
  get pairs(): number {
    return this.#pairs;
  }

  now(): number {
    return this.#options.clock.now();
  }

  /** Begins an event: what is held from now on comes after nothing. */
  begin(): void {
    this.#lastHeld = 0;
    this.bounds.begin();
  }

  /** A source's holding by the source's name for the block. */
  held(source: Source, blockSize: number, low: number, high: number): number {
    const holding = source.names.find(blockSize, low, high);
    if (holding === 0 || !this.expires) return holding;
    const block = this.holdings.block(holding);
    if (!this.isExpired(block)) return holding;
    this.drop(block);
    return 0;
  }

  /** The same, sooner where it is what the source spoke of last: events go on with their prompt as a rule. */
  heldLately(source: Source, blockSize: number, low: number, high: number): number {
    const last = source.lastHolding;
    if (last === 0 || this.expires || !this.holdings.is(last, source.number, low, high)) {
      return this.held(source, blockSize, low, high);
    }
    return this.contextOf(this.holdings.block(last)).blockSize === blockSize
      ? last
      : this.held(source, blockSize, low, high);
  }

  /** The same under every block size. */
  allHeld(source: Source, low: number, high: number): number[] {
    const found: number[] = [];
    for (const blockSize of [...source.names.blockSizes]) {
      const holding = this.held(source, blockSize, low, high);
      if (holding !== 0) found.push(holding);
    }
    return found;
  }

  /** A block by its chained hash, and the block before it in its prompt; 0 where there is none of that. */
  find(context: Context, low: number, high: number, parent: number): number {
    const isNext = parent !== 0 && this.blocks.is(parent + 1, context.number, low, high);
    const block = isNext ? parent + 1 : context.find(low, high);
    if (block === 0 || !this.expires || !this.isExpired(block)) return block;
    this.drop(block);
    return 0;
  }

  /**
   * The blocks of the hashes from number `from` to before `to`, in the order of a prompt. What was stored one after the
   * other has one record after the other as a rule: that is tried before the table is asked, and has to be, since what
   * follows is not there (`Blocks`). `before`: what comes before them, 0 if nothing does that is held. Returns the number
   * behind the last one that was looked up: `to`, or where that is wanted (`untilMissing`) the number behind the first that is
   * missing.
   */
  findAll(
    context: Context,
    { hashes, blocks, wasm }: HashedBlocks,
    from: number,
    to: number,
    before: number = from === 0 ? 0 : blocks[from - 1]!,
    untilMissing: boolean = false,
  ): number {
    let touched = from;
    let asked = -2;
    let previous = before;
    for (let i = from; i < to; i++) {
      if (previous !== 0 && !this.expires) {
        if (wasm !== null) {
          const following = wasm.steps.findFollowing(previous, context.number, i, to);
          i += following;
          previous += following;
        } else {
          const following = this.blocks.countFollowing(previous, context.number, hashes, i, to);
          for (const end = i + following; i < end; i++) blocks[i] = ++previous;
        }
        if (i === to) return to;
      }
      if (previous !== 0 && asked === i - 1 && touched <= i) {
        touched = Math.min(to, i + TOUCHED_AHEAD);
        for (let at = i; at < touched; at++) this.#touched ^= context.touch(hashes[2 * at]!, hashes[2 * at + 1]!);
      }
      asked = i;
      previous = this.find(context, hashes[2 * i]!, hashes[2 * i + 1]!, previous);
      blocks[i] = previous;
      if (previous !== 0) continue;
      if (untilMissing) return i + 1;
      // Where one is missing, those behind it are as a rule, and what is there is in the table.
      const missing = context.countMissing(hashes, i + 1, to);
      blocks.fill(0, i + 1, i + 1 + missing);
      i += missing;
    }
    return to;
  }

  isExpired(block: number): boolean {
    return this.expires && this.now() - this.blocks.mentionedAtMs(block) >= this.#options.entryTtlMs;
  }

  contextOf(block: number): Context {
    return this.contexts.numbered(this.blocks.context(block));
  }

  sourceOf(holding: number): Source {
    return this.sources.numbered(this.holdings.source(holding));
  }

  /** See `PlaceSet`. */
  isPlain(holding: number): boolean {
    return this.#sets.isPlain(holding, this.holdings.places(holding));
  }

  placesOf(holding: number): PlaceSet {
    return this.#sets.of(holding, this.holdings.places(holding));
  }

  /**
   * From now on the source holds the block of this chained hash under this name, in these places (at least one). `parent`:
   * the block of the context that it is chained on, which may go to make room; 0 where there is none, or none that anybody
   * knows, and nothing follows (`Blocks.listAll`). Returns 0 where the bounds leave no room for it.
   */
  hold(
    source: Source,
    context: Context,
    nameLow: number,
    nameHigh: number,
    proof: number,
    low: number,
    high: number,
    places: readonly Place[],
    parent: number,
  ): number {
    const number = this.bounds.makeRoom(source, context) ? this.#numberOf(source) : 0;
    const block = number === 0 ? 0 : this.#blockOf(context, low, high, parent);
    const holding = block === 0 ? 0 : this.holdings.create(number, nameLow, nameHigh, proof, block);
    if (holding === 0) {
      if (block !== 0 && this.blocks.holders(block) === 0) this.#forget(block);
      this.bounds.evictedBlocks++;
      return 0;
    }
    this.#lastHeld = block;
    this.holdings.setPlaces(holding, this.#sets.keep(holding, places));
    source.names.add(context.blockSize, nameLow, nameHigh, holding);
    const names = this.holders.add(block, number, holding);
    if (names === 0) this.#count(source, 1);
    else if (names >= MAX_NAMES) this.release(source, this.holders.oldestName(block, number));
    return holding;
  }

  /** How many of so many blocks can be held together by `holdAll`: as many as have records, none where the bound is near. */
  roomFor(source: Source, context: Context, count: number): number {
    if (source.number === 0 || context.number === 0) return 0;
    const room = Math.min(count, this.blocks.records.room, this.holdings.records.room);
    return room > 0 && this.memory.mayHoldAll(room) ? room : 0;
  }

  /**
   * The same for the blocks of a run from number `from` to before `to`, the first of which comes after block `before`, 0 for
   * none; there is `roomFor` them, nothing of the source waits for them, and nothing is believed or expires. Returns how many,
   * which may be none: up to a name that the source has already, or that is there twice.
   */
  holdAll(
    source: Source,
    context: Context,
    run: BlockRun,
    from: number,
    to: number,
    places: readonly Place[],
    before: number,
  ): number {
    const { blocks, holdings, holders } = this;
    const { number } = source;
    const set = this.#sets.keepAgain(places, to - from);
    if (set < 0) return 0;
    holdings.createAll(number, run, set, from, to);
    const held = from + source.names.addAll(context.blockSize, run.names, run.holdings, from, to);
    // The last one first: who takes their records next has them in order.
    for (let i = to - 1; i >= held; i--) {
      this.#sets.forget(run.holdings[i]!, set);
      holdings.free(run.holdings[i]!);
    }
    if (held === from) return 0;
    this.findAll(context, run, from, held, before);
    let previous = before;
    for (let i = from; i < held; previous = run.blocks[i++]!) {
      if (run.blocks[i] !== 0) continue;
      let next = i + 1;
      while (next < held && run.blocks[next] === 0) next++;
      blocks.createAll(context, run, i, next, previous);
      i = next - 1;
    }
    if (run.wasm === null) holdings.setBlocks(run, from, held);
    let others = 0;
    for (let i = from; i < held; i++) {
      i += holders.addAll(run, number, i, held);
      if (i === held) break;
      const names = holders.add(run.blocks[i]!, number, run.holdings[i]!);
      if (names === 0) continue;
      others++;
      if (names >= MAX_NAMES) this.release(source, holders.oldestName(run.blocks[i]!, number));
    }
    this.#count(source, held - from - others);
    this.#lastHeld = run.blocks[held - 1]!;
    return held - from;
  }

  /** From now on the source holds nothing under this name. The source itself is settled by the caller. */
  release(source: Source, holding: number): void {
    const block = this.holdings.block(holding);
    const context = this.contextOf(block);
    source.names.remove(context.blockSize, this.holdings.low(holding), this.holdings.high(holding), holding);
    if (!this.#letGo(source, block, holding)) this.#count(source, -1);
    if (this.blocks.holders(block) === 0) this.#forget(block);
  }

  /**
   * The same for the holdings of a run from number `from` to before `to` under these names and this block size; 0 stands for
   * none, and one that is there twice counts once.
   */
  releaseAll(source: Source, blockSize: number, run: BlockRun, from: number, to: number): void {
    const { blocks, wasm } = run;
    source.names.removeAll(blockSize, run.names, run.holdings, from, to);
    this.#lastHeld = 0;
    let forgotten = from;
    for (let i = from; i < to; ) {
      const holding = run.holdings[i]!;
      const end = wasm === null || holding === 0 ? i : this.#releaseMany(wasm, source, run, i, to, forgotten);
      if (end > i) {
        forgotten = wasm!.forgotten;
        i = end;
        continue;
      }
      i++;
      if (holding === 0) continue;
      const block = this.holdings.block(holding);
      if (!this.#letGo(source, block, holding)) this.#count(source, -1);
      if (this.blocks.holders(block) === 0) blocks[forgotten++] = block;
    }
    // The highest first, whichever way the engine goes: none is put into the table to be taken out again, and who takes the
    // records next has them in order.
    if (forgotten > from && blocks[from]! < blocks[forgotten - 1]!) blocks.subarray(from, forgotten).reverse();
    for (let i = from; i < forgotten; ) {
      const context = this.contextOf(blocks[i]!);
      const end = wasm === null ? i : this.blocks.freeAll(wasm, context, i, forgotten);
      if (end > i) i = end;
      else this.#forget(blocks[i++]!);
    }
  }

  /** Returns the number behind the last one that was released: see `Holdings.releaseAll`. */
  #releaseMany(wasm: WasmRecords, source: Source, run: BlockRun, from: number, to: number, forgotten: number): number {
    const places = this.holdings.places(run.holdings[from]!);
    if (places === OWN_PLACES) return from;
    const end = this.holdings.releaseAll(wasm, source.number, places, from, to, forgotten);
    this.#sets.forgetAll(places, wasm.released);
    this.#count(source, -wasm.lost);
    return end;
  }

  /**
   * The source holds nothing any more, nothing of it waits, and nobody finds it: a new event of its engine opens another
   * one. What takes longer than a step is done by the following ones.
   */
  leave(source: Source): void {
    this.#count(source, -source.blocks);
    this.sources.leave(source);
    this.#departures.begin();
  }

  /** Whether there is still anything of sources that have left. */
  get hasWork(): boolean {
    return this.sources.leaving.length > 0;
  }

  /** Takes out about so many holdings of sources that have left, or blocks of them that wait; false where nothing was left. */
  work(limit: number = WITH_A_STEP): boolean {
    if (!this.hasWork) return false;
    this.#departures.work(limit);
    return true;
  }

  /** Takes a holding of a source that leaves out of everything but the source's names. */
  discard(source: Source, holding: number): void {
    const block = this.holdings.block(holding);
    this.#letGo(source, block, holding);
    if (this.blocks.holders(block) === 0) this.#forget(block);
  }

  /**
   * The block waits for its parent, or for its tokens, in these places, at least one, of an array that does not change
   * afterwards. Where the bounds leave no room for it, the source's oldest goes instead, or without any the block itself.
   * The source itself is settled by the caller.
   */
  wait(source: Source, block: AnnouncedBlock, places: readonly Place[]): void {
    const { orphans } = source;
    const all = orphans.claim(block, places);
    if (this.hasWork && !this.memory.mayWait(source)) this.#dropOrphansOfLeaving();
    if (!this.memory.mayWait(source) && orphans.size > 0)
      this.bounds.evictedBlocks += orphans.shrinkTo(orphans.size - 1);
    if (!this.memory.mayWait(source) || !orphans.add(block, all)) this.bounds.evictedBlocks++;
  }

  /** Nobody holds the block any more. */
  drop(block: number): void {
    const { blockSize } = this.contextOf(block);
    const emptied = new Set<Source>();
    for (const holding of this.holders.all(block)) {
      const source = this.sourceOf(holding);
      if (!source.isLeaving) {
        source.names.remove(blockSize, this.holdings.low(holding), this.holdings.high(holding), holding);
        emptied.add(source);
      }
      this.#sets.forget(holding, this.holdings.places(holding));
      this.holdings.free(holding);
    }
    this.holders.clear(block);
    for (const source of emptied) {
      this.#count(source, -1);
      this.sources.settle(source);
    }
    this.#forget(block);
  }

  /** The block lies in this place too. */
  addPlace(holding: number, place: Place): void {
    const number = this.holdings.places(holding);
    if (!this.#sets.has(holding, number, place))
      this.#setPlaces(holding, withPlace(this.placesOf(holding).places, place));
  }

  /** Whether the block lies nowhere else than in this place. */
  isOnlyIn(holding: number, place: Place): boolean {
    return withoutPlace(this.placesOf(holding).places, place).length === 0;
  }

  /** The block lies in this place no more; false where no place is left, and nothing has changed. */
  removePlace(holding: number, place: Place): boolean {
    const { places } = this.placesOf(holding);
    const rest = withoutPlace(places, place);
    if (rest.length === 0) return false;
    if (rest.length < places.length) this.#setPlaces(holding, rest);
    return true;
  }

  /** These blocks of one prompt, in its order, are in use. The deeper one counts as the older: without it, nothing else is lost. */
  mention(blocks: Int32Array, count: number = blocks.length): void {
    const { wasm } = this;
    if (wasm === null || count < MIN_MENTIONED || count > WasmRecords.mostBlocks) {
      this.#mention(blocks, 0, count, null);
      return;
    }
    wasm.columns.blocks.set(blocks.subarray(0, count));
    this.mentionRun(wasm, 0, count);
  }

  /** The same for the first blocks of a run, and the one that comes before, which is 0 where there is none. */
  mentionRun(wasm: WasmRecords, before: number, count: number): void {
    wasm.mentioned[0] = before;
    this.#mention(wasm.mentioned, before === 0 ? 1 : 0, count + 1, wasm);
  }

  #mention(blocks: Int32Array, from: number, to: number, wasm: WasmRecords | null): void {
    const nowMs = this.expires ? Math.floor(this.now()) : 0;
    let i = from;
    while (i < to) {
      const number = blocks[i] === 0 ? 0 : this.blocks.context(blocks[i]!);
      // One that is in use no more has no context.
      i = number === 0 ? i + 1 : this.blocks.mention(this.contexts.numbered(number), blocks, i, to, nowMs, wasm);
    }
  }

  #blockOf(context: Context, low: number, high: number, before: number): number {
    // To make room it may have been evicted.
    const parent = this.#isIn(context, before) ? before : 0;
    const block = this.find(context, low, high, parent);
    if (block !== 0) return block;
    const newer = this.#isIn(context, this.#lastHeld) ? this.#lastHeld : 0;
    this.contexts.number(context);
    return this.blocks.create(context, low, high, parent, newer, this.expires ? Math.floor(this.now()) : 0);
  }

  #isIn({ number }: Context, block: number): boolean {
    return block !== 0 && number !== 0 && this.blocks.context(block) === number;
  }

  #setPlaces(holding: number, places: readonly Place[]): void {
    const number = this.#sets.keep(holding, places);
    const before = this.holdings.places(holding);
    if (before !== OWN_PLACES || number !== OWN_PLACES) this.#sets.forget(holding, before);
    this.holdings.setPlaces(holding, number);
    this.holders.changed(this.holdings.block(holding), this.holdings.source(holding));
  }

  #count(source: Source, blocks: number): void {
    this.#pairs += blocks;
    source.blocks += blocks;
  }

  /** Not where blocks expire, of which no many are held together. */
  #openWasm(): WasmRecords | null {
    if (this.#wasm === undefined) this.#wasm = this.expires ? null : WasmRecords.open();
    return this.#wasm;
  }

  /** 0 where there is none left. */
  #numberOf(source: Source): number {
    let number = this.sources.number(source);
    while (number === 0 && this.work(AT_ONCE)) number = this.sources.number(source);
    return number;
  }

  /** The source's names know the holding still. Returns whether they have another one for its block. */
  #letGo(source: Source, block: number, holding: number): boolean {
    const hasOther = this.holders.remove(block, source.number, holding);
    this.#sets.forget(holding, this.holdings.places(holding));
    this.holdings.free(holding);
    return hasOther;
  }

  /** Of one that has any. */
  #dropOrphansOfLeaving(): void {
    const orphans = this.sources.leaving.find((source) => source.orphans.size > 0)?.orphans;
    orphans?.shrinkTo(Math.max(0, orphans.size - AT_ONCE));
  }

  #forget(block: number): void {
    if (block === this.#lastHeld) this.#lastHeld = 0;
    const context = this.contextOf(block);
    this.blocks.free(context, block);
    if (context.size === 0) this.contexts.dropIfEmpty(context);
  }
}
