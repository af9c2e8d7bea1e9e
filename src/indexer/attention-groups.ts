import type { BlockStored } from "../events/event.ts";

/**
 * One attention group of a hybrid model, as its engine announces it (vLLM `vllm/v1/kv_cache_interface.py`): its layers
 * share a kind of attention, and each token block is stored once for each group.
 */
export interface AttentionGroup {
  /** `group_idx`. */
  readonly index: number;
  /** `kv_cache_spec_kind`, such as `full_attention` or `sliding_window`; `null` where the engine does not say. */
  readonly kind: string | null;
  /** Tokens. */
  readonly slidingWindow: number | null;
  /** Tokens per block of this group. */
  readonly blockSize: number;
}

/** What an event says of its group. */
type GroupNews = Pick<BlockStored, "groupIdx" | "blockSize" | "kvCacheSpecKind" | "kvCacheSpecSlidingWindow">;

/** More than any model has; only a broken engine reaches it. */
const MAX_GROUPS = 64;

/** A longer name is none that is known. */
const MAX_KIND_CHARACTERS = 64;

/** Each token looks at all before it. A window that is named beside them is not used for caching. */
const FULL_KINDS: ReadonlySet<string> = new Set(["full_attention", "mla_attention", "sink_full_attention"]);

/**
 * How many blocks at the end of a prefix the group must hold, as vLLM looks for cache hits
 * (`vllm/v1/core/single_type_kv_cache_manager.py`): all of them, those of the last window, or the last state alone.
 * Where the kind does not tell, all of them: that never promises too much.
 */
export function neededBlocks({ kind, slidingWindow, blockSize }: AttentionGroup): number {
  if (kind !== null && FULL_KINDS.has(kind)) return Number.POSITIVE_INFINITY;
  if (kind === "mamba") return 1;
  if (slidingWindow === null || slidingWindow < 1) return Number.POSITIVE_INFINITY;
  return Math.max(1, Math.ceil((slidingWindow - 1) / blockSize));
}

/** Whether it is told how much the group needs, and not just assumed that it needs all. */
export function isKnownKind(group: AttentionGroup): boolean {
  return (group.kind !== null && FULL_KINDS.has(group.kind)) || Number.isFinite(neededBlocks(group));
}

/** The groups that one engine process has named. None: its model has one kind of attention, or it does not say. */
export class AttentionGroups {
  readonly #groups = new Map<number, AttentionGroup>();

  get size(): number {
    return this.#groups.size;
  }

  /** Whether a prefix of this engine can be told from its first block: some group must hold all of it. */
  get needFirstBlock(): boolean {
    for (const group of this.#groups.values()) if (neededBlocks(group) === Number.POSITIVE_INFINITY) return true;
    return this.#groups.size === 0;
  }

  values(): IterableIterator<AttentionGroup> {
    return this.#groups.values();
  }

  /** Learns from an event that names its group; what an event leaves out is taken from an earlier one. */
  learn({ groupIdx, blockSize, kvCacheSpecKind, kvCacheSpecSlidingWindow }: GroupNews): void {
    if (groupIdx === null) return;
    const known = this.#groups.get(groupIdx);
    // Offloading counts in blocks of its own, and may not know the size: the group's is the one that comes with tokens.
    const size = blockSize >= 1 ? blockSize : known?.blockSize;
    if (size === undefined) return;
    this.add({
      index: groupIdx,
      kind: kvCacheSpecKind ?? known?.kind ?? null,
      slidingWindow: kvCacheSpecSlidingWindow ?? known?.slidingWindow ?? null,
      blockSize: size,
    });
  }

  add(group: AttentionGroup): void {
    if (!this.#groups.has(group.index) && this.#groups.size >= MAX_GROUPS) return;
    const kind = group.kind !== null && group.kind.length > MAX_KIND_CHARACTERS ? null : group.kind;
    this.#groups.set(group.index, { ...group, kind });
  }
}
