import { hashOf } from "./block-hasher.ts";
import type { HolderIndex } from "./holder-index.ts";
import { hybridClaims } from "./hybrid-match.ts";
import type { Lora, PodMatch, RankMatch } from "./indexer.ts";
import { getOrCreate } from "./maps.ts";
import { PlainMatch } from "./plain-match.ts";
import { ChainMemory, type Prompt, PromptChain } from "./prompt-chain.ts";
import type { Source } from "./sources.ts";
import type { TierWeights } from "./tiers.ts";

/**
 * One way in which a pod can have the prompt: on a rank, or (without a rank) by belief alone. Beliefs know no rank, so
 * they fill the holes of each; `known` counts what needed no belief.
 */
export interface Claim {
  readonly pod: string;
  readonly source: Source | undefined;
  matchedBlocks: number;
  knownBlocks: number;
  gpuBlocks: number;
  cpuBlocks: number;
  weightedBlocks: number;
  /** See `RankMatch.isLowerBound`. */
  isLowerBound: boolean;
}

/** What is asked for. */
export interface MatchRequest {
  readonly model: string;
  readonly lora: Lora;
  readonly prompt: Prompt;
  /** Only blocks of this size. */
  readonly blockSize?: number | undefined;
  readonly readyPods: ReadonlySet<string> | undefined;
  readonly tierWeights: TierWeights;
}

/** Answers queries; what it needs for one it uses again for the next. */
export class Matcher {
  readonly #index: HolderIndex;
  readonly #plain: PlainMatch;
  readonly #memories: ChainMemory[] = [];

  constructor(index: HolderIndex, tierWeights: TierWeights) {
    this.#index = index;
    this.#plain = new PlainMatch(index, tierWeights["gpu"] ?? 1);
  }

  /**
   * Which pods hold how much of the prompt, best first, of equals by name; a pod can be there once for each block size.
   * What was found counts as used.
   */
  match(request: MatchRequest): PodMatch[] {
    const index = this.#index;
    const chains = this.#chains(request);
    const simple = chains.length === 1 ? this.#simpleMatches(chains[0]!, request) : null;
    if (simple !== null) return simple;
    const plain = chains.map((chain) => (chain.length === 0 ? [] : this.#plainClaims(chain, request)));
    const hybrid = hybridClaims(index, chains, request);
    const matches: PodMatch[] = [];
    for (const [at, chain] of chains.entries()) {
      const claims = plain[at]!;
      for (const claim of hybrid.get(chain) ?? []) if (claim.matchedBlocks > 0) claims.push(claim);
      if (claims.length === 0) continue;
      let longest = 0;
      for (const { matchedBlocks } of claims) longest = Math.max(longest, matchedBlocks);
      chain.mention(longest);
      index.contexts.settle(chain.context);
      podMatches(claims, chain, matches);
    }
    return matches.sort(compareMatches);
  }

  /**
   * Where there are no groups, no beliefs, and one rank of every pod, as nearly always: without a claim for each source, and
   * sorted by numbers. `null` where it is not so.
   */
  #simpleMatches(chain: PromptChain, request: MatchRequest): PodMatch[] | null {
    const { sources, contexts } = this.#index;
    if (sources.haveGroups || sources.haveRanks || chain.context.speculative.size > 0 || chain.length === 0)
      return null;
    const plain = this.#plain;
    const longest = plain.run(chain, request.readyPods);
    if (longest === 0) return [];
    const { found, foundCount, known } = plain;
    chain.mention(longest);
    contexts.settle(chain.context);
    const order = sources.podOrder();
    const matches = new Array<PodMatch>(foundCount);
    const places = order.sort(found, foundCount, known, longest);
    const { blockSize } = chain.context;
    // Neighbours are alike: what they have in common is made once.
    let last = 0;
    let lastRank = 0;
    let matchedBlocks = -1;
    let matchedTokens = 0;
    let matchPercent = 0;
    let ranks: readonly RankMatch[] = [];
    for (let at = 0; at < foundCount; at++) {
      const place = places[at]!;
      const number = order.numbers[place]!;
      const rank = order.ranks[place]!;
      if (known[number] !== matchedBlocks || rank !== lastRank || !plain.areAlike(number, last)) {
        last = number;
        lastRank = rank;
        ranks = [rankMatch(rank, this.#claim(sources.numbered(number), 0))];
        ({ matchedBlocks, matchedTokens, matchPercent } = podMatch("", known[number]!, ranks, chain));
      }
      const pod = order.pods[place]!;
      matches[at] = { pod, blockSize, matchedBlocks, matchedTokens, matchPercent, ranks };
    }
    return matches;
  }

  #chains({ model, lora, prompt, blockSize }: MatchRequest): PromptChain[] {
    const chains: PromptChain[] = [];
    for (const context of this.#index.contexts.find(model, lora)) {
      if (blockSize !== undefined && context.blockSize !== blockSize) continue;
      this.#memories[chains.length] ??= new ChainMemory();
      chains.push(new PromptChain(this.#index, context, prompt, this.#memories[chains.length]!));
    }
    return chains;
  }

  /** What ranks without attention groups hold, and what is believed: everything from the first block on. */
  #plainClaims(chain: PromptChain, request: MatchRequest): Claim[] {
    const { sources } = this.#index;
    const plain = this.#plain;
    plain.run(chain, request.readyPods);
    const claims: Claim[] = [];
    for (let at = 0; at < plain.foundCount; at++) {
      const number = plain.found[at]!;
      const known = plain.known[number]!;
      if (known > 0) claims.push(this.#claim(sources.numbered(number), known));
    }
    if (chain.context.speculative.size > 0) this.#addBeliefs(claims, chain, request);
    return claims;
  }

  /** Of a source that the plain match has found. */
  #claim(source: Source, matchedBlocks: number): Claim {
    const { number, pod } = source;
    const plain = this.#plain;
    const knownBlocks = plain.knownBlocks(number);
    return {
      pod,
      source,
      matchedBlocks,
      knownBlocks,
      gpuBlocks: plain.gpuBlocks(number),
      cpuBlocks: plain.memoryBlocks(number),
      weightedBlocks: plain.weightedBlocks(number),
      isLowerBound: false,
    };
  }

  /** Beliefs make a claim longer where it ends at a block that is believed, and they make claims of their own. */
  #addBeliefs(claims: Claim[], chain: PromptChain, request: MatchRequest): void {
    const { readyPods } = request;
    const ends = new Map<number, Claim[]>([[0, this.#believedFromStart(chain, request)]]);
    for (const claim of claims) getOrCreate(ends, claim.matchedBlocks, (): Claim[] => []).push(claim);
    for (const [end, ending] of ends) {
      if (end >= chain.length || ending.length === 0) continue;
      const pods = new Set(this.#believers(chain, end));
      for (const claim of ending) {
        if (!pods.has(claim.pod) || readyPods?.has(claim.pod) === false) continue;
        if (end === 0) claims.push(claim);
        claim.matchedBlocks = this.#extend(chain, claim, end);
      }
    }
  }

  /** Claims on no block yet: of pods, and of their ranks that do not hold the first block. */
  #believedFromStart(chain: PromptChain, { model }: MatchRequest): Claim[] {
    const claims: Claim[] = [];
    for (const pod of this.#believers(chain, 0)) {
      claims.push(newClaim(pod, undefined));
      for (const rank of this.#index.sources.ranksOf(model, pod)) {
        if (rank.isHidden || rank.groups.size > 0 || this.#plain.knownBlocks(rank.number) > 0) continue;
        claims.push(newClaim(pod, rank));
      }
    }
    return claims;
  }

  /** How many blocks the claim covers, whose first `start` it does. */
  #extend(chain: PromptChain, { pod, source }: Claim, start: number): number {
    let end = start;
    while (end < chain.length && (this.#isHeld(chain, end, source) || this.#isBelieved(chain, end, pod))) end++;
    return end;
  }

  #isHeld(chain: PromptChain, i: number, source: Source | undefined): boolean {
    if (source === undefined || source.number === 0) return false;
    const block = chain.block(i);
    return block !== 0 && this.#index.holders.name(block, source.number) !== 0;
  }

  #isBelieved(chain: PromptChain, i: number, pod: string): boolean {
    return chain.context.speculative.has(hashOf(chain.low(i), chain.high(i)), pod, this.#index.now());
  }

  #believers(chain: PromptChain, i: number): string[] {
    return chain.context.speculative.podsOf(hashOf(chain.low(i), chain.high(i)), this.#index.now());
  }
}

export function newClaim(pod: string, source: Source | undefined): Claim {
  const none = { matchedBlocks: 0, knownBlocks: 0, gpuBlocks: 0, cpuBlocks: 0, weightedBlocks: 0 };
  return { pod, source, ...none, isLowerBound: false };
}

/** The most tokens first, of equals by name, then the smallest block. */
function compareMatches(left: PodMatch, right: PodMatch): number {
  if (left.matchedTokens !== right.matchedTokens) return right.matchedTokens - left.matchedTokens;
  if (left.pod !== right.pod) return left.pod < right.pod ? -1 : 1;
  return left.blockSize - right.blockSize;
}

function podMatch(
  pod: string,
  matchedBlocks: number,
  ranks: readonly RankMatch[],
  { context, length }: PromptChain,
): PodMatch {
  const { blockSize } = context;
  return {
    pod,
    blockSize,
    matchedBlocks,
    matchedTokens: matchedBlocks * blockSize,
    matchPercent: Math.floor((100 * matchedBlocks) / length),
    ranks,
  };
}

function podMatches(claims: readonly Claim[], chain: PromptChain, matches: PodMatch[]): void {
  const byPod = new Map<string, { matchedBlocks: number; ranks: RankMatch[] }>();
  for (const claim of claims) {
    const found = getOrCreate(byPod, claim.pod, () => ({ matchedBlocks: 0, ranks: [] }));
    if (claim.matchedBlocks > found.matchedBlocks) found.matchedBlocks = claim.matchedBlocks;
    if (claim.source !== undefined && claim.knownBlocks > 0) found.ranks.push(rankMatch(claim.source.rank, claim));
  }
  for (const [pod, { matchedBlocks, ranks }] of byPod) {
    if (ranks.length > 1) ranks.sort((left, right) => left.rank - right.rank);
    matches.push(podMatch(pod, matchedBlocks, ranks, chain));
  }
}

function rankMatch(rank: number, claim: Claim): RankMatch {
  const { knownBlocks, gpuBlocks, cpuBlocks, weightedBlocks, isLowerBound } = claim;
  const counts = { matchedBlocks: knownBlocks, gpuBlocks, cpuBlocks, diskBlocks: knownBlocks, weightedBlocks };
  return isLowerBound ? { rank, ...counts, isLowerBound } : { rank, ...counts };
}
