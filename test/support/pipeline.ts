import assert from "node:assert/strict";
import type { Pod } from "../../src/discovery/discovery.ts";
import type { PrefixIndexer } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { SimulatedPod, type SimulatedPodOptions } from "../../src/simulator/index.ts";
import { KVEventManager, type KVEventManagerParts } from "../../src/sync/manager.ts";
import type { PurgeReason, StreamInfo, SyncObserver } from "../../src/sync/status.ts";
import type { Transport } from "../../src/transport.ts";

/** Wakes whoever waits at everything that happens to a stream. */
export class PipelineWatch implements SyncObserver {
  readonly purges: PurgeReason[] = [];
  readonly errors: string[] = [];
  readonly closed: string[] = [];
  #waiting: (() => void)[] = [];

  onConnection = (): void => this.#wake();
  onStatus = (): void => this.#wake();
  onBatch = (): void => this.#wake();
  onReplayEnded = (): void => this.#wake();
  onDuplicate = (): void => this.#wake();
  onPurge = (_stream: unknown, reason: PurgeReason): void => {
    this.purges.push(reason);
    this.#wake();
  };
  onError = (_stream: unknown, kind: string): void => {
    this.errors.push(kind);
    this.#wake();
  };
  onStreamClosed = ({ pod, rank }: { readonly pod: string; readonly rank: number }): void => {
    this.closed.push(`${pod} ${rank}`);
  };

  /** Resolves when it is true, which it is asked after every event. */
  async until(predicate: () => boolean): Promise<void> {
    while (!predicate()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    // What an observer is told of is done only when the call returns.
    const waiting = this.#waiting;
    this.#waiting = [];
    queueMicrotask(() => {
      for (const resolve of waiting) resolve();
    });
  }
}

/** Engines, and the pipeline from their sockets to an index. */
export interface Pipeline {
  readonly manager: KVEventManager;
  readonly indexer: SyncPrefixHashTable;
  readonly watch: PipelineWatch;
  /** Of a pod's rank 0, or another one. */
  stream(pod: SimulatedPod, rank?: number): StreamInfo;
  /** Resolves when the index has all that the pod's ranks have published. */
  caughtUp(pod: SimulatedPod): Promise<void>;
}

const SHORT_TIMES = { replayTimeoutMs: 2_000, replayIdleMs: 200, quietCheckMs: 20, replayRetryMinMs: 20 };

export function pipeline(transport: Transport, parts: Partial<KVEventManagerParts> = {}): Pipeline {
  const watch = new PipelineWatch();
  const indexer = new SyncPrefixHashTable();
  const observers = [watch, ...(parts.observers ?? [])];
  const manager = new KVEventManager({ transport, indexer, options: SHORT_TIMES, ...parts, observers });
  const stream = (pod: SimulatedPod, rank = 0): StreamInfo => {
    const found = manager.pods().find((each) => each.pod.key === pod.key);
    const info = found?.streams.find((each) => each.rank === rank);
    if (info === undefined) throw new Error(`no stream for ${pod.key} rank ${rank}`);
    return info;
  };
  const isCaughtUp = (pod: SimulatedPod): boolean =>
    pod.ranks.every(({ rank }) => {
      const { status, lastSequence } = stream(pod, rank);
      const isFollowing = status === "live" || status === "partial";
      return isFollowing && (lastSequence ?? -1) === pod.nextSequence(rank) - 1;
    });
  return { manager, indexer, watch, stream, caughtUp: (pod) => watch.until(() => isCaughtUp(pod)) };
}

/** As discovery would announce it. */
export function podOf(simulated: SimulatedPod, changes: Partial<Pod> = {}): Pod {
  return {
    key: simulated.key,
    modelName: simulated.modelName,
    loraId: -1,
    routingGroup: "default",
    topic: "",
    ranks: simulated.ranks,
    ...changes,
  };
}

/** A running engine with two ranks' worth of nothing: ask it with `chat`. */
export async function engine(
  transport: Transport,
  key: string,
  options: Partial<SimulatedPodOptions> = {},
): Promise<SimulatedPod> {
  const pod = new SimulatedPod({
    key,
    modelName: "m",
    endpoints: [{ endpoint: "tcp://127.0.0.1:0", replayEndpoint: "tcp://127.0.0.1:0" }],
    transport,
    capacityBlocks: 24,
    seed: key.length,
    ...options,
  });
  await pod.start();
  return pod;
}

/** Requests that share prefixes, other ones at each call; a few of them are more than an engine of 24 blocks holds. */
export function chat(pod: SimulatedPod, requests: number, rank = 0): void {
  for (let i = 0; i < requests; i++) {
    const subject = (pod.nextSequence(rank) + i) % 11;
    const tokens = Array.from({ length: 16 * (2 + (i % 5)) }, (_, at) => (at < 32 ? at : subject * 1_000 + at));
    pod.request({ tokens }, rank);
  }
}

/** The index holds exactly what the engine holds: each block under its engine hash, and each prefix by its tokens. */
export function assertExact(
  { indexer }: { readonly indexer: Pick<PrefixIndexer, "heldBlocks" | "matchPrefix"> },
  pod: SimulatedPod,
): void {
  for (const { rank } of pod.ranks) {
    const source = { model: pod.modelName, pod: pod.key, rank, loraId: -1 };
    const pool = pod.isRunning ? [...pod.pool(rank)] : [];
    const line = (hash: bigint, places: readonly string[]): string => `${hash} ${[...places].sort().join(" ")}`;
    assert.deepEqual(
      [...indexer.heldBlocks(source)].map(({ blockHash, places }) => line(blockHash, places)).sort(),
      pool.map(({ blockHash, tiers }) => line(blockHash, tiers)).sort(),
    );
    for (const block of pool) {
      const tokens = block.prefixTokens();
      const match = indexer.matchPrefix(pod.modelName, -1, tokens, new Set([pod.key]))[0];
      const ranked = match?.ranks.find((each) => each.rank === rank);
      assert.equal(ranked?.matchedBlocks, tokens.length / block.tokenIds.length);
    }
  }
}
