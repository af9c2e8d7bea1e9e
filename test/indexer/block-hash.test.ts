import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SimdTokens } from "../../src/events/simd-tokens.ts";
import { randomHashSeed, SeededBlockHasher } from "../../src/indexer/block-hash.ts";
import { SimdHash } from "../../src/indexer/simd-hash.ts";
import { WholeHasher } from "./support.ts";

const SEED = 0x0123456789abcdefn;

/** A cheap sequence of numbers below `bound`, the same in every run. */
function numbers(count: number, bound: number, from = 1): Uint32Array {
  let state = from;
  return Uint32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  });
}

function ones(value: bigint): number {
  let count = 0;
  for (let rest = value; rest !== 0n; rest &= rest - 1n) count++;
  return count;
}

describe("SeededBlockHasher", () => {
  const hasher = seededBy(SEED);

  it("gives equal hashes for equal seeds and tokens", () => {
    const prompt = numbers(64, 150_000);
    const root = hasher.root("");
    assert.deepEqual(seededBy(SEED).hashBlocks(prompt, 16, root), hasher.hashBlocks(prompt, 16, root));
  });

  it("gives other hashes for another seed", () => {
    const other = seededBy(SEED + 1n);
    const prompt = numbers(16, 150_000);
    assert.notEqual(other.local(prompt, 0, 16, 0n), hasher.local(prompt, 0, 16, 0n));
    assert.notEqual(other.root(""), hasher.root(""));
  });

  it("has another random seed each time", () => {
    assert.equal(new Set(Array.from({ length: 100 }, randomHashSeed)).size, 100);
  });

  it("hashes full blocks only", () => {
    assert.equal(hasher.hashBlocks(numbers(47, 9), 16, 0n).length, 2);
    assert.equal(hasher.hashBlocks(numbers(15, 9), 16, 0n).length, 0);
  });

  it("gives by steps what it gives at once, and by parts what it gives by steps", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 2 ** 32 - 1 }), { maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 60, maxLength: 60 }),
        (ids, blockSize, extras) => {
          const prompt = Uint32Array.from(ids);
          const atOnce = hasher.hashBlocks(prompt, blockSize, hasher.root(""), (i) => extras[i]!);
          let parent = hasher.root("");
          for (let i = 0; i < atOnce.length; i++) {
            const start = i * blockSize;
            const local = hasher.local(prompt, start, start + blockSize, extras[i]!);
            const chained = hasher.chain(parent, local);
            assert.equal(hasher.step(parent, prompt, start, start + blockSize, extras[i]!), chained);
            assert.equal(atOnce[i], chained);
            parent = chained;
          }
        },
      ),
    );
  });

  it("chains: a change in one block changes every later hash and no earlier one", () => {
    const prompt = numbers(160, 150_000);
    const before = hasher.hashBlocks(prompt, 16, 0n);
    prompt[5 * 16 + 3]! ^= 1;
    const after = hasher.hashBlocks(prompt, 16, 0n);
    assert.deepEqual(
      [...after].map((hash, i) => hash === before[i]),
      [true, true, true, true, true, false, false, false, false, false],
    );
  });

  it("tells token orders, extra keys and roots apart", () => {
    const one = Uint32Array.of(1, 2);
    const locals = [
      hasher.local(one, 0, 2, 0n),
      hasher.local(Uint32Array.of(2, 1), 0, 2, 0n),
      hasher.local(one, 0, 2, hasher.extra("x")),
      hasher.local(one, 0, 2, hasher.extra("y")),
    ];
    assert.equal(new Set(locals).size, locals.length);
    assert.equal(new Set(["", "x", "y", "xy", "yx"].map((key) => hasher.root(key))).size, 5);
    assert.notEqual(hasher.root("x"), hasher.extra("x"));
  });

  it("does not confuse parent and block", () => {
    assert.notEqual(hasher.chain(1n, 2n), hasher.chain(2n, 1n));
  });

  for (const [what, bits, hash] of [
    ["token", 32, (i: number, flip: bigint) => stepWith(hasher, i, Number(flip), 0)],
    ["last token", 32, (i: number, flip: bigint) => stepWith(hasher, i, 0, Number(flip))],
    ["salt", 16, (i: number, flip: bigint) => hasher.root(`${i}${String.fromCharCode(Number(flip))}`)],
    ["extra key", 16, (i: number, flip: bigint) => withExtra(hasher, i, Number(flip))],
  ] as const) {
    it(`flips each of 64 bits about half of the time when one bit of a ${what} flips`, () => {
      const rounds = 1000;
      for (let bit = 0; bit < bits; bit++) {
        const flips = new Array<number>(64).fill(0);
        for (let i = 0; i < rounds; i++) {
          const difference = hash(i, 0n) ^ hash(i, 1n << BigInt(bit));
          for (let out = 0; out < 64; out++) if ((difference >> BigInt(out)) & 1n) flips[out]!++;
        }
        // Eight standard deviations: a fair coin fails here once in 10^14 times.
        for (const count of flips) assert.ok(Math.abs(count / rounds - 0.5) < 0.13, `bit ${bit}: ${count}`);
      }
    });
  }

  it("spreads like a random function: no collision in 300,000 similar blocks, and the birthday number in 32 bits", () => {
    const hashes = new Set<bigint>();
    const low = new Set<bigint>();
    const high = new Set<bigint>();
    const block = new Uint32Array(16);
    const count = 300_000;
    for (let i = 0; i < count; i++) {
      // Small neighbouring ids at two places: what a weak mixer confuses.
      block[3] = i % 600;
      block[15] = Math.floor(i / 600);
      const hash = hasher.step(7n, block, 0, 16, 0n);
      hashes.add(hash);
      low.add(hash & 0xffffffffn);
      high.add(hash >> 32n);
    }
    assert.equal(hashes.size, count);
    const expected = count ** 2 / 2 ** 33;
    for (const half of [low, high]) {
      const collisions = count - half.size;
      assert.ok(Math.abs(collisions - expected) < 8 * Math.sqrt(expected), `${collisions} instead of ${expected}`);
    }
  });

  it("chains like a random function: all orders of eight similar blocks, six of them, with repetitions", () => {
    const locals = Array.from({ length: 8 }, (_, i) => hasher.local(new Uint32Array(16).fill(i, 15), 0, 16, 0n));
    let chains = [hasher.root("")];
    for (let depth = 0; depth < 6; depth++) {
      chains = chains.flatMap((parent) => locals.map((local) => hasher.chain(parent, local)));
    }
    assert.equal(new Set(chains).size, 8 ** 6);
    const expected = 8 ** 12 / 2 ** 33;
    for (const half of [chains.map((hash) => hash & 0xffffffffn), chains.map((hash) => hash >> 32n)]) {
      const collisions = 8 ** 6 - new Set(half).size;
      assert.ok(Math.abs(collisions - expected) < 8 * Math.sqrt(expected), `${collisions} instead of ${expected}`);
    }
  });

  it("does not come back to where it was, however often a block is repeated", () => {
    const chain = hasher.hashBlocks(new Uint32Array(300_000).fill(11), 1, hasher.root(""));
    assert.equal(new Set(chain).size, 300_000);
  });

  it("tells two blocks apart at any distance when they change places", () => {
    const count = 4_096;
    const fast = new SeededBlockHasher(SEED);
    const locals = new Int32Array(2 * count);
    fast.locals(numbers(count, 150_000), 0, 1, count, locals, 0);
    const halves = [new Set<number>(), new Set<number>()];
    for (let distance = 0; distance < count; distance++) {
      const chain = locals.slice();
      chain.copyWithin(0, 2 * distance, 2 * distance + 2);
      chain.set(locals.subarray(0, 2), 2 * distance);
      fast.chain(1, 2, chain, 0, count);
      for (const [word, half] of halves.entries()) half.add(chain.at(word - 2)!);
    }
    for (const half of halves) assert.ok(half.size >= count - 1, `${count - half.size} of ${count} collide`);
  });

  it("keeps no structure that works under every seed: two flipped top bits do not cancel", () => {
    for (let seed = 0n; seed < 200n; seed++) {
      const seeded = seededBy(seed);
      const plain = seeded.local(Uint32Array.of(5, 6, 7), 0, 3, 0n);
      for (let bit = 0; bit < 32; bit++) {
        const flipped = Uint32Array.of(5 ^ (1 << 31), 6 ^ (1 << bit), 7);
        assert.notEqual(seeded.local(flipped, 0, 3, 0n), plain);
      }
    }
  });

  it("mixes with every seed, even 0 and all ones", () => {
    for (const seed of [0n, 1n, 2n ** 64n - 1n]) {
      const seeded = seededBy(seed);
      const chain = seeded.hashBlocks(new Uint32Array(1600), 16, seeded.root(""));
      assert.equal(new Set(chain).size, 100);
      for (const hash of chain) assert.ok(ones(hash) > 10 && ones(hash) < 54);
    }
  });
});

function seededBy(seed: bigint): WholeHasher {
  return new WholeHasher(new SeededBlockHasher(seed));
}

function stepWith(hasher: WholeHasher, i: number, firstFlip: number, lastFlip: number): bigint {
  const block = numbers(16, 150_000, i + 1);
  block[0]! ^= firstFlip;
  block[15]! ^= lastFlip;
  return hasher.step(BigInt(i), block, 0, 16, 0n);
}

function withExtra(hasher: WholeHasher, i: number, flip: number): bigint {
  return hasher.step(7n, numbers(16, 150_000, i + 1), 0, 16, hasher.extra(String.fromCharCode(5 ^ flip)));
}

describe("SimdHash", () => {
  const home = new SimdTokens();
  const simd = new SimdHash(home);

  it("gives what plain JavaScript gives, for any number of blocks of any size, wherever they stand", () => {
    const shape = fc.record({
      blockSize: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1_500 })),
      blocks: fc.nat({ max: 60 }),
      start: fc.nat({ max: 20 }),
      seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      bound: fc.constantFrom(4, 150_000, 2 ** 32),
      low: fc.integer(),
      high: fc.integer(),
    });
    fc.assert(
      fc.property(shape, ({ blockSize, blocks, start, seed, bound, low, high }) => {
        const prompt = numbers(start + blocks * blockSize, bound, Number(seed & 0xffffn));
        const hashers = [new SeededBlockHasher(seed, simd), new SeededBlockHasher(seed, null)];
        const [fast, plain] = hashers.map((hasher) => {
          const out = new Int32Array(2 * blocks + 4).fill(7);
          hasher.locals(prompt, start, blockSize, blocks, out, 2);
          return out;
        });
        assert.deepEqual(fast, plain);
        const [fastChain, plainChain] = hashers.map((hasher) => {
          const out = new Int32Array(2 * blocks + 4).fill(7);
          hasher.hashes(prompt, start, blockSize, blocks, low, high, out, 2);
          return out;
        });
        hashers[1]!.chain(low, high, plain!, 2, blocks);
        assert.deepEqual(fastChain, plain);
        assert.deepEqual(plainChain, plain);
      }),
      { numRuns: 200 },
    );
  });

  it("gives the same of the tokens that are in its memory, wherever they stand there, and leaves them as they are", () => {
    const words = home.tokens.length;
    const shape = fc.record({
      blockSize: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 1_100 })),
      blocks: fc.nat({ max: 50 }),
      behind: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: words })),
      seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    });
    fc.assert(
      fc.property(shape, ({ blockSize, blocks, behind, seed }) => {
        const prompt = numbers(blocks * blockSize, 150_000, Number(seed & 0xffffn));
        const start = Math.max(0, words - behind - prompt.length);
        home.tokens.set(prompt, start);
        const [fast, plain] = [simd, null].map((each) => {
          const hasher = new SeededBlockHasher(seed, each);
          const out = new Int32Array(4 * blocks + 4).fill(7);
          hasher.locals(home.tokens, start, blockSize, blocks, out, 2);
          hasher.hashes(home.tokens, start, blockSize, blocks, 1, 2, out, 2 * blocks + 2);
          return out;
        });
        assert.deepEqual(fast, plain);
        assert.deepEqual(home.tokens.slice(start, start + prompt.length), prompt);
      }),
      { numRuns: 200 },
    );
  });

  it("takes more blocks than have room at once, and leaves blocks alone that are too large", () => {
    const prompt = numbers(3_000 * 16, 150_000);
    const [fast, plain] = [simd, null].map((each) => {
      const hasher = new SeededBlockHasher(SEED, each);
      const [locals, hashes] = [new Int32Array(2 * 3_000), new Int32Array(2 * 3_000)];
      hasher.locals(prompt, 0, 16, 3_000, locals, 0);
      hasher.hashes(prompt, 0, 16, 3_000, 1, 2, hashes, 0);
      return [locals, hashes];
    });
    assert.deepEqual(fast, plain);
    assert.ok(simd.capacity(16) < 3_000);
    assert.deepEqual([simd.capacity(1_024), simd.capacity(1_025), simd.capacity(2 ** 20)], [16, 0, 0]);
  });
});
