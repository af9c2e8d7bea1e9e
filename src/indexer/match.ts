import type { HolderIndex } from "./holder-index.ts";
import { hybridClaims } from "./hybrid-match.ts";
import type { Lora, PodMatch, RankMatch } from "./indexer.ts";
import { getOrCreate } from "./maps.ts";
import { type Prompt, PromptChain } from "./prompt-chain.ts";
import type { Source } from "./sources.ts";
import { bestWeight, isInMemory, isOnGpu, type TierWeights } from "./tiers.ts";

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
  readonly readyPods: ReadonlySet<string> | undefined;
  readonly tierWeights: TierWeights;
}

/** Which pods hold how much of the prompt, in any order; a pod can be there once for each block size. What was found counts as used. */
export function matchBlocks(index: HolderIndex, request: MatchRequest): PodMatch[] {
  const { model, lora, prompt } = request;
  const chains = index.contexts.find(model, lora).map((context) => new PromptChain(index, context, prompt));
  const plain = chains.map((chain) => (chain.length === 0 ? [] : plainClaims(index, chain, request)));
  const hybrid = hybridClaims(index, chains, request);
  return chains.flatMap((chain, at) => {
    const claims = [...plain[at]!, ...(hybrid.get(chain) ?? [])].filter(({ matchedBlocks }) => matchedBlocks > 0);
    if (claims.length === 0) return [];
    chain.mention(Math.max(...claims.map(({ matchedBlocks }) => matchedBlocks)));
    index.contexts.settle(chain.context);
    return podMatches(claims, chain);
  });
}

export function newClaim(pod: string, source: Source | undefined): Claim {
  const none = { matchedBlocks: 0, knownBlocks: 0, gpuBlocks: 0, cpuBlocks: 0, weightedBlocks: 0 };
  return { pod, source, ...none, isLowerBound: false };
}

/** What ranks without attention groups hold, and what is believed: everything from the first block on. */
function plainClaims(index: HolderIndex, chain: PromptChain, request: MatchRequest): Claim[] {
  const claims = openClaims(index, chain, request);
  let going = claims;
  for (let i = 0; i < chain.length && going.length > 0; i++) {
    going = going.filter((claim) => extendClaim(index, chain, claim, i, request.tierWeights));
  }
  return claims;
}

/** Everybody who may have the first block. */
function openClaims(index: HolderIndex, chain: PromptChain, { model, readyPods }: MatchRequest): Claim[] {
  const sources = new Set<Source>(chain.block(0)?.holders.keys());
  const believed = chain.context.speculative.podsOf(chain.hash(0), index.now());
  for (const pod of believed) for (const rank of index.sources.ranksOf(model, pod)) sources.add(rank);
  const plain = [...sources].filter(({ isHidden, groups }) => !isHidden && groups.size === 0);
  const claims = plain.map((source) => newClaim(source.pod, source));
  claims.push(...believed.map((pod) => newClaim(pod, undefined)));
  return readyPods === undefined ? claims : claims.filter(({ pod }) => readyPods.has(pod));
}

/** Counts block `i` if the claim covers it; false ends the claim. */
function extendClaim(index: HolderIndex, chain: PromptChain, claim: Claim, i: number, weights: TierWeights): boolean {
  const names = claim.source === undefined ? undefined : chain.block(i)?.holders.get(claim.source);
  if (names === undefined && !chain.context.speculative.has(chain.hash(i), claim.pod, index.now())) return false;
  claim.matchedBlocks = i + 1;
  if (names === undefined || claim.knownBlocks < i) return true;
  claim.knownBlocks = i + 1;
  const onGpu = names.some(({ places }) => places.some(isOnGpu));
  if (onGpu && claim.gpuBlocks === i) claim.gpuBlocks = i + 1;
  const inMemory = onGpu || names.some(({ places }) => places.some(isInMemory));
  if (inMemory && claim.cpuBlocks === i) claim.cpuBlocks = i + 1;
  claim.weightedBlocks += Math.max(...names.map(({ places }) => bestWeight(places, weights)));
  return true;
}

function podMatches(claims: readonly Claim[], { context, length }: PromptChain): PodMatch[] {
  const { blockSize } = context;
  const byPod = new Map<string, { matchedBlocks: number; ranks: RankMatch[] }>();
  for (const claim of claims) {
    const found = getOrCreate(byPod, claim.pod, () => ({ matchedBlocks: 0, ranks: [] }));
    found.matchedBlocks = Math.max(found.matchedBlocks, claim.matchedBlocks);
    if (claim.source !== undefined && claim.knownBlocks > 0) found.ranks.push(rankMatch(claim.source.rank, claim));
  }
  return [...byPod].map(([pod, { matchedBlocks, ranks }]) => ({
    pod,
    blockSize,
    matchedBlocks,
    matchedTokens: matchedBlocks * blockSize,
    matchPercent: Math.floor((100 * matchedBlocks) / length),
    ranks: ranks.sort((left, right) => left.rank - right.rank),
  }));
}

function rankMatch(rank: number, claim: Claim): RankMatch {
  const { knownBlocks, gpuBlocks, cpuBlocks, weightedBlocks, isLowerBound } = claim;
  const counts = { matchedBlocks: knownBlocks, gpuBlocks, cpuBlocks, diskBlocks: knownBlocks, weightedBlocks };
  return { rank, ...counts, ...(isLowerBound && { isLowerBound }) };
}
