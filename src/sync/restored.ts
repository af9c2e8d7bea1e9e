import type { Pod } from "../discovery/discovery.ts";
import type { PrefixIndexer } from "../indexer/indexer.ts";
import { isSamePod, type StreamState } from "./stream-state.ts";

/**
 * Streams of an earlier process, or of a peer, whose blocks are in the index and hidden. Each waits for its pod to be
 * announced. What nobody can go on from is cleared.
 */
export class RestoredStreams {
  readonly #indexer: PrefixIndexer;
  readonly #waiting = new Map<string, StreamState>();

  constructor(indexer: PrefixIndexer) {
    this.#indexer = indexer;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(state: StreamState): void {
    this.#waiting.set(idOf(state.pod, state.rank), state);
  }

  /** What the stream of this rank goes on from; `undefined` where nothing is known, or what is known is of another pod. */
  take(pod: Pod, rank: number): StreamState | undefined {
    const id = idOf(pod, rank);
    const state = this.#waiting.get(id);
    if (state === undefined) return undefined;
    this.#waiting.delete(id);
    // A rank that has an endpoint of its own by now must not keep what another one told for it.
    const speaksForOther = state.sources.some(
      (source) => source.rank !== rank && pod.ranks.some((each) => each.rank === source.rank),
    );
    if (isSamePod(state.pod, pod) && !speaksForOther) return state;
    this.#clear(state);
    return undefined;
  }

  /** Clears the oldest of what still waits; `false` where nothing does. */
  dropNext(): boolean {
    for (const [id, state] of this.#waiting) {
      this.#waiting.delete(id);
      this.#clear(state);
      return true;
    }
    return false;
  }

  #clear({ sources }: StreamState): void {
    for (const source of sources) this.#indexer.processAllBlocksCleared(source);
  }
}

function idOf({ modelName, key }: Pick<Pod, "modelName" | "key">, rank: number): string {
  return JSON.stringify([modelName, key, rank]);
}
