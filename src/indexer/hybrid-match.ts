import { type AttentionGroup, isKnownKind, neededBlocks } from "./attention-groups.ts";
import { hashOf } from "./block-hasher.ts";
import type { HolderIndex } from "./holder-index.ts";
import { type Claim, type MatchRequest, newClaim } from "./match.ts";
import type { Place } from "./places.ts";
import type { PromptChain } from "./prompt-chain.ts";
import type { Source } from "./sources.ts";
import { bestWeight, isInMemory, isOnGpu } from "./tiers.ts";

/** Which of a group's places count, and whether beliefs do. */
type Level = { readonly counts: (place: Place) => boolean; readonly beliefs: boolean };

const GPU: Level = { counts: isOnGpu, beliefs: false };
const MEMORY: Level = { counts: isInMemory, beliefs: false };
const KNOWN: Level = { counts: () => true, beliefs: false };
const BELIEVED: Level = { counts: () => true, beliefs: true };

/** A group with the prompt cut at its block size. */
interface GroupChain {
  readonly group: AttentionGroup;
  readonly chain: PromptChain;
  readonly needed: number;
}

/**
 * What ranks of hybrid models hold: a prefix counts where every attention group has of it what it needs, so that the
 * engine would take it. The claims are counted in blocks of the smallest size among the rank's groups.
 */
export function hybridClaims(
  index: HolderIndex,
  chains: readonly PromptChain[],
  request: MatchRequest,
): Map<PromptChain, Claim[]> {
  const claims = new Map<PromptChain, Claim[]>();
  if (!index.sources.haveGroups) return claims;
  for (const source of candidates(index, chains, request)) {
    const groups = groupChains(source, chains);
    if (groups === undefined) continue;
    const smallest = groups.reduce(
      (least, { chain }) => (sizeOf(chain) < sizeOf(least) ? chain : least),
      groups[0]!.chain,
    );
    const claim = claimOf(new RankHoldings(index, source, groups), source, sizeOf(smallest), request);
    claims.set(smallest, [...(claims.get(smallest) ?? []), claim]);
  }
  return claims;
}

/** Ranks that hold, or are believed to hold, a first block; and those that can do without. */
function candidates(
  index: HolderIndex,
  chains: readonly PromptChain[],
  { model, readyPods }: MatchRequest,
): Iterable<Source> {
  const sources = new Set<Source>(index.sources.withoutFirstBlock(model));
  for (const chain of chains) {
    if (chain.length === 0) continue;
    const first = chain.block(0);
    if (first !== 0) for (const holding of index.holders.all(first)) sources.add(index.sourceOf(holding));
    if (chain.context.speculative.size === 0) continue;
    for (const pod of chain.context.speculative.podsOf(hashOf(chain.low(0), chain.high(0)), index.now())) {
      for (const rank of index.sources.ranksOf(model, pod)) sources.add(rank);
    }
  }
  return [...sources].filter(
    ({ pod, groups, isHidden }) => groups.size > 0 && !isHidden && (readyPods?.has(pod) ?? true),
  );
}

/** `undefined` where a group has nothing of this adapter at all: it then cannot have its part of any prefix. */
function groupChains(source: Source, chains: readonly PromptChain[]): GroupChain[] | undefined {
  const found: GroupChain[] = [];
  for (const group of source.groups.values()) {
    const chain = chains.find(({ context }) => context.blockSize === group.blockSize);
    if (chain === undefined) return undefined;
    found.push({ group, chain, needed: neededBlocks(group) });
  }
  return found;
}

function sizeOf({ context }: PromptChain): number {
  return context.blockSize;
}

function claimOf(holdings: RankHoldings, source: Source, blockSize: number, { tierWeights }: MatchRequest): Claim {
  const claim = newClaim(source.pod, source);
  const matched = holdings.longestPrefix(BELIEVED, Number.POSITIVE_INFINITY);
  const known = holdings.longestPrefix(KNOWN, matched);
  const inMemory = holdings.longestPrefix(MEMORY, known);
  claim.matchedBlocks = matched / blockSize;
  claim.knownBlocks = known / blockSize;
  claim.cpuBlocks = inMemory / blockSize;
  claim.gpuBlocks = holdings.longestPrefix(GPU, inMemory) / blockSize;
  for (let block = 0; block < claim.knownBlocks; block++) {
    claim.weightedBlocks += holdings.weight(block * blockSize, known, (places) => bestWeight(places, tierWeights));
  }
  claim.isLowerBound = [...source.groups.values()].some((group) => !isKnownKind(group));
  return claim;
}

/** What one rank of a hybrid model holds of one prompt. */
class RankHoldings {
  readonly #index: HolderIndex;
  readonly #source: Source;
  readonly #groups: readonly GroupChain[];
  /** Tokens: a prefix ends where a block of each group ends. */
  readonly #step: number;

  constructor(index: HolderIndex, source: Source, groups: readonly GroupChain[]) {
    this.#index = index;
    this.#source = source;
    this.#groups = groups;
    this.#step = groups.map(({ chain }) => sizeOf(chain)).reduce(leastCommonMultiple);
  }

  /** In tokens, at most `limit`. */
  longestPrefix(level: Level, limit: number): number {
    let longest = Math.min(limit, ...this.#groups.map(({ chain }) => chain.length * sizeOf(chain)));
    const windows: { readonly size: number; readonly needed: number; readonly runs: readonly number[] }[] = [];
    for (const groupChain of this.#groups) {
      if (groupChain.needed === Number.POSITIVE_INFINITY) {
        longest = Math.min(longest, this.#heldFromStart(groupChain, level, longest));
      }
    }
    for (const groupChain of this.#groups) {
      if (groupChain.needed === Number.POSITIVE_INFINITY) continue;
      const { chain, needed } = groupChain;
      windows.push({ size: sizeOf(chain), needed, runs: this.#runs(groupChain, level, longest) });
    }
    const reaches = (end: number): boolean =>
      windows.every(({ size, needed, runs }) => runs[end / size]! >= Math.min(needed, end / size));
    longest -= longest % this.#step;
    while (longest > 0 && !reaches(longest)) longest -= this.#step;
    return longest;
  }

  /** Of the block that begins at this token, in the group that has it worst of those that need it for a prefix of `end` tokens. */
  weight(start: number, end: number, weightOf: (places: readonly Place[]) => number): number {
    let weight = 1;
    for (const groupChain of this.#groups) {
      const size = sizeOf(groupChain.chain);
      const block = Math.floor(start / size);
      if (block < end / size - groupChain.needed) continue;
      weight = Math.min(weight, weightOf(this.#places(groupChain, block)));
    }
    return weight;
  }

  /** In tokens. */
  #heldFromStart(groupChain: GroupChain, level: Level, limit: number): number {
    const size = sizeOf(groupChain.chain);
    let blocks = 0;
    while ((blocks + 1) * size <= limit && this.#has(groupChain, blocks, level)) blocks++;
    return blocks * size;
  }

  /** How many blocks without a hole end with the n-th, from n = 0. */
  #runs(groupChain: GroupChain, level: Level, limit: number): number[] {
    const runs = [0];
    for (let block = 0; (block + 1) * sizeOf(groupChain.chain) <= limit; block++) {
      runs.push(this.#has(groupChain, block, level) ? runs[block]! + 1 : 0);
    }
    return runs;
  }

  #has(groupChain: GroupChain, block: number, { counts, beliefs }: Level): boolean {
    if (this.#places(groupChain, block).some(counts)) return true;
    const { chain } = groupChain;
    const { speculative } = chain.context;
    if (!beliefs || speculative.size === 0) return false;
    return speculative.has(hashOf(chain.low(block), chain.high(block)), this.#source.pod, this.#index.now());
  }

  /** Where the group has this block. What is stored without a group is there for all, as what is removed without one goes for all. */
  #places({ group, chain }: GroupChain, block: number): Place[] {
    const { holders } = this.#index;
    const { number } = this.#source;
    const held = chain.block(block);
    const found: Place[] = [];
    let name = held === 0 || number === 0 ? 0 : holders.name(held, number);
    while (name !== 0) {
      for (const place of this.#index.placesOf(name).places) {
        if (place.group === null || place.group === group.index) found.push(place);
      }
      name = holders.nextName(held, number, name);
    }
    return found;
  }
}

function leastCommonMultiple(left: number, right: number): number {
  let [a, b] = [left, right];
  while (b !== 0) [a, b] = [b, a % b];
  return (left / a) * right;
}
