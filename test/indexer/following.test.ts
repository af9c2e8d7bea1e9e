import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { BlockStored } from "../../src/events/event.ts";
import { exportBlocks, importBlocks } from "../../src/indexer/export.ts";
import type { BlockSource, ExportedBlock } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable, type SyncPrefixHashTableOptions } from "../../src/indexer/sync-prefix-hash-table.ts";
import { MANY_BLOCKS, packed } from "./engine-steps.ts";
import { Inside, SEED } from "./inside.ts";
import { held, ManualClock, MODEL, match, removed, source, stored } from "./support.ts";

const TTL_MS = 1_000;
const SOURCES = ["a", "b", "c"].map((pod) => source(pod));

const WAS_LARGE = ", in an index that was large";

// Prompts of one token a block, which part from each other at different blocks.
const PROMPTS = [0, 1, 2, 3];
const LENGTH = 60;

function tokensOf(prompt: number, from = 0, to = LENGTH): Uint32Array {
  return Uint32Array.from({ length: to - from }, (_, i) =>
    from + i < 12 * prompt ? from + i : 1_000 * prompt + from + i,
  );
}

/** The same for the same prefix. */
function namesOf(prompt: number, from: number, to: number): bigint[] {
  return [...tokensOf(prompt, from, to)].map((token) => BigInt(token) + 1n);
}

function storedPart(prompt: number, from: number, to: number): BlockStored {
  const parent = from === 0 ? null : namesOf(prompt, from - 1, from)[0]!;
  return stored(namesOf(prompt, from, to), parent, tokensOf(prompt, from, to), { blockSize: 1 });
}

/** An index of which is asked whether its records are as they should be. */
class Checked extends Inside {
  clear(of: BlockSource): void {
    const known = this.index.sources.find(of);
    if (known !== undefined) this.index.leave(known);
  }

  /** False where the source has told of blocks itself. */
  import(of: BlockSource, blocks: readonly ExportedBlock[]): boolean {
    const known = this.index.sources.find(of);
    if (known !== undefined && !known.isEmpty && !known.isHidden) return false;
    importBlocks(this.index, of, blocks, []);
    return true;
  }

  /**
   * Each block is in its table, or has the record behind its parent's, and none is there twice. Returns how many follow.
   * `parents`: what each chained hash was chained on.
   */
  check(parents: ReadonlyMap<bigint, bigint>): number {
    const { blocks, contexts } = this.index;
    const { records } = blocks;
    const hashOf = (block: number): bigint =>
      BigInt.asUintN(32, BigInt(blocks.low(block))) | (BigInt.asUintN(32, BigInt(blocks.high(block))) << 32n);
    const seen = new Set<bigint>();
    let following = 0;
    for (let block = 1; records.at(block + 1) <= records.data.length; block++) {
      const number = blocks.context(block);
      if (number === 0) {
        assert.ok(!blocks.follows(block), "none that is free follows");
        continue;
      }
      const context = contexts.numbered(number);
      const hash = hashOf(block);
      assert.ok(!seen.has(hash), "none is there twice");
      seen.add(hash);
      const found = context.find(blocks.low(block), blocks.high(block));
      assert.equal(found, blocks.follows(block) ? 0 : block);
      if (!blocks.follows(block)) continue;
      following++;
      assert.equal(blocks.context(block - 1), number);
      assert.equal(hashOf(block - 1), parents.get(hash));
    }
    assert.equal(blocks.size, seen.size);
    assert.equal(blocks.following, following);
    assert.equal(
      contexts.all().reduce((sum, { size }) => sum + size, 0),
      seen.size,
    );
    return following;
  }
}

/** What each block of the prompts is chained on. */
function parentsOfPrompts(): Map<bigint, bigint> {
  const parents = new Map<bigint, bigint>();
  const table = new SyncPrefixHashTable({ seed: SEED });
  for (const prompt of PROMPTS) {
    const hashes = table.getPrefixHashes(MODEL, -1, tokensOf(prompt), 1);
    for (let i = 1; i < hashes.length; i++) parents.set(hashes[i]!, hashes[i - 1]!);
  }
  return parents;
}

/** All blocks of the prompts, as an import brings them: in the order of hashes. */
function exportedPrompts(): ExportedBlock[] {
  const donor = new Checked();
  for (const prompt of PROMPTS) donor.process(source(), storedPart(prompt, 0, LENGTH));
  return [...exportBlocks(donor.index, source())];
}

const part = {
  of: fc.constantFrom(...SOURCES),
  prompt: fc.constantFrom(...PROMPTS),
  from: fc.oneof(fc.constant(0), fc.nat({ max: LENGTH })),
  count: fc.oneof({ weight: 2, arbitrary: fc.nat({ max: LENGTH }) }, fc.nat({ max: 3 })),
};
const store = fc.record({ type: fc.constant("store" as const), ...part });
const remove = fc.record({
  type: fc.constant("remove" as const),
  ...part,
  /** Each so manieth of them. */
  step: fc.constantFrom(1, 1, 2, 3),
  isAscending: fc.boolean(),
});
const clear = fc.record({ type: fc.constant("clear" as const), of: part.of });
const wait = fc.record({ type: fc.constant("wait" as const), ms: fc.constantFrom(400, TTL_MS) });
type Part = typeof store extends fc.Arbitrary<infer T> ? T : never;
type Removal = typeof remove extends fc.Arbitrary<infer T> ? T : never;

function endOf({ from, count }: Pick<Part, "from" | "count">): number {
  return Math.min(LENGTH, from + count);
}

function namesOfRemoval(removal: Removal): bigint[] {
  const { prompt, from, step, isAscending } = removal;
  const names = namesOf(prompt, Math.min(from, LENGTH), endOf(removal)).filter((_, i) => i % step === 0);
  return isAscending ? names : names.reverse();
}

describe("a block is in its table, or has the record behind its parent's,", () => {
  const parents = parentsOfPrompts();
  const donated = exportedPrompts();
  const imported = fc.record({
    type: fc.constant("import" as const),
    of: part.of,
    from: fc.nat({ max: donated.length }),
    count: fc.nat({ max: 40 }),
  });
  const bounds: readonly (readonly [string, SyncPrefixHashTableOptions])[] = [
    ["", {}],
    [WAS_LARGE, {}],
    [`${WAS_LARGE}, where memory is scarce`, { maxBytes: 420_000 }],
    [`${WAS_LARGE}, where few have room`, { maxPrefixesPerContext: 20 }],
    [", where memory is scarce", { maxBytes: 50_000 }],
    [", where few have room", { maxPrefixesPerContext: 20 }],
    [", where blocks expire", { entryTtlMs: TTL_MS }],
  ];
  for (const [where, options] of bounds) {
    it(`whatever comes and goes${where}`, () => {
      const command = fc.oneof(
        { weight: 6, arbitrary: store },
        { weight: 4, arbitrary: remove },
        { weight: 1, arbitrary: clear },
        { weight: 1, arbitrary: imported },
        { weight: options.entryTtlMs === undefined ? 0 : 2, arbitrary: wait },
      );
      fc.assert(
        fc.property(fc.array(command, { maxLength: 30, size: "max" }), (commands) => {
          const clock = new ManualClock();
          const inside = new Checked({ ...options, clock });
          if (where.startsWith(WAS_LARGE)) inside.growAndEmpty();
          for (const command of commands) {
            if (command.type === "wait") clock.advance(command.ms);
            else if (command.type === "clear") inside.clear(command.of);
            else if (command.type === "remove") inside.process(command.of, removed(namesOfRemoval(command)));
            else if (command.type === "import") {
              const { of, from, count } = command;
              if (inside.import(of, donated.slice(from, from + count)) && count > 0 && from < donated.length)
                assert.equal(inside.check(parents), 0);
            } else if (command.from < LENGTH) {
              inside.process(command.of, storedPart(command.prompt, command.from, endOf(command)));
            }
            inside.check(parents);
          }
        }),
        { numRuns: 300 },
      );
    });
  }
});

/** What an index should hold: names by pod, each of which stands for a block and all before it. */
class Model {
  readonly #held = new Map<string, Set<bigint>>(SOURCES.map(({ pod }) => [pod, new Set()]));
  readonly #mentionedMs = new Map<bigint, number>();
  readonly hidden = new Set<string>();

  has(pod: string, name: bigint): boolean {
    return this.#held.get(pod)!.has(name);
  }

  get blocks(): number {
    return new Set([...this.#held.values()].flatMap((names) => [...names])).size;
  }

  /** As `held` says it. */
  held(pod: string): string {
    const names = [...this.#held.get(pod)!].sort((left, right) => (left < right ? -1 : 1));
    return names.map((name) => `${name} gpu`).join("; ");
  }

  store(pod: string, names: readonly bigint[]): void {
    for (const name of names) this.#held.get(pod)!.add(name);
  }

  /** What a source without blocks was is forgotten with it. */
  remove(pod: string, names: Iterable<bigint>): void {
    const held = this.#held.get(pod)!;
    for (const name of names) held.delete(name);
    if (held.size === 0) this.hidden.delete(pod);
  }

  clear(pod: string): void {
    this.remove(pod, [...this.#held.get(pod)!]);
  }

  /** As `match` says it. */
  match(prompt: number, nowMs: number): string {
    const names = namesOf(prompt, 0, LENGTH);
    const found = [...this.#held].flatMap(([pod, held]) => {
      const end = names.findIndex((name) => !held.has(name));
      return this.hidden.has(pod) ? [] : [{ pod, blocks: end < 0 ? LENGTH : end }];
    });
    const some = found.filter(({ blocks }) => blocks > 0).sort((left, right) => right.blocks - left.blocks);
    this.mention(names.slice(0, some[0]?.blocks ?? 0), nowMs);
    return some.map(({ pod, blocks }) => `${pod} ${blocks}`).join(", ");
  }

  mention(names: readonly bigint[], nowMs: number): void {
    for (const name of names) this.#mentionedMs.set(name, nowMs);
  }

  expire(nowMs: number): void {
    for (const pod of this.#held.keys()) {
      const names = this.#held.get(pod)!;
      this.remove(
        pod,
        [...names].filter((name) => nowMs - this.#mentionedMs.get(name)! >= TTL_MS),
      );
    }
  }
}

/** The event, of which the source holds the parent; `undefined` without blocks. */
function storedPartOf(
  { of, prompt, ...range }: Part,
  model: Model,
): { names: bigint[]; event: BlockStored } | undefined {
  const hasParent = range.from > 0 && model.has(of.pod, namesOf(prompt, range.from - 1, range.from)[0]!);
  const from = hasParent ? range.from : 0;
  const to = endOf(range);
  if (from >= to) return undefined;
  return { names: namesOf(prompt, Math.max(0, from - 1), to), event: storedPart(prompt, from, to) };
}

const asked = fc.subarray([...PROMPTS]);

describe("an index in which blocks follow answers", () => {
  const atOnce = (step: () => void): void => step();

  /** Applies what is no matter of its own to a test. */
  function apply(command: Part | Removal | { readonly type: "clear"; of: BlockSource }, model: Model, nowMs: number) {
    const { of } = command;
    if (command.type === "clear") {
      model.clear(of.pod);
      return (index: SyncPrefixHashTable) => index.processAllBlocksCleared(of);
    }
    if (command.type === "remove") {
      const names = namesOfRemoval(command);
      model.remove(of.pod, names);
      return (index: SyncPrefixHashTable) => index.processBlockRemoved(of, removed(names));
    }
    const part = storedPartOf(command, model);
    if (part === undefined) return () => {};
    model.store(of.pod, part.names);
    model.mention(part.names, nowMs);
    return (index: SyncPrefixHashTable) => index.processBlockStored(of, part.event);
  }

  it("as a model of prefixes does, wherever its pods cut prompts, and while others are imported", () => {
    const handOver = fc.record({
      type: fc.constant("hand over" as const),
      of: part.of,
      chunk: fc.integer({ min: 1, max: LENGTH }),
    });
    const goOn = fc.record({ type: fc.constant("go on" as const), of: part.of });
    const command = fc.oneof(
      { weight: 6, arbitrary: store },
      { weight: 4, arbitrary: remove },
      { weight: 1, arbitrary: clear },
      { weight: 2, arbitrary: handOver },
      { weight: 3, arbitrary: goOn },
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(command, asked), { maxLength: 30, size: "max" }),
        fc.boolean(),
        (steps, wasLarge) => {
          const index = new SyncPrefixHashTable({ seed: SEED, defer: atOnce });
          if (wasLarge) index.processEvents(source("z"), packed(MANY_BLOCKS));
          // Of which others take over what a pod holds.
          const mirror = new SyncPrefixHashTable({ seed: SEED, defer: atOnce });
          const model = new Model();
          const pending = new Map<string, ExportedBlock[][]>();
          const importNext = (of: BlockSource): void => {
            const chunks = pending.get(of.pod) ?? [];
            index.importSource(of, chunks.shift() ?? []);
            if (chunks.length === 0) pending.delete(of.pod);
          };
          for (const [command, prompts] of steps) {
            const { of, type } = command;
            if (type === "go on") {
              if (pending.has(of.pod)) importNext(of);
              else index.reveal(of);
              if (!pending.has(of.pod)) {
                index.reveal(of);
                model.hidden.delete(of.pod);
              }
            } else {
              while (pending.has(of.pod)) importNext(of);
              if (type === "hand over") {
                const blocks = [...mirror.exportSource(of)];
                if (blocks.length === 0) continue;
                index.processAllBlocksCleared(of);
                const chunks: ExportedBlock[][] = [];
                while (blocks.length > 0) chunks.push(blocks.splice(0, command.chunk));
                pending.set(of.pod, chunks);
                model.hidden.add(of.pod);
                importNext(of);
              } else {
                const change = apply(command, model, 0);
                for (const each of [index, mirror]) change(each);
              }
            }
            for (const prompt of prompts) assert.equal(match(index, tokensOf(prompt)), model.match(prompt, 0));
            if (pending.size > 0) continue;
            for (const each of SOURCES) assert.equal(held(index.heldBlocks(each)), model.held(each.pod));
            assert.equal(index.stats().blocks, model.blocks);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("as a model of prefixes does, while blocks expire", () => {
    const command = fc.oneof(
      { weight: 6, arbitrary: store },
      { weight: 3, arbitrary: remove },
      { weight: 1, arbitrary: clear },
      { weight: 3, arbitrary: wait },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(command, asked), { maxLength: 30, size: "max" }), (steps) => {
        const clock = new ManualClock();
        const index = new SyncPrefixHashTable({ seed: SEED, clock, entryTtlMs: TTL_MS });
        const model = new Model();
        for (const [command, prompts] of steps) {
          if (command.type === "wait") {
            clock.advance(command.ms);
            model.expire(clock.now());
          } else {
            apply(command, model, clock.now())(index);
          }
          for (const prompt of prompts) assert.equal(match(index, tokensOf(prompt)), model.match(prompt, clock.now()));
          for (const each of SOURCES) assert.equal(held(index.heldBlocks(each)), model.held(each.pod));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("what a model with a sliding window holds, as its window slides, and when the beginning is back", () => {
    const index = new SyncPrefixHashTable({ seed: SEED });
    const group = { groupIdx: 0, kvCacheSpecKind: "sliding_window", kvCacheSpecSlidingWindow: 9 };
    index.processBlockStored(source("a"), { ...storedPart(0, 0, LENGTH), ...group });
    const prefix = (blocks: number): string => match(index, tokensOf(0, 0, blocks));
    for (const [gone, name] of namesOf(0, 0, LENGTH - 8).entries()) {
      index.processBlockRemoved(source("a"), removed([name], { groupIdx: 0 }));
      assert.equal(prefix(gone + 9), `a ${gone + 9}`);
      assert.equal(prefix(gone + 8), "");
    }
    index.processBlockStored(source("a"), { ...storedPart(0, 0, LENGTH - 8), ...group });
    for (const blocks of [1, 7, 30, LENGTH]) assert.equal(prefix(blocks), `a ${blocks}`);
    assert.equal(index.stats().blocks, LENGTH);
  });

  it("what many pods hold, without a block of it and with that again", () => {
    const index = new SyncPrefixHashTable({ seed: SEED });
    const fleet = Array.from({ length: 40 }, (_, i) => source(`p${10 + i}`));
    const all = (blocks: number): string => fleet.map(({ pod }) => `${pod} ${blocks}`).join(", ");
    for (const pod of fleet) index.processBlockStored(pod, storedPart(0, 0, LENGTH));
    for (const pod of fleet) index.processBlockRemoved(pod, removed(namesOf(0, 20, 21)));
    assert.equal(match(index, tokensOf(0)), all(20));
    assert.equal(index.stats().blocks, LENGTH - 1);
    for (const pod of fleet) index.processBlockStored(pod, storedPart(0, 20, 21));
    assert.equal(match(index, tokensOf(0)), all(LENGTH));
    assert.equal(index.stats().blocks, LENGTH);
  });

  it("what waited for a block that was evicted meanwhile", () => {
    const index = new SyncPrefixHashTable({ seed: SEED, maxBytes: 200_000 });
    const one = (pod: string, name: number, parent: number | null, token = name): void => {
      const parentHash = parent === null ? null : BigInt(parent);
      index.processBlockStored(
        source(pod),
        stored([BigInt(name)], parentHash, Uint32Array.of(token), { blockSize: 1 }),
      );
    };
    const [parent, ...children] = [1_000_000, 1_000_001, 1_000_002, 1_000_003, 1_000_004] as const;
    for (const child of children) one("b", child, parent);
    for (let name = 1; index.stats().evictedBlocks < 3; name++) one("a", name, null);
    // The next but one to go: it goes for the first child, which takes its record, so that others come behind that.
    const token = 5;
    one("b", parent, null, token);
    assert.equal(index.stats().evictedBlocks, 7);
    one("b", parent, null, token);
    assert.deepEqual(
      children.map((child) => match(index, Uint32Array.of(token, child))),
      ["b 1", "b 2", "b 2", "b 2"],
    );
  });
});

describe("records", () => {
  it("do not count as one behind the other where the first is gone", () => {
    const { index } = new Checked();
    const context = index.contexts.open(MODEL, -1, 1);
    const from = index.sources.open(source());
    const hold = (number: number, parent: number): number => {
      const holding = index.hold(from, context, number, 0, 0, number, 0, [{ tier: "gpu", group: null }], parent);
      return index.holdings.block(holding);
    };
    index.begin();
    const [first, parent, third] = [hold(1, 0), hold(2, 0), hold(3, 0)];
    for (const block of [parent, third]) index.drop(block);
    const child = hold(4, parent);
    assert.deepEqual([child, index.blocks.follows(child)], [third, false]);
    const next = hold(5, first);
    assert.deepEqual([next, index.blocks.follows(next)], [parent, true]);
  });

  it("are in order for who stores next, whichever way a prompt is removed", () => {
    for (const isAscending of [true, false]) {
      const inside = new Checked();
      const names = namesOf(0, 0, LENGTH);
      for (let round = 0; round < 3; round++) {
        inside.process(source(), storedPart(0, 0, LENGTH));
        assert.equal(inside.index.blocks.following, LENGTH - 1);
        inside.process(source(), removed(isAscending ? names : names.toReversed()));
        assert.equal(inside.index.blocks.following, 0);
      }
    }
  });

  it("are passed over once by an import, and not again until as many have come as that is worth", () => {
    const inside = new Checked();
    const some = exportedPrompts();
    for (const prompt of PROMPTS) inside.process(source("a"), storedPart(prompt, 0, LENGTH));
    assert.ok(inside.index.blocks.following > 100);
    inside.import(source("b"), some.slice(0, 1));
    assert.equal(inside.index.blocks.following, 0);
    const long = Uint32Array.from({ length: 40 }, (_, i) => 9_000 + i);
    const names = [...long].map(BigInt);
    let listed = 0;
    for (const [i, name] of names.entries()) {
      const parent = i === 0 ? null : names[i - 1]!;
      inside.process(source("a"), stored([name], parent, long.subarray(i, i + 1), { blockSize: 1 }));
      if (inside.index.blocks.following === 0) listed++;
    }
    assert.ok(listed >= 8 && listed < 20, `${listed}`);
  });
});
