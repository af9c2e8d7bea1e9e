import { type BlockHash, type KVEvent, tierOf } from "../../src/events/event.ts";
import type { PooledBlock } from "../../src/simulator/engine.ts";

/** What an engine's events say that it holds, by the plain rules: the oracle for pools. */
export class Fold {
  /** Tiers of each block. */
  readonly tiers: Map<BlockHash, Set<string>> = new Map();
  /** Prefix of each block that was ever stored with its tokens, and its adapter and salt. */
  readonly prefixes: Map<BlockHash, string> = new Map();

  apply(events: readonly KVEvent[]): void {
    for (const event of events) {
      if (event.type === "AllBlocksCleared") this.tiers.clear();
      else if (event.type === "BlockRemoved") {
        for (const hash of event.blockHashes) {
          if (!this.tiers.get(hash)?.delete(tierOf(event.medium))) throw new Error(`${hash} is not on ${event.medium}`);
          if (this.tiers.get(hash)?.size === 0) this.tiers.delete(hash);
        }
      } else {
        let parent = event.parentBlockHash;
        for (const [index, hash] of event.blockHashes.entries()) {
          if (event.tokenIds.length > 0) {
            if (parent !== null && !this.tiers.has(parent)) throw new Error(`parent ${parent} of ${hash} is not held`);
            const tokens = event.tokenIds.subarray(index * event.blockSize, (index + 1) * event.blockSize);
            const root = JSON.stringify([event.loraName, ...(event.extraKeys?.[index] ?? [])]);
            const before = parent === null ? root : this.prefixes.get(parent)!;
            this.prefixes.set(hash, `${before} ${tokens.join(" ")}`);
          }
          const tiers = this.tiers.get(hash) ?? new Set<string>();
          this.tiers.set(hash, tiers.add(tierOf(event.medium)));
          parent = hash;
        }
      }
    }
  }

  /** Each block with its prefix and tiers, sorted. */
  held(): readonly string[] {
    return [...this.tiers].map(([hash, tiers]) => line(hash, this.prefixes.get(hash) ?? "?", [...tiers])).sort();
  }
}

/** A pool in the same form. */
export function heldBy(pool: Iterable<PooledBlock>): readonly string[] {
  return [...pool]
    .map((block) => {
      const keys = [block.loraName, ...[block.loraName, block.cacheSalt].filter((key) => key !== null)];
      return line(block.blockHash, `${JSON.stringify(keys)} ${block.prefixTokens().join(" ")}`, block.tiers);
    })
    .sort();
}

function line(hash: BlockHash, prefix: string, tiers: readonly string[]): string {
  return `${hash} ${prefix} @ ${[...tiers].sort().join(",")}`;
}
