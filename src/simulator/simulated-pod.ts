import { ConfigurationError, KVEventSyncError } from "../errors.ts";
import {
  DEFAULT_BLOCK_SIZE,
  DEFAULT_CAPACITY_BLOCKS,
  type EngineOptions,
  type EngineRequest,
  type PooledBlock,
  SimulatedEngine,
} from "./engine.ts";
import { type EventPublisher, type EventPublisherOptions, startPublisher } from "./publisher.ts";
import { deriveSeed } from "./random.ts";

/** Where one rank of a pod publishes; a `RankEndpoint` to discovery. */
export interface SimulatedRankEndpoint {
  readonly rank: number;
  readonly endpoint: string;
  readonly replayEndpoint?: string;
}

export interface SimulatedPodOptions extends Omit<EngineOptions, "hashSeed">, Omit<EventPublisherOptions, PerRank> {
  /** `namespace/name`. */
  readonly key: string;
  readonly modelName: string;
  /** One per data-parallel rank, in order; each rank has an engine, and sockets, of its own. */
  readonly endpoints: readonly Omit<SimulatedRankEndpoint, "rank">[];
  /** Of the hashes; each rank and each start gets its own from it. Default 0. */
  readonly seed?: number;
}

type PerRank = "endpoint" | "replayEndpoint" | "rank";

/** What a request did. */
export interface PodResult {
  readonly cachedTokens: number;
  /** Of the batch that tells of it; `null` where the cache did not change. */
  readonly sequence: number | null;
  readonly storedBlocks: number;
  readonly removedBlocks: number;
}

interface Rank {
  readonly engine: SimulatedEngine;
  readonly publisher: EventPublisher;
}

/**
 * An engine pod: per data-parallel rank a prefix cache and a publisher. It starts stopped. Every start is a new process:
 * an empty cache, other hashes, sequences from 0, the same endpoints. Disposing stops it.
 */
export class SimulatedPod implements AsyncDisposable {
  readonly key: string;
  readonly modelName: string;
  readonly #options: SimulatedPodOptions;
  /** To bind. */
  #bindings: readonly SimulatedRankEndpoint[];
  /** To connect to. */
  #endpoints: readonly SimulatedRankEndpoint[];
  #ranks: readonly Rank[] = [];
  #starts = 0;
  /** Starts and stops follow each other. */
  #changes: Promise<void> = Promise.resolve();

  /** @throws ConfigurationError `invalid-option` without endpoints. */
  constructor(options: SimulatedPodOptions) {
    if (options.endpoints.length === 0) {
      throw new ConfigurationError("invalid-option", `pod ${options.key}: endpoints is empty; give one for each rank`);
    }
    this.key = options.key;
    this.modelName = options.modelName;
    this.#options = options;
    this.#bindings = options.endpoints.map((endpoint, rank) => ({ rank, ...endpoint }));
    this.#endpoints = this.#bindings;
  }

  /** Where its ranks publish; once it has started, what can be connected to: no wildcard, no port 0. */
  get ranks(): readonly SimulatedRankEndpoint[] {
    return this.#endpoints;
  }

  /** Tokens per block. */
  get blockSize(): number {
    return this.#options.blockSize ?? DEFAULT_BLOCK_SIZE;
  }

  /** Of each rank, on the GPU. */
  get capacityBlocks(): number {
    return this.#options.capacityBlocks ?? DEFAULT_CAPACITY_BLOCKS;
  }

  get isRunning(): boolean {
    return this.#ranks.length > 0;
  }

  /** As a kubelet counts a container's restarts. */
  get restartCount(): number {
    return Math.max(0, this.#starts - 1);
  }

  /** @throws TransportError where an endpoint cannot be bound; the pod is stopped then. */
  start(): Promise<void> {
    return this.#change(() => this.#start());
  }

  /** Ends the process: its connections close, its cache is gone. */
  stop(): Promise<void> {
    return this.#change(() => this.#stop());
  }

  /** In place, as a container that crashed: nothing is published about the blocks that are gone. */
  restart(): Promise<void> {
    return this.#change(async () => {
      await this.#stop();
      await this.#start();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Serves a request on one rank and publishes what its cache did.
   *
   * @throws KVEventSyncError `not-running`, `unknown-rank`, and as `SimulatedEngine.run`.
   */
  request(request: EngineRequest, rank = 0): PodResult {
    const { engine, publisher } = this.#rank(rank);
    const { cachedTokens, events } = engine.run(request);
    let storedBlocks = 0;
    let removedBlocks = 0;
    for (const event of events) {
      if (event.type === "BlockStored") storedBlocks += event.blockHashes.length;
      else if (event.type === "BlockRemoved") removedBlocks += event.blockHashes.length;
    }
    const sequence = events.length === 0 ? null : publisher.publish(events);
    return { cachedTokens, sequence, storedBlocks, removedBlocks };
  }

  /** Drops one rank's cache and says so. Returns the batch's sequence. Throws as `request`. */
  reset(rank = 0): number {
    const { engine, publisher } = this.#rank(rank);
    return publisher.publish(engine.reset());
  }

  /** What one rank holds now. Throws as `request`. */
  pool(rank = 0): IterableIterator<PooledBlock> {
    return this.#rank(rank).engine.pool();
  }

  /** Sequence of the batch that one rank publishes next. Throws as `request`. */
  nextSequence(rank = 0): number {
    return this.#rank(rank).publisher.nextSequence;
  }

  #rank(rank: number): Rank {
    const found = this.#ranks[rank];
    if (found !== undefined) return found;
    throw this.isRunning
      ? new KVEventSyncError("unknown-rank", `pod ${this.key}: rank ${rank} of ${this.#ranks.length}; count from 0`)
      : new KVEventSyncError("not-running", `pod ${this.key}: is not running; start it first`);
  }

  #change(change: () => Promise<void>): Promise<void> {
    const changed = this.#changes.then(change);
    this.#changes = changed.catch(() => undefined);
    return changed;
  }

  async #start(): Promise<void> {
    if (this.isRunning) return;
    const { seed = 0, ...options } = this.#options;
    const started: Rank[] = [];
    try {
      for (const { rank, endpoint, replayEndpoint } of this.#bindings) {
        const engine = new SimulatedEngine({ ...options, hashSeed: deriveSeed(seed, this.#starts, rank) });
        const replay = replayEndpoint === undefined ? {} : { replayEndpoint };
        started.push({ engine, publisher: await startPublisher({ ...options, endpoint, rank, ...replay }) });
      }
    } catch (error) {
      await closeAll(started);
      throw error;
    }
    this.#starts++;
    this.#ranks = started;
    this.#endpoints = started.map(({ publisher: { endpoint, replayEndpoint } }, rank) =>
      replayEndpoint === undefined ? { rank, endpoint } : { rank, endpoint, replayEndpoint },
    );
    this.#bindings = this.#bindings.map((binding, rank) => settled(binding, this.#endpoints[rank]!));
  }

  async #stop(): Promise<void> {
    const stopped = this.#ranks;
    this.#ranks = [];
    await closeAll(stopped);
  }
}

async function closeAll(ranks: readonly Rank[]): Promise<void> {
  await Promise.all(ranks.map(({ publisher }) => publisher.close()));
}

/** What to bind the next time: a port that was left open is now settled, a wildcard host stays one. */
function settled(binding: SimulatedRankEndpoint, bound: SimulatedRankEndpoint): SimulatedRankEndpoint {
  const isOpen = (endpoint: string | undefined): boolean => endpoint !== undefined && /:(0|\*)$/.test(endpoint);
  return {
    ...binding,
    ...(isOpen(binding.endpoint) && { endpoint: bound.endpoint }),
    ...(isOpen(binding.replayEndpoint) &&
      bound.replayEndpoint !== undefined && { replayEndpoint: bound.replayEndpoint }),
  };
}
