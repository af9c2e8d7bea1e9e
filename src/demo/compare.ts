import type { BlockHash } from "../events/event.ts";
import type { BlockSource, PrefixIndexer } from "../indexer/indexer.ts";
import type { PooledBlock } from "../simulator/engine.ts";

/**
 * Where an index and an engine do not agree. `missing`: only the engine holds the block. `extra`: only the index says
 * so. `tiers`: both, but elsewhere. `unmatched`: a prompt that ends with the block is not found whole.
 */
export interface Difference {
  readonly kind: "missing" | "extra" | "tiers" | "unmatched";
  readonly pod: string;
  readonly rank: number;
  readonly blockHash: BlockHash;
  /** What each of them has, for a person. */
  readonly detail: string;
}

export interface Comparison {
  /** That the engine holds. */
  readonly blocks: number;
  readonly differences: readonly Difference[];
}

/** Compares, block by block and in both directions, what the index holds of a source with that engine's own pool. */
export function comparePool(
  indexer: Pick<PrefixIndexer, "heldBlocks" | "matchPrefix">,
  source: BlockSource,
  pool: Iterable<PooledBlock>,
): Comparison {
  const differences: Difference[] = [];
  const differ = (kind: Difference["kind"], blockHash: BlockHash, detail: string): void => {
    differences.push({ kind, pod: source.pod, rank: source.rank, blockHash, detail });
  };
  const held = new Map(Array.from(indexer.heldBlocks(source), (block) => [block.blockHash, block.places]));
  let blocks = 0;
  for (const block of pool) {
    blocks++;
    const tiers = block.tiers.toSorted().join(", ");
    const places = held.get(block.blockHash)?.join(", ");
    held.delete(block.blockHash);
    if (places === undefined) {
      differ("missing", block.blockHash, `the engine holds it in ${tiers}, the index nowhere`);
      continue;
    }
    if (places !== tiers) differ("tiers", block.blockHash, `the engine holds it in ${tiers}, the index in ${places}`);
    const matched = matchedTokens(indexer, source, block);
    const wanted = block.prefixTokens().length;
    if (matched !== wanted) differ("unmatched", block.blockHash, `the index matches ${matched} of ${wanted} tokens`);
  }
  for (const [hash, places] of held)
    differ("extra", hash, `the index holds it in ${places.join(", ")}, the engine nowhere`);
  return { blocks, differences };
}

/** Of the prompt that ends with this block, on this rank. */
function matchedTokens(
  indexer: Pick<PrefixIndexer, "matchPrefix">,
  { model, pod, rank }: BlockSource,
  { loraName, cacheSalt, prefixTokens, tokenIds }: PooledBlock,
): number {
  const identity = cacheSalt === null ? {} : { cacheSalt };
  const [match] = indexer.matchPrefix(model, loraName ?? -1, prefixTokens(), new Set([pod]), identity);
  const blocks = match?.ranks.find((each) => each.rank === rank)?.matchedBlocks ?? 0;
  return blocks * tokenIds.length;
}
