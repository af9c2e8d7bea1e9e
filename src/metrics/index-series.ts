import type { Registry } from "prom-client";
import type { IndexStats, PrefixIndexer } from "../indexer/indexer.ts";
import { pulledCounter, pulledGauge } from "./pulled.ts";

const GAUGES: Readonly<Record<string, readonly [help: string, read: (stats: IndexStats) => number]>> = {
  kvcache_index_blocks: ["Distinct blocks in the index.", (stats) => stats.blocks],
  kvcache_index_holders: ["Pairs of a block and a rank that holds it.", (stats) => stats.holders],
  kvcache_index_orphans: [
    "Blocks kept aside because their parent, or their tokens, are not known.",
    (stats) => stats.orphans,
  ],
  kvcache_index_contexts: ["Distinct models, adapters and block sizes in the index.", (stats) => stats.contexts],
  kvcache_index_sources: ["Ranks that the index knows of.", (stats) => stats.sources],
};

/** The size of the index, as `PrefixIndexer.stats()` has it at the scrape. */
export function registerIndexSeries(registry: Registry, prefix: string, indexer: Pick<PrefixIndexer, "stats">): void {
  for (const [name, [help, read]] of Object.entries(GAUGES)) {
    const samples = () => [{ labels: {}, value: read(indexer.stats()) }];
    pulledGauge(registry, { name: prefix + name, help, labelNames: [], read: samples });
  }
  pulledCounter(registry, {
    name: `${prefix}kvcache_index_evicted_blocks_total`,
    help: "Blocks dropped from the index to stay within its bounds.",
    labelNames: [],
    read: () => [{ labels: {}, value: indexer.stats().evictedBlocks }],
  });
}
