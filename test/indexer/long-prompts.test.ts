import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { PodMatch } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { BLOCK_SIZE, MODEL, match, removed, source, stored, summary, tokens } from "./support.ts";

const LONGEST = 300;
const PODS = 30;

/** A prompt of so many blocks: the one that all begin with, and from block `fork` on another one. */
interface Path {
  readonly fork: number;
  readonly blocks: number;
}

/** Each says all that is before it. */
function numbersOf({ fork, blocks }: Path): number[] {
  return Array.from({ length: blocks }, (_, i) => (i < fork ? 1 + i : 1 + i + 1_000 * (1 + fork)));
}

const path = fc.record({
  fork: fc.oneof(fc.constant(LONGEST), fc.constantFrom(3, 4, 5, 20, 21, 50, 100, 150)),
  blocks: fc.integer({ min: 1, max: LONGEST }),
});
const pod = fc.nat({ max: PODS - 1 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("store" as const), pod, path }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("offload" as const), pod, path }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("store to all" as const), path }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("remove" as const),
      pod,
      path,
      from: fc.nat({ max: LONGEST }),
      count: fc.integer({ min: 1, max: 40 }),
    }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** An index, and by pod the blocks that it must hold, each with whether that is on the GPU. */
class World {
  readonly table = new SyncPrefixHashTable({ seed: 5n });
  readonly #held = Array.from({ length: PODS }, () => new Map<number, { gpu: boolean; cpu: boolean }>());

  take(step: Step): void {
    if (step.type === "remove") this.#remove(step.pod, numbersOf(step.path).slice(step.from, step.from + step.count));
    else if (step.type === "store to all") for (let each = 0; each < PODS; each++) this.#store(each, step.path, null);
    else this.#store(step.pod, step.path, step.type === "store" ? null : "cpu");
  }

  expected(path: Path): object[] {
    const numbers = numbersOf(path);
    const found = this.#held.map((held, each) => ({
      pod: nameOf(each),
      matchedBlocks: leading(numbers, (number) => held.has(number)),
      gpuBlocks: leading(numbers, (number) => held.get(number)?.gpu === true),
    }));
    const order = (left: PodLike, right: PodLike): number =>
      right.matchedBlocks - left.matchedBlocks || (left.pod < right.pod ? -1 : 1);
    return found.filter(({ matchedBlocks }) => matchedBlocks > 0).sort(order);
  }

  #store(each: number, path: Path, medium: string | null): void {
    const numbers = numbersOf(path);
    this.table.processBlockStored(
      source(nameOf(each)),
      stored(numbers.map(BigInt), null, tokens(...numbers), { medium }),
    );
    const held = this.#held[each]!;
    for (const number of numbers) {
      const { gpu, cpu } = held.get(number) ?? { gpu: false, cpu: false };
      held.set(number, { gpu: gpu || medium === null, cpu: cpu || medium !== null });
    }
  }

  /** From the GPU. */
  #remove(each: number, numbers: readonly number[]): void {
    this.table.processBlockRemoved(source(nameOf(each)), removed(numbers.map(BigInt)));
    const held = this.#held[each]!;
    for (const number of numbers) {
      if (held.get(number)?.cpu) held.set(number, { gpu: false, cpu: true });
      else held.delete(number);
    }
  }
}

type PodLike = Pick<PodMatch, "pod" | "matchedBlocks">;

function nameOf(pod: number): string {
  return `pod-${String(pod).padStart(2, "0")}`;
}

function leading(numbers: readonly number[], isHeld: (number: number) => boolean): number {
  const missing = numbers.findIndex((number) => !isHeld(number));
  return missing < 0 ? numbers.length : missing;
}

function found(matches: readonly PodMatch[]): object[] {
  return matches.map(({ pod, matchedBlocks, ranks }) => ({ pod, matchedBlocks, gpuBlocks: ranks[0]!.gpuBlocks }));
}

test("long prompts that part anywhere are found as far as each pod has them, however they came and what went", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ step, asked: path, byHash: fc.boolean() }), { minLength: 1, maxLength: 25, size: "max" }),
      (steps) => {
        const world = new World();
        const { table } = world;
        for (const { step, asked, byHash } of steps) {
          world.take(step);
          // What was stored is asked for, too, and each twice: a question leaves notes for the next one.
          for (const path of [step.path, asked, asked]) {
            const prompt = tokens(...numbersOf(path));
            const hashes = byHash ? table.getPrefixHashes(MODEL, -1, prompt, BLOCK_SIZE) : undefined;
            const matches =
              hashes === undefined
                ? table.matchPrefix(MODEL, -1, prompt)
                : table.matchHashes(MODEL, -1, hashes, BLOCK_SIZE);
            assert.deepEqual(found(matches), world.expected(path));
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("hashes that are not of one prompt leave no notes that would be wrong of one", () => {
  const table = new SyncPrefixHashTable();
  const store = (...numbers: number[]): void =>
    table.processBlockStored(source(), stored(numbers.map(BigInt), null, tokens(...numbers)));
  const hashesOf = (...numbers: number[]): bigint[] => [
    ...table.getPrefixHashes(MODEL, -1, tokens(...numbers), BLOCK_SIZE),
  ];
  // Block 6 gets the record behind that of 9, and that the one behind that of 4; 5 one that was given back.
  store(8);
  store(1, 2, 3, 4);
  store(9);
  table.processBlockRemoved(source(), removed([8n]));
  store(1, 2, 3, 4, 5);
  store(1, 2, 3, 4, 5, 6);
  const [first, second, third, fourth, , sixth] = hashesOf(1, 2, 3, 4, 5, 6);
  const mixed = BigUint64Array.of(first!, second!, third!, fourth!, hashesOf(9)[0]!, sixth!);
  assert.equal(summary(table.matchHashes(MODEL, -1, mixed, BLOCK_SIZE)), "a 6");
  table.processBlockRemoved(source(), removed([5n]));
  assert.equal(match(table, tokens(1, 2, 3, 4, 5, 6)), "a 4");
});

test("what is believed bridges what nobody holds, and what is held behind it counts", () => {
  const table = new SyncPrefixHashTable();
  const numbers = Array.from({ length: 100 }, (_, i) => i + 1);
  const prompt = tokens(...numbers);
  table.processBlockStored(source(), stored(numbers.map(BigInt), null, prompt));
  table.processBlockRemoved(source(), removed(numbers.slice(30, 60).map(BigInt)));
  assert.equal(match(table, prompt), "a 30");
  const hashes = table.getPrefixHashes(MODEL, -1, prompt, BLOCK_SIZE);
  table.addPrefix(MODEL, -1, "a", hashes.subarray(0, 60), BLOCK_SIZE, 1_000);
  assert.equal(match(table, prompt), "a 100");
  assert.equal(table.matchPrefix(MODEL, -1, prompt)[0]?.ranks[0]?.matchedBlocks, 30);
});
