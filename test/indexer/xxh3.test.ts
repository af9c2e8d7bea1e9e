import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hashOf } from "../../src/indexer/block-hasher.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { Xxh3 } from "../../src/indexer/xxh3.ts";
import { Xxh3BlockHasher } from "../../src/indexer/xxh3-block-hasher.ts";
import { MODEL, source, stored, WholeHasher } from "./support.ts";

/** Made by the real XXH3 (test/fixtures/make-xxh3.py). */
const fixture: {
  readonly vectors: readonly [count: number, seed: string, start: number, hash: string][];
  readonly rolling: { readonly seed: string; readonly start: number; readonly hashes: readonly string[] };
} = JSON.parse(readFileSync(new URL("../fixtures/xxh3.json", import.meta.url), "utf8"));

function words(count: number, start: number): Uint32Array {
  let state = start;
  return Uint32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  });
}

function hash(seed: bigint, input: Uint32Array, start = 0, end = input.length): bigint {
  const out = new Int32Array(2);
  new Xxh3(seed).hash(input, start, end, out, 0);
  return hashOf(out[0]!, out[1]!);
}

const ROLLING = { tokens: words(64, fixture.rolling.start), hashes: fixture.rolling.hashes.map(BigInt) };

describe("Xxh3", () => {
  it("gives what the real one gives, of every length and seed", () => {
    for (const [count, seed, start, expected] of fixture.vectors) {
      assert.equal(hash(BigInt(seed), words(count, start)), BigInt(expected), `${count} words, seed ${seed}`);
    }
  });

  it("gives the same wherever the words stand", () => {
    fc.assert(
      fc.property(fc.nat({ max: 90 }), fc.nat({ max: 9 }), fc.nat(), (count, offset, start) => {
        const input = words(count, start);
        const longer = new Uint32Array(count + offset + 3).fill(7);
        longer.set(input, offset);
        assert.equal(hash(3n, longer, offset, offset + count), hash(3n, input));
        assert.equal(hash(3n, Uint32Array.from(input)), hash(3n, input));
      }),
    );
  });
});

describe("hash xxh3", () => {
  it("names blocks by the rolling hash of the Mooncake RFC", () => {
    const index = new SyncPrefixHashTable({ hash: "xxh3", seed: BigInt(fixture.rolling.seed) });
    assert.deepEqual([...index.getPrefixHashes(MODEL, -1, ROLLING.tokens, 16)], ROLLING.hashes);
  });

  it("answers a prompt of which only the hashes are known, made elsewhere", () => {
    const index = new SyncPrefixHashTable({ hash: "xxh3", seed: BigInt(fixture.rolling.seed) });
    const event = stored([1n, 2n, 3n], null, ROLLING.tokens.slice(0, 48), { blockSize: 16 });
    index.processBlockStored(source("a"), event);
    const matches = index.matchHashes(MODEL, -1, BigUint64Array.from(ROLLING.hashes), 16);
    assert.deepEqual(matches, index.matchPrefix(MODEL, -1, ROLLING.tokens));
    assert.deepEqual([matches[0]?.pod, matches[0]?.matchedTokens], ["a", 48]);
    assert.deepEqual(index.matchHashes(MODEL, -1, BigUint64Array.from(ROLLING.hashes), 8), []);
  });

  it("tells salts and extra keys apart, and has no salt by default", () => {
    const hasher = new WholeHasher(new Xxh3BlockHasher(1n));
    const locals = [0n, hasher.extra("x"), hasher.extra("y")].map((extra) => hasher.local(words(16, 1), 0, 16, extra));
    assert.equal(new Set(locals).size, 3);
    assert.equal(hasher.root(""), 0n);
    assert.notEqual(hasher.root("a"), hasher.root("b"));
    assert.equal(hasher.chain(0n, locals[0]!), locals[0]!);
    assert.notEqual(hasher.chain(hasher.root("a"), locals[0]!), locals[0]!);
  });

  it("keeps its seed, and refuses a hash that is none", () => {
    const index = new SyncPrefixHashTable({ hash: "xxh3" });
    assert.equal(index.seed, 0n);
    index.reseed(0n);
    assert.throws(() => index.reseed(1n), { code: "fixed-seed" });
    assert.throws(() => new SyncPrefixHashTable({ hash: "md5" as never }), /hash is "md5": use seeded or xxh3/);
  });
});
