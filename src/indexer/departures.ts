import type { Context } from "./context.ts";
import type { HolderIndex } from "./holder-index.ts";
import { MAX_SEGMENT_SLOTS } from "./slots.ts";
import type { Source } from "./sources.ts";

/**
 * Holdings that the step which clears a source may take out, or one that needs the room: some 50 µs, and a few
 * milliseconds as long as the code is not compiled.
 */
export const AT_ONCE = 256;
/** And any other step, so that no event waits for it. */
export const WITH_A_STEP = 64;

/** So many holdings are looked at together, before any of them is taken out. */
const RUN = 64;

/** Records that are neighbours: so many, from each multiple of that on. */
const NEIGHBOURS = 64;

/** What a name whose holding is gone already takes of the time of one that is taken out. */
const GONE_SHARE = 1 / 8;

/**
 * Takes out what sources that have left held (`Sources.leaving`), some of it at a time, the first one to leave first. As
 * long as they have anything they stand as holders beside the others, hidden, under a number of their own.
 *
 * Their names come in the order of hashes, in which everything would be far from what came before. What was stored
 * together stands in one record after the other as a rule: with each name its neighbours go, and their names are found
 * to be gone later. Who takes the records next has them in order again, so that what follows each other in a prompt is
 * found as soon as before.
 */
export class Departures {
  readonly #index: HolderIndex;
  readonly #defer: (step: () => void) => void;
  #isDeferred = false;
  /** Of the first source, what the part of its names had that was read last: holdings, some of which may be gone. */
  readonly #named = new Int32Array(MAX_SEGMENT_SLOTS);
  #namedCount = 0;
  // Holdings that are taken out together, and their blocks.
  readonly #run = new Int32Array(RUN + NEIGHBOURS);
  readonly #blocks = new Int32Array(RUN + NEIGHBOURS);
  /** The first number of each neighbourhood among them. */
  readonly #gathered = new Int32Array(RUN);
  #neighbourhoods = 0;
  /** Never read: see `HashTable.touch`. */
  #touched = 0;

  constructor(index: HolderIndex, defer: (step: () => void) => void) {
    this.#index = index;
    this.#defer = defer;
  }

  /** To be called when a source has left. */
  begin(): void {
    this.work(AT_ONCE);
    if (this.#isDeferred || !this.#index.hasWork) return;
    this.#isDeferred = true;
    this.#defer(() => {
      this.#isDeferred = false;
      this.begin();
    });
  }

  /** `limit`: holdings, or blocks that wait. */
  work(limit: number): void {
    const { sources } = this.#index;
    let left = limit;
    for (let source = sources.leaving[0]; source !== undefined && left > 0; source = sources.leaving[0]) {
      const done = this.#workAt(source, Math.ceil(left));
      if (done === 0) sources.left();
      left -= done;
    }
  }

  /** Returns what was done of the limit; 0 where nothing of the source is left. */
  #workAt(source: Source, limit: number): number {
    if (this.#namedCount === 0) this.#namedCount = source.names.drain(this.#named);
    if (this.#namedCount === 0) return source.orphans.shrinkTo(Math.max(0, source.orphans.size - limit));
    const before = this.#namedCount;
    const count = this.#gather(source.number, Math.min(RUN, limit));
    this.#touch(count);
    for (let i = 0; i < count; i++) this.#index.discard(source, this.#run[i]!);
    return count + (before - this.#namedCount) * GONE_SHARE;
  }

  /** Takes names until there are so many holdings or some more, or no names; returns how many holdings there are. */
  #gather(source: number, limit: number): number {
    const { holdings } = this.#index;
    const run = this.#run;
    let count = 0;
    this.#neighbourhoods = 0;
    while (count < limit && this.#namedCount > 0) {
      const named = this.#named[--this.#namedCount]!;
      if (!holdings.isOf(named, source) || this.#isGathered(named)) continue;
      const first = named - (named % NEIGHBOURS);
      this.#gathered[this.#neighbourhoods++] = first;
      // The highest first: what was given back last is taken first.
      for (let holding = first + NEIGHBOURS - 1; holding >= first; holding--) {
        if (holdings.isOf(holding, source)) run[count++] = holding;
      }
    }
    return count;
  }

  #isGathered(holding: number): boolean {
    const first = holding - (holding % NEIGHBOURS);
    for (let i = 0; i < this.#neighbourhoods; i++) if (this.#gathered[i] === first) return true;
    return false;
  }

  /** Asks the memory for what taking them out will look at. */
  #touch(count: number): void {
    const { holdings, blocks, holders, contexts } = this.#index;
    const run = this.#run;
    const held = this.#blocks;
    let touched = 0;
    for (let i = 0; i < count; i++) held[i] = holdings.block(run[i]!);
    for (let i = 0; i < count; i++) touched ^= blocks.holders(held[i]!);
    let number = 0;
    let context: Context | undefined;
    for (let i = 0; i < count; i++) {
      const block = held[i]!;
      if (blocks.context(block) !== number) {
        number = blocks.context(block);
        context = contexts.numbered(number);
      }
      // Nobody else may hold it, and it is taken out of its table, too.
      if (holders.list(block) !== run[i]) touched ^= holders.touch(block);
      else if (!blocks.follows(block)) touched ^= context!.touch(blocks.low(block), blocks.high(block));
    }
    this.#touched ^= touched;
  }
}
