import fc from "fast-check";
import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import { PackedBatch, packEvent } from "../../src/events/packed-batch.ts";
import type { BlockSource } from "../../src/indexer/indexer.ts";
import { removed, source, stored } from "./support.ts";

/** A step of an engine: some blocks of one of a few prompts, stored or removed. */
export interface Step {
  readonly of: BlockSource;
  readonly event: BlockStored | BlockRemoved;
}

export const SOURCES: readonly BlockSource[] = [source("a"), source("b"), source("a", 1)];

/** Token `i` of a prompt; prompts part from each other at different blocks. */
function token(prompt: number, i: number): number {
  return i < 40 * prompt ? i : 1_000 * prompt + i;
}

/** A block has one token. */
export function tokensOf(prompt: number, from: number, to: number): Uint32Array {
  return Uint32Array.from({ length: to - from }, (_, i) => token(prompt, from + i));
}

/** The same name for the same prefix, or, of a broken engine, one of few. */
function nameOf(prompt: number, block: number, isBroken: boolean): bigint {
  return isBroken ? BigInt(block % 7) : BigInt(token(prompt, block)) + 1n;
}

export const step: fc.Arbitrary<Step> = fc
  .record({
    of: fc.constantFrom(...SOURCES),
    prompt: fc.nat({ max: 3 }),
    from: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat({ max: 160 }) }),
    count: fc.nat({ max: 200 }),
    isStored: fc.boolean(),
    isBroken: fc.nat({ max: 9 }).map((number) => number === 0),
    medium: fc.constantFrom(null, null, null, "CPU"),
  })
  .map(({ of, prompt, from, count, isStored, isBroken, medium }) => {
    const names = Array.from({ length: count }, (_, i) => nameOf(prompt, from + i, isBroken));
    const parent = from === 0 ? null : nameOf(prompt, from - 1, isBroken);
    const event = isStored
      ? stored(names, parent, tokensOf(prompt, from, from + count), { blockSize: 1, medium })
      : removed(isBroken ? [...names, ...names] : names.reverse(), { medium });
    return { of, event };
  });

/** More blocks than have room in plain memory: the records of an index that had them once are for good where `WasmRecords` works. */
export const MANY_BLOCKS: readonly (BlockStored | BlockRemoved)[] = ((): (BlockStored | BlockRemoved)[] => {
  const names = Array.from({ length: 5_000 }, (_, i) => BigInt(100_000 + i));
  return [stored(names, null, tokensOf(50, 0, names.length), { blockSize: 1 }), removed(names)];
})();

export function packed(events: readonly (BlockStored | BlockRemoved)[]): PackedBatch {
  const batch = new PackedBatch();
  for (const event of events) packEvent(batch, event);
  return batch;
}
