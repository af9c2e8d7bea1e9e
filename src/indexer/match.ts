import type { BlockHasher } from "./block-hash.ts";
import { extraKey, rootKey } from "./block-identity.ts";
import type { Block, Context } from "./context.ts";
import type { HolderIndex } from "./holder-index.ts";
import type { PodMatch, PromptIdentity, RankMatch } from "./indexer.ts";
import { getOrCreate } from "./maps.ts";
import type { Source } from "./sources.ts";

/** A prompt whose blocks can be named. */
export interface Prompt {
  readonly tokens: Uint32Array;
  readonly hasher: BlockHasher;
  readonly identity: PromptIdentity;
}

/** What the first block of this prompt chains on. */
export function rootOf({ hasher, identity }: Prompt): bigint {
  return hasher.root(rootKey(identity.extraKeys?.[0] ?? null, identity.cacheSalt ?? null));
}

/** What else is in the hash of a block of this prompt. */
export function extraOf({ hasher, identity }: Prompt, blockIndex: number): bigint {
  return hasher.extra(extraKey(identity.extraKeys?.[blockIndex] ?? null, blockIndex === 0));
}

/**
 * One way in which a pod can have the prompt: on a rank, or (without a rank) by belief alone. Beliefs know no rank, so
 * they fill the holes of each; `known` counts what needed no belief.
 */
interface Claim {
  readonly pod: string;
  readonly source: Source | undefined;
  matchedBlocks: number;
  knownBlocks: number;
  gpuBlocks: number;
  cpuBlocks: number;
}

/** Which pods hold how much of the prompt in this context, in any order. What was found counts as used. */
export function matchContext(
  index: HolderIndex,
  context: Context,
  prompt: Prompt,
  readyPods: ReadonlySet<string> | undefined,
): PodMatch[] {
  const { tokens, hasher } = prompt;
  const promptBlocks = Math.floor(tokens.length / context.blockSize);
  const matched: Block[] = [];
  let hash = rootOf(prompt);
  let claims: Claim[] = [];
  let going: Claim[] = [];
  for (let i = 0; i < promptBlocks; i++) {
    const start = i * context.blockSize;
    hash = hasher.step(hash, tokens, start, start + context.blockSize, extraOf(prompt, i));
    const block = index.find(context, hash);
    if (i === 0) claims = openClaims(index, context, hash, block, readyPods);
    going = (i === 0 ? claims : going).filter((claim) => extendClaim(index, context, claim, hash, block, i));
    if (going.length === 0) break;
    if (block !== undefined) matched.push(block);
  }
  index.mention(matched);
  return podMatches(claims, context.blockSize, promptBlocks);
}

/** Everybody who may have the first block. */
function openClaims(
  index: HolderIndex,
  context: Context,
  hash: bigint,
  block: Block | undefined,
  readyPods: ReadonlySet<string> | undefined,
): Claim[] {
  const sources = new Set<Source>(block?.holders.keys());
  const believed = context.speculative.podsOf(hash, index.now());
  for (const pod of believed) for (const rank of index.sources.ranksOf(context.model, pod)) sources.add(rank);
  const claims = [...sources].filter(({ isHidden }) => !isHidden).map((source) => newClaim(source.pod, source));
  claims.push(...believed.map((pod) => newClaim(pod, undefined)));
  return readyPods === undefined ? claims : claims.filter(({ pod }) => readyPods.has(pod));
}

function newClaim(pod: string, source: Source | undefined): Claim {
  return { pod, source, matchedBlocks: 0, knownBlocks: 0, gpuBlocks: 0, cpuBlocks: 0 };
}

/** Counts block `i` if the claim covers it; false ends the claim. */
function extendClaim(
  index: HolderIndex,
  context: Context,
  claim: Claim,
  hash: bigint,
  block: Block | undefined,
  i: number,
): boolean {
  const names = claim.source === undefined ? undefined : block?.holders.get(claim.source);
  if (names === undefined && !context.speculative.has(hash, claim.pod, index.now())) return false;
  claim.matchedBlocks = i + 1;
  if (names === undefined || claim.knownBlocks < i) return true;
  claim.knownBlocks = i + 1;
  const onGpu = names.some(({ places }) => places.some(({ tier }) => tier === "gpu"));
  if (onGpu && claim.gpuBlocks === i) claim.gpuBlocks = i + 1;
  const inMemory = onGpu || names.some(({ places }) => places.some(({ tier }) => tier === "cpu"));
  if (inMemory && claim.cpuBlocks === i) claim.cpuBlocks = i + 1;
  return true;
}

function podMatches(claims: readonly Claim[], blockSize: number, promptBlocks: number): PodMatch[] {
  const byPod = new Map<string, { matchedBlocks: number; ranks: RankMatch[] }>();
  for (const { pod, source, matchedBlocks, knownBlocks, gpuBlocks, cpuBlocks } of claims) {
    if (matchedBlocks === 0) continue;
    const found = getOrCreate(byPod, pod, () => ({ matchedBlocks: 0, ranks: [] }));
    found.matchedBlocks = Math.max(found.matchedBlocks, matchedBlocks);
    if (source === undefined || knownBlocks === 0) continue;
    found.ranks.push({ rank: source.rank, matchedBlocks: knownBlocks, gpuBlocks, cpuBlocks, diskBlocks: knownBlocks });
  }
  return [...byPod].map(([pod, { matchedBlocks, ranks }]) => ({
    pod,
    blockSize,
    matchedBlocks,
    matchedTokens: matchedBlocks * blockSize,
    matchPercent: Math.floor((100 * matchedBlocks) / promptBlocks),
    ranks: ranks.sort((left, right) => left.rank - right.rank),
  }));
}
