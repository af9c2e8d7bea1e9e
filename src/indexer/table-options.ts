import { type Clock, systemClock } from "../clock.ts";
import { ConfigurationError } from "../errors.ts";
import { randomHashSeed } from "./block-hash.ts";
import { DEFAULT_TIER_WEIGHTS, type TierWeights } from "./tiers.ts";

/** Bounds of a `SyncPrefixHashTable`, and what it takes from outside. */
export interface SyncPrefixHashTableOptions {
  /** Distinct (model, adapter, block size); the least recently used goes first. @default 1000 */
  readonly maxContexts?: number;
  /**
   * Memory of the whole index, in bytes, to which each block that is held or waits keeps; the least recently mentioned blocks go first. Some 45
   * bytes for each block that a rank holds, and 2 KB for each rank: where these alone are too many, some have to wait until
   * others have nothing left. Blocks that wait have at most a third of it. @default 1 GiB
   */
  readonly maxBytes?: number;
  /**
   * Distinct blocks in one context, and likewise pairs of block and pod believed by `addPrefix`; the least recently
   * mentioned go first. @default 50_000_000: `maxBytes` is reached before. AIBrix's 10,000 was never enforced, and would
   * be less than the cache of one engine.
   */
  readonly maxPrefixesPerContext?: number;
  /** Blocks of one (pod, rank) that wait for their parent or their tokens; the oldest go first. @default 100_000 */
  readonly maxOrphansPerSource?: number;
  /** Blocks that neither an event nor a match mentioned for so long are dropped; 0 for never. @default 0, since engines say what they drop */
  readonly entryTtlMs?: number;
  /** What a block is worth by its tier, from 0 to 1; other tiers count 0.5. @default { gpu: 1, cpu: 0.8 } */
  readonly tierWeights?: TierWeights;
  readonly clock?: Clock;
  /**
   * Calls what it is given in a later turn of the event loop, such as `setImmediate`. With it the memory of a large source
   * that was cleared is free soon, whatever comes. @default none: events and queries take some of it out as they come
   */
  readonly defer?: (step: () => void) => void;
  /**
   * How blocks are named: `seeded` by a fast hash of our own, or `xxh3` by the rolling XXH3-64 that other indexers speak
   * (Mooncake, RFC 1403), for `getPrefixHashes` and `matchHashes` with hashes of others. @default seeded
   */
  readonly hash?: HashName;
  /**
   * 64 bits. @default random for `seeded`, so that collisions cannot be prepared; 0 for `xxh3`, where all who exchange
   * hashes have the same
   */
  readonly seed?: bigint;
}

export type HashName = "seeded" | "xxh3";

/** The same, complete and checked; `entryTtlMs` is `Infinity` for never. */
export type ResolvedTableOptions = Required<SyncPrefixHashTableOptions>;

/** Throws `ConfigurationError` with code `invalid-option`. */
export function resolveTableOptions(options: SyncPrefixHashTableOptions): ResolvedTableOptions {
  const entryTtlMs = options.entryTtlMs ?? 0;
  if (!(entryTtlMs >= 0)) {
    throw new ConfigurationError("invalid-option", `entryTtlMs is ${entryTtlMs}: use 0 for never, or milliseconds`);
  }
  const hash = options.hash ?? "seeded";
  if (hash !== "seeded" && hash !== "xxh3") {
    throw new ConfigurationError("invalid-option", `hash is ${JSON.stringify(hash)}: use seeded or xxh3`);
  }
  return {
    hash,
    maxContexts: positiveInteger("maxContexts", options.maxContexts ?? 1000),
    maxPrefixesPerContext: positiveInteger("maxPrefixesPerContext", options.maxPrefixesPerContext ?? 50_000_000),
    maxBytes: positiveInteger("maxBytes", options.maxBytes ?? 2 ** 30),
    maxOrphansPerSource: positiveInteger("maxOrphansPerSource", options.maxOrphansPerSource ?? 100_000),
    entryTtlMs: entryTtlMs === 0 ? Number.POSITIVE_INFINITY : entryTtlMs,
    tierWeights: tierWeights(options.tierWeights ?? {}),
    clock: options.clock ?? systemClock,
    defer: options.defer ?? (() => {}),
    seed: options.seed ?? (hash === "xxh3" ? 0n : randomHashSeed()),
  };
}

function positiveInteger(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new ConfigurationError("invalid-option", `${name} is ${value}: use a whole number from 1`);
}

function tierWeights(given: TierWeights): TierWeights {
  for (const [tier, weight] of Object.entries(given)) {
    if (weight >= 0 && weight <= 1) continue;
    throw new ConfigurationError("invalid-option", `tierWeights: ${tier} weighs ${weight}; use a number from 0 to 1`);
  }
  return { ...DEFAULT_TIER_WEIGHTS, ...given };
}
