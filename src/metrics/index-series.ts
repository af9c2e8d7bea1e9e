import type { Registry } from "prom-client";
import type { IndexStats, PrefixIndexer, SourceStats } from "../indexer/indexer.ts";
import { pulledCounter, pulledGauge, type Sample } from "./pulled.ts";

/** What is told of an index. */
export type MeasuredIndexer = Pick<PrefixIndexer, "stats" | "sourceStats" | "bytes">;

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

const POD_GAUGES: Readonly<Record<string, readonly [help: string, read: (source: SourceStats) => number]>> = {
  kvcache_index_pod_blocks: ["Blocks that a pod's ranks hold, each rank's counted.", (source) => source.blocks],
  kvcache_index_pod_orphans: ["Blocks of a pod that are kept aside.", (source) => source.orphans],
  kvcache_index_pod_bytes: [
    "Memory that a pod's blocks take in the index, without what pods share.",
    (source) => source.bytes,
  ],
};

/** The size of the index, in all and by pod, as it is at the scrape. */
export function registerIndexSeries(registry: Registry, prefix: string, indexer: MeasuredIndexer): void {
  for (const [name, [help, read]] of Object.entries(GAUGES)) {
    const samples = () => [{ labels: {}, value: read(indexer.stats()) }];
    pulledGauge(registry, { name: prefix + name, help, labelNames: [], read: samples });
  }
  pulledGauge(registry, {
    name: `${prefix}kvcache_index_bytes`,
    help: "Memory that the index takes.",
    labelNames: [],
    read: () => [{ labels: {}, value: indexer.bytes }],
  });
  pulledCounter(registry, {
    name: `${prefix}kvcache_index_evicted_blocks_total`,
    help: "Blocks dropped from the index to stay within its bounds.",
    labelNames: [],
    read: () => [{ labels: {}, value: indexer.stats().evictedBlocks }],
  });
  for (const [name, [help, read]] of Object.entries(POD_GAUGES)) {
    const samples = () => byPod(indexer.sourceStats(), read);
    pulledGauge(registry, { name: prefix + name, help, labelNames: ["model", "pod_key"], read: samples });
  }
}

function* byPod(
  sources: Iterable<SourceStats>,
  read: (source: SourceStats) => number,
): IterableIterator<Sample<"model" | "pod_key">> {
  const models = new Map<string, Map<string, number>>();
  for (const source of sources) {
    const pods = models.get(source.model) ?? new Map<string, number>();
    models.set(source.model, pods);
    pods.set(source.pod, (pods.get(source.pod) ?? 0) + read(source));
  }
  for (const [model, pods] of models) for (const [pod_key, value] of pods) yield { labels: { model, pod_key }, value };
}
