import type { BlockRemoved, BlockStored } from "../../src/events/event.ts";
import type { BlockSource, HeldBlock, Lora, PodMatch, RankMatch } from "../../src/indexer/indexer.ts";

/** A block under an engine's name for it: `own` is what the event said of it, `prefix` all from the start of the prompt. */
interface NamedBlock {
  readonly blockSize: number;
  readonly hash: bigint;
  readonly lora: Lora;
  readonly own: string;
  parent: bigint | null;
  readonly places: Set<string>;
}
interface KnownBlock extends NamedBlock {
  readonly prefix: string;
}

interface Group {
  kind: string | null;
  window: number | null;
  blockSize: number;
}

interface Engine {
  readonly model: string;
  readonly pod: string;
  readonly rank: number;
  readonly groups: Map<number, Group>;
  known: KnownBlock[];
  waiting: NamedBlock[];
  /** Places without tokens, by engine hash. */
  bare: Map<bigint, Set<string>>;
}

export interface OracleStats {
  contexts: number;
  blocks: number;
  holders: number;
  orphans: number;
  sources: number;
}

/**
 * What an index should say, the slow way: lists of full prefixes as text, searched from end to end, no hashes, no
 * bounds, no beliefs.
 */
export class Oracle {
  readonly #engines: Engine[] = [];

  stored(source: BlockSource, event: BlockStored): void {
    const engine = this.#engine(source);
    const place = placeName(event);
    const lora = event.loraName ?? event.loraId ?? source.loraId;
    learnGroup(engine, event);
    for (const [i, hash] of event.blockHashes.entries()) {
      const parent = i === 0 ? event.parentBlockHash : event.blockHashes[i - 1]!;
      const ids = [...event.tokenIds.slice(i * event.blockSize, (i + 1) * event.blockSize)];
      if (ids.length < event.blockSize) {
        storePlace(engine, event.blockSize, hash, place);
        continue;
      }
      const keys = (event.extraKeys?.[i] ?? []).filter((key) => key !== event.loraName);
      const salts = parent === null ? keys.filter((key) => typeof key === "string") : [];
      const salt = parent === null ? (salts[0] ?? event.cacheSalt ?? "") : "";
      const others = keys.filter((key) => !salts.includes(key as string));
      const own = blockText(ids, others.length > 0 ? others : null);
      storeBlock(engine, { blockSize: event.blockSize, hash, lora, own, parent, places: new Set([place]) }, salt);
      adopt(engine);
    }
    forgetIfEmpty(engine);
  }

  removed(source: BlockSource, event: BlockRemoved): void {
    const engine = this.#engine(source);
    const name = placeName(event);
    const isMeant = (place: string) => place === name || (event.groupIdx === null && place.startsWith(`${name}/`));
    for (const hash of event.blockHashes) {
      const bare = engine.bare.get(hash);
      const named = [...engine.known, ...engine.waiting].filter((block) => block.hash === hash);
      for (const places of [...named.map((block) => block.places), ...(bare ? [bare] : [])]) {
        for (const place of places) if (isMeant(place)) places.delete(place);
      }
      if (bare?.size === 0) engine.bare.delete(hash);
    }
    engine.known = engine.known.filter((block) => block.places.size > 0);
    engine.waiting = engine.waiting.filter((block) => block.places.size > 0);
    forgetIfEmpty(engine);
  }

  cleared(source: BlockSource): void {
    Object.assign(this.#engine(source), { known: [], waiting: [], bare: new Map() });
    forgetIfEmpty(this.#engine(source));
  }

  match(
    model: string,
    lora: Lora,
    ids: readonly number[],
    ready: ReadonlySet<string> | undefined,
    salt: string,
  ): PodMatch[] {
    const best = new Map<string, PodMatch>();
    for (let blockSize = 1; blockSize <= ids.length; blockSize++) {
      for (const pod of new Set(this.#engines.map((engine) => engine.pod))) {
        if (ready !== undefined && !ready.has(pod)) continue;
        const engines = this.#engines.filter((engine) => engine.model === model && engine.pod === pod);
        const ranks = engines
          .map((engine) => rankMatch(engine, lora, blockSize, ids, salt))
          .filter((rank) => rank.matchedBlocks > 0)
          .sort((left, right) => left.rank - right.rank);
        const matchedBlocks = Math.max(0, ...ranks.map((rank) => rank.matchedBlocks));
        const matchedTokens = matchedBlocks * blockSize;
        if (matchedTokens <= (best.get(pod)?.matchedTokens ?? 0)) continue;
        const matchPercent = Math.floor((100 * matchedBlocks) / Math.floor(ids.length / blockSize));
        best.set(pod, { pod, blockSize, matchedBlocks, matchedTokens, matchPercent, ranks });
      }
    }
    const byName = [...best.values()].sort((left, right) => (left.pod < right.pod ? -1 : 1));
    return byName.sort((left, right) => right.matchedTokens - left.matchedTokens);
  }

  held(source: BlockSource): HeldBlock[] {
    const places = new Map<bigint, Set<string>>();
    for (const block of this.#engine(source).known) {
      places.set(block.hash, new Set([...(places.get(block.hash) ?? []), ...block.places]));
    }
    return [...places].map(([blockHash, names]) => ({ blockHash, places: [...names].sort() }));
  }

  stats(): OracleStats {
    const contexts = new Set<string>();
    const blocks = new Set<string>();
    const holders = new Set<string>();
    let orphans = 0;
    let sources = 0;
    for (const { model, pod, rank, known, waiting, bare } of this.#engines) {
      for (const { lora, blockSize, prefix } of known) {
        const context = JSON.stringify([model, lora, blockSize]);
        contexts.add(context);
        blocks.add(context + prefix);
        holders.add(JSON.stringify([context, prefix, pod, rank]));
      }
      orphans += waiting.length + bare.size;
      if (known.length + waiting.length + bare.size > 0) sources++;
    }
    return { contexts: contexts.size, blocks: blocks.size, holders: holders.size, orphans, sources };
  }

  #engine({ model, pod, rank }: BlockSource): Engine {
    let engine = this.#engines.find((other) => other.model === model && other.pod === pod && other.rank === rank);
    if (engine === undefined) {
      engine = { model, pod, rank, groups: new Map(), known: [], waiting: [], bare: new Map() };
      this.#engines.push(engine);
    }
    return engine;
  }
}

function blockText(ids: readonly number[], keys: readonly unknown[] | null): string {
  return JSON.stringify([ids, keys]);
}

function startText(salt: string): string {
  return `${JSON.stringify(salt)}:`;
}

function placeName({ medium, groupIdx }: BlockStored | BlockRemoved): string {
  const tier = (medium ?? "gpu").toLowerCase();
  return groupIdx === null ? tier : `${tier}/${groupIdx}`;
}

function prefixOf(engine: Engine, block: NamedBlock, salt: string): string | undefined {
  if (block.parent === null) return startText(salt) + block.own;
  const parent = engine.known.find(
    ({ hash, blockSize, lora }) => hash === block.parent && blockSize === block.blockSize && lora === block.lora,
  );
  return parent && parent.prefix + block.own;
}

function storeBlock(engine: Engine, block: NamedBlock, salt: string): void {
  const isNamesake = (other: NamedBlock) => other.hash === block.hash && other.blockSize === block.blockSize;
  const prefix = prefixOf(engine, block, salt);
  const known = engine.known.find(isNamesake);
  const waiting = engine.waiting.find(isNamesake);
  if (known !== undefined && known.lora === block.lora) {
    const isSame =
      prefix === undefined ? known.parent === block.parent && known.own === block.own : known.prefix === prefix;
    if (isSame) {
      for (const place of block.places) known.places.add(place);
      known.parent = block.parent;
      return;
    }
  }
  const isConfirmed = waiting?.parent === block.parent && waiting.own === block.own && waiting.lora === block.lora;
  const earlier = [...(isConfirmed ? waiting.places : []), ...(engine.bare.get(block.hash) ?? [])];
  for (const place of earlier) block.places.add(place);
  engine.bare.delete(block.hash);
  engine.known = engine.known.filter((other) => other !== known);
  engine.waiting = engine.waiting.filter((other) => other !== waiting);
  if (prefix === undefined) engine.waiting.push(block);
  else engine.known.push({ ...block, prefix });
}

function storePlace(engine: Engine, blockSize: number, hash: bigint, place: string): void {
  const all = [...engine.known, ...engine.waiting].filter((block) => block.hash === hash);
  const exact = all.filter((block) => block.blockSize === blockSize);
  for (const block of exact.length > 0 ? exact : all) block.places.add(place);
  if (all.length === 0) engine.bare.set(hash, new Set([...(engine.bare.get(hash) ?? []), place]));
}

function adopt(engine: Engine): void {
  for (let found = true; found; ) {
    found = false;
    for (const block of engine.waiting) {
      const prefix = prefixOf(engine, block, "");
      if (prefix === undefined) continue;
      engine.known.push({ ...block, prefix });
      engine.waiting = engine.waiting.filter((other) => other !== block);
      found = true;
    }
  }
}

function learnGroup(engine: Engine, event: BlockStored): void {
  if (event.groupIdx === null) return;
  const known = engine.groups.get(event.groupIdx);
  if (event.blockSize === 0 && known === undefined) return;
  engine.groups.set(event.groupIdx, {
    kind: event.kvCacheSpecKind ?? known?.kind ?? null,
    window: event.kvCacheSpecSlidingWindow ?? known?.window ?? null,
    blockSize: event.blockSize > 0 ? event.blockSize : known!.blockSize,
  });
}

/** Of an engine that has nothing, nothing is known. */
function forgetIfEmpty({ known, waiting, bare, groups }: Engine): void {
  if (known.length + waiting.length + bare.size === 0) groups.clear();
}

const GPU = ["gpu"];
const MEMORY = ["gpu", "cpu"];

/** The longest prefix that the engine would take from its cache, found by trying all lengths. */
function rankMatch(engine: Engine, lora: Lora, blockSize: number, ids: readonly number[], salt: string): RankMatch {
  const groups = [...engine.groups.entries()];
  const none = { matchedBlocks: 0, gpuBlocks: 0, cpuBlocks: 0, diskBlocks: 0, weightedBlocks: 0 };
  const smallest = Math.min(...groups.map(([, group]) => group.blockSize));
  if (groups.length > 0 && smallest !== blockSize) return { rank: engine.rank, ...none };
  const wanted = groups.length > 0 ? groups : [[null, { kind: "full_attention", window: null, blockSize }] as const];
  const placesOf = (group: number | null, size: number, block: number): string[] => {
    const same = engine.known.filter(
      (known) => known.lora === lora && known.blockSize === size && known.prefix === prefixText(ids, size, block, salt),
    );
    const places = same.flatMap((known) => [...known.places].map((place) => place.split("/")));
    return places.filter(([, of]) => group === null || of === undefined || of === `${group}`).map(([tier]) => tier!);
  };
  const longest = (tiers?: readonly string[]): number => {
    for (let end = ids.length; end > 0; end--) {
      const isTaken = wanted.every(([group, spec]) => {
        if (end % spec.blockSize !== 0) return false;
        const blocks = end / spec.blockSize;
        for (let block = Math.max(0, blocks - needed(spec)); block < blocks; block++) {
          const places = placesOf(group, spec.blockSize, block);
          if (!places.some((tier) => tiers === undefined || tiers.includes(tier))) return false;
        }
        return true;
      });
      if (isTaken) return end;
    }
    return 0;
  };
  const end = longest();
  let weightedBlocks = 0;
  for (let start = 0; start < end; start += blockSize) {
    const weights = wanted.map(([group, spec]) => {
      const block = Math.floor(start / spec.blockSize);
      if (block < end / spec.blockSize - needed(spec)) return 1;
      const tiers = placesOf(group, spec.blockSize, block);
      return Math.max(...tiers.map((tier) => (tier === "gpu" ? 1 : tier === "cpu" ? 0.8 : 0.5)));
    });
    weightedBlocks += Math.min(...weights);
  }
  return {
    rank: engine.rank,
    matchedBlocks: end / blockSize,
    gpuBlocks: longest(GPU) / blockSize,
    cpuBlocks: longest(MEMORY) / blockSize,
    diskBlocks: end / blockSize,
    weightedBlocks,
    ...(groups.some(([, spec]) => needed(spec) === 1e9 && spec.kind !== "full_attention") && { isLowerBound: true }),
  };
}

/** Blocks at the end of a prefix. */
function needed({ kind, window, blockSize }: Group): number {
  if (kind === "full_attention") return 1e9;
  if (kind === "mamba") return 1;
  return window === null ? 1e9 : Math.max(1, Math.ceil((window - 1) / blockSize));
}

function prefixText(ids: readonly number[], blockSize: number, block: number, salt: string): string {
  let text = startText(salt);
  for (let at = 0; at <= block; at++) text += blockText(ids.slice(at * blockSize, (at + 1) * blockSize), null);
  return text;
}
