import type { BlockRun } from "./block-run.ts";
import { BLOCK_BITS } from "./blocks.ts";
import type { MemoryRange } from "./growing-memory.ts";
import { Records } from "./records.ts";
import type { WasmRecords } from "./wasm-records.ts";

// Words of a holding's record, after the two of the engine's hash.
const PROOF = 2;
const BLOCK = 3;
const NEXT = 4;
const WORDS = 5;

const BLOCK_MASK = (1 << BLOCK_BITS) - 1;
const NEXT_BITS = 27;
const NEXT_MASK = (1 << NEXT_BITS) - 1;
const PROOF_BITS = 24;
const PROOF_MASK = (1 << PROOF_BITS) - 1;
/** What stands for the name of the block before where there is none. Signed, or V8 would count in floating point. */
const NO_PARENT = 0x9e37_79b9 | 0;

/** Highest number of a holding: as many have room beside all blocks (`WasmRecords`). It takes 27 bits. */
const MAX_HOLDING = 120_000_000;

/** Highest number of a source: it takes 13 bits, in what is left of two words. */
export const MAX_SOURCE: number = (1 << (32 - NEXT_BITS + 32 - PROOF_BITS)) - 1;

/**
 * What sources hold: a source's name for a block, and where the block lies there. A holding is a number; it is in its
 * source's table by name, and in its block's list of holders, as long as it is in use.
 */
export class Holdings {
  readonly records: Records;

  /** `home`: see `GrowingMemory`. */
  constructor(home?: () => MemoryRange | null) {
    this.records = new Records(WORDS, MAX_HOLDING, home);
  }

  get size(): number {
    return this.records.size;
  }

  low(holding: number): number {
    return this.records.data[this.records.at(holding)]!;
  }

  high(holding: number): number {
    return this.records.data[this.records.at(holding) + 1]!;
  }

  block(holding: number): number {
    return this.records.data[this.records.at(holding) + BLOCK]! & BLOCK_MASK;
  }

  /** Number of its set of places (`PlaceSets`). */
  places(holding: number): number {
    return this.records.data[this.records.at(holding) + BLOCK]! >>> BLOCK_BITS;
  }

  setPlaces(holding: number, places: number): void {
    const words = this.records.data;
    const at = this.records.at(holding) + BLOCK;
    words[at] = (words[at]! & BLOCK_MASK) | (places << BLOCK_BITS);
  }

  source(holding: number): number {
    const words = this.records.data;
    const at = this.records.at(holding);
    return sourceOf(words[at + PROOF]!, words[at + NEXT]!);
  }

  /** See `proofOf`. */
  proof(holding: number): number {
    return this.records.data[this.records.at(holding) + PROOF]! & PROOF_MASK;
  }

  setProof(holding: number, proof: number): void {
    const words = this.records.data;
    const at = this.records.at(holding) + PROOF;
    words[at] = (words[at]! & ~PROOF_MASK) | proof;
  }

  /** The next one in its block's list; 0 at the end. */
  next(holding: number): number {
    return this.records.data[this.records.at(holding) + NEXT]! & NEXT_MASK;
  }

  setNext(holding: number, next: number): void {
    const words = this.records.data;
    const at = this.records.at(holding) + NEXT;
    words[at] = (words[at]! & ~NEXT_MASK) | next;
  }

  /** Whether the list from this one on has nothing of the source, and less than so many. */
  isShortWithout(first: number, source: number, most: number): boolean {
    const words = this.records.data;
    const other = source | 0;
    let length = 1;
    for (let holding = first | 0; holding !== 0; length++) {
      const at = Math.imul(holding, WORDS);
      const next = words[at + NEXT]!;
      if (sourceOf(words[at + PROOF]!, next) === other || length >= most) return false;
      holding = next & NEXT_MASK;
    }
    return true;
  }

  /** In no list yet, with its places still to be set; 0 where there is no number left. */
  create(source: number, low: number, high: number, proof: number, block: number): number {
    const holding = this.records.take();
    if (holding === 0) return 0;
    const words = this.records.data;
    const at = this.records.at(holding);
    words[at] = low;
    words[at + 1] = high;
    words[at + PROOF] = proof | ((source >>> (32 - NEXT_BITS)) << PROOF_BITS);
    words[at + BLOCK] = block;
    words[at + NEXT] = source << NEXT_BITS;
    return holding;
  }

  /**
   * The same for the names of a run from number `from` to before `to`, with their proofs, and in these places. There is room
   * for all of them. Their blocks are still to be set.
   */
  createAll(source: number, run: BlockRun, places: number, from: number, to: number): void {
    const upper = (source >>> (32 - NEXT_BITS)) << PROOF_BITS;
    const lower = source << NEXT_BITS;
    const set = places << BLOCK_BITS;
    const { names, proofs, holdings: into, wasm } = run;
    const { records } = this;
    if (wasm !== null) {
      wasm.steps.createHoldings(from, to, upper, lower, set, records.firstFree, records.firstNew);
      records.tookAll(to - from, wasm.firstFree, wasm.firstNew);
      return;
    }
    const words = records.data;
    records.takeAll(into, from, to);
    const end = to | 0;
    for (let i = from | 0; i < end; i++) {
      const at = Math.imul(into[i]!, WORDS);
      words[at] = names[2 * i]!;
      words[at + 1] = names[2 * i + 1]!;
      words[at + PROOF] = proofs[i]! | upper;
      words[at + BLOCK] = set;
      words[at + NEXT] = lower;
    }
  }

  /** Of new ones, from number `from` to before `to`. */
  setBlocks({ holdings, blocks }: BlockRun, from: number, to: number): void {
    const words = this.records.data;
    const end = to | 0;
    for (let i = from | 0; i < end; i++) words[Math.imul(holdings[i]!, WORDS) + BLOCK]! |= blocks[i]!;
  }

  /** Whether it is in use, and that source's under this name. One that has lost its number, 0, has none. */
  is(holding: number, source: number, low: number, high: number): boolean {
    if (source === 0) return false;
    const { data } = this.records;
    const at = this.records.at(holding);
    return data[at] === low && data[at + 1] === high && this.source(holding) === source;
  }

  /** Whether there is such a record, in use as one of that source; of 0 there is none. */
  isOf(holding: number, source: number): boolean {
    return source !== 0 && this.records.at(holding) < this.records.data.length && this.source(holding) === source;
  }

  /**
   * Takes the holdings of a run from number `from` to before `to`, 0 for none, out of the lists of their blocks: up to one that
   * lies elsewhere than in these places, or whose block has a crowd. What nobody holds any more comes to the run's blocks, from
   * number `forgotten` on. Returns the number behind the last one.
   */
  releaseAll(wasm: WasmRecords, source: number, places: number, from: number, to: number, forgotten: number): number {
    const { records } = this;
    const end = wasm.steps.release(from, to, source, places << BLOCK_BITS, forgotten, records.firstFree);
    records.tookAll(-wasm.released, wasm.firstFree, records.firstNew);
    return end;
  }

  free(holding: number): void {
    const { data } = this.records;
    const at = this.records.at(holding);
    // No source has the number 0.
    data[at + PROOF] = 0;
    data[at + NEXT] = 0;
    this.records.give(holding);
  }
}

/** What is left of these two words of a holding. */
function sourceOf(proof: number, next: number): number {
  return ((proof >>> PROOF_BITS) << (32 - NEXT_BITS)) | (next >>> NEXT_BITS);
}

/**
 * 24 bits that tell a block which an engine calls by a known name from another one, where the block before it is known
 * no more: of the engine's name for that, and of the block's local hash.
 */
export function proofOf(
  hasParent: boolean,
  parentLow: number,
  parentHigh: number,
  localLow: number,
  localHigh: number,
): number {
  let mixed = hasParent ? Math.imul(parentLow ^ localHigh, 0x85ebca6b) ^ Math.imul(parentHigh, 0xc2b2ae35) : NO_PARENT;
  mixed = Math.imul(mixed ^ (mixed >>> 15) ^ localLow, 0x27d4eb2f);
  mixed = Math.imul(mixed ^ (mixed >>> 13) ^ localHigh, 0x165667b1);
  return (mixed ^ (mixed >>> 16)) & PROOF_MASK;
}
