import { Registry } from "prom-client";
import type { Clock } from "../../src/clock.ts";
import type { KVEvent } from "../../src/events/event.ts";
import type { BlockSource } from "../../src/indexer/indexer.ts";
import { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { registerRoutingSeries } from "../../src/metrics/routing.ts";
import type { ActiveRequest } from "../../src/routing/load.ts";
import { type RoutingSettings, resolveRoutingOptions } from "../../src/routing/options.ts";
import { RequestRouter } from "../../src/routing/request-router.ts";
import type { StrategyName } from "../../src/routing/strategy.ts";
import { SimulatedEngine } from "../../src/simulator/engine.ts";
import { type ServingEvent, ServingModel } from "../../src/simulator/serving-model.ts";
import type { PodInfo } from "../../src/sync/status.ts";
import { seededRandom } from "../../test/support/random.ts";
import { Oracle } from "./oracle.ts";
import type { TraceRequest } from "./trace.ts";

const MODEL = "m";

/** How the engines of a run are, and who decides. */
export interface FleetOptions {
  readonly engines: number;
  readonly blockSize: number;
  readonly capacityBlocks: number;
  readonly strategy: StrategyName;
  /** Whether the router sees the engines' pools and queues themselves, without events. */
  readonly isOracle: boolean;
  /** From a block's being stored to its being in the index. */
  readonly eventDelayMs: number;
  readonly routing: RoutingSettings;
  readonly onProgress?: (done: number) => void;
}

/** What came of a run. */
export interface FleetResult {
  /** Of all prompt tokens, those that were cached. */
  readonly hitRate: number;
  /** Times to the first token, in ascending order. */
  readonly ttftMs: Float64Array;
  /** Requests of the busiest engine by those of the average one. */
  readonly loadSpread: number;
  /** Blocks that the index claimed when a request began and the engine did not have, while no event was under way. */
  readonly wrongPromises: number;
  readonly promises: number;
}

interface Served {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly tokens: Uint32Array;
  readonly atMs: number;
  readonly active: ActiveRequest;
}

interface Delivery {
  readonly dueMs: number;
  readonly events: readonly KVEvent[];
}

/** One engine: its queue, its cache, and its events that are under way. */
class Engine {
  readonly source: BlockSource;
  readonly cache: SimulatedEngine;
  readonly model: ServingModel<Served>;
  readonly underWay: Delivery[] = [];
  requests = 0;

  constructor(name: string, options: FleetOptions, onStart: (engine: Engine, request: Served) => number) {
    this.source = { model: MODEL, pod: name, rank: 0, loraId: -1 };
    // Engines name a block alike, so that the oracle needs to name a prompt's blocks once.
    this.cache = new SimulatedEngine({ blockSize: options.blockSize, capacityBlocks: options.capacityBlocks });
    this.model = new ServingModel<Served>({}, (request) => onStart(this, request));
  }
}

/** Replays a trace against engines in virtual time. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #engines: readonly Engine[];
  /** `null`: the oracle is asked in its place. */
  readonly #index: SyncPrefixHashTable | null;
  readonly #oracle: Oracle | null;
  readonly #router: RequestRouter;
  readonly #ttft: number[] = [];
  #nowMs = 0;
  #cachedTokens = 0;
  #promptTokens = 0;
  #promises = 0;
  #wrongPromises = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    const names = Array.from({ length: options.engines }, (_, i) => `engine-${String(i).padStart(3, "0")}`);
    this.#engines = names.map((name) => new Engine(name, options, (engine, request) => this.#start(engine, request)));
    const clock: Clock = { now: () => this.#nowMs, setTimeout: () => undefined, clearTimeout: () => {} };
    this.#oracle = options.isOracle ? new Oracle(options.blockSize, names) : null;
    this.#index = options.isOracle ? null : new SyncPrefixHashTable({ clock, seed: 1n });
    const pods = names.map(podInfo);
    this.#router = new RequestRouter({
      indexer: this.#index ?? this.#oracle!,
      directory: { pods: () => pods },
      tokenizer: null,
      metrics: registerRoutingSeries(new Registry(), ""),
      engineLoads: null,
      options: resolveRoutingOptions({ ...options.routing, strategy: options.strategy, blockSize: options.blockSize }),
      clock,
      random: seededRandom(1),
    });
  }

  get router(): RequestRouter {
    return this.#router;
  }

  run(requests: readonly TraceRequest[]): FleetResult {
    for (const [at, request] of requests.entries()) {
      this.#advance(request.atMs);
      this.#arrive(request);
      if (at % 500 === 0) this.#options.onProgress?.(at);
    }
    this.#advance(Number.MAX_SAFE_INTEGER);
    const perEngine = this.#engines.map((engine) => engine.requests);
    return {
      hitRate: this.#cachedTokens / this.#promptTokens,
      ttftMs: Float64Array.from(this.#ttft).sort(),
      loadSpread: Math.max(...perEngine) / (requests.length / perEngine.length),
      wrongPromises: this.#wrongPromises,
      promises: this.#promises,
    };
  }

  #arrive({ atMs, tokens, outputTokens }: TraceRequest): void {
    const decision = this.#router.routeTokens({ model: MODEL, prompt: tokens }, tokens);
    const engine = this.#engines.find(({ source }) => source.pod === decision.pod)!;
    const active = this.#router.begin(decision);
    const served: Served = { promptTokens: tokens.length, outputTokens, tokens, atMs, active };
    engine.requests++;
    this.#oracle?.expect(decision.pod, tokens);
    this.#note(engine.model.submit(served, atMs));
  }

  #advance(nowMs: number): void {
    for (const engine of this.#engines) {
      // Step by step, so that events are in the index when they are due and not when time is looked at again.
      for (let next = engine.model.nextEventMs; next <= nowMs; next = engine.model.nextEventMs) {
        this.#nowMs = next;
        this.#deliver(engine);
        this.#note(engine.model.advance(next));
      }
    }
    this.#nowMs = nowMs;
    for (const engine of this.#engines) this.#deliver(engine);
  }

  #note(events: readonly ServingEvent<Served>[]): void {
    for (const { type, atMs, request } of events) {
      if (type === "firstToken") {
        this.#ttft.push(atMs - request.atMs);
        request.active.firstToken();
      } else if (type === "finished") request.active.end();
    }
  }

  /** A request leaves the queue: what the index says of it now is held against what the engine has. */
  #start(engine: Engine, { tokens, promptTokens }: Served): number {
    const { blockSize, eventDelayMs } = this.#options;
    const claimed = engine.underWay.length > 0 ? null : this.#claimedBlocks(engine, tokens);
    this.#oracle?.arrived(engine.source.pod, tokens);
    const { cachedTokens, events } = engine.cache.run({ tokens });
    if (claimed !== null) {
      const usable = Math.min(claimed, Math.ceil(tokens.length / blockSize) - 1);
      this.#promises += usable;
      this.#wrongPromises += Math.max(0, usable - cachedTokens / blockSize);
    }
    this.#oracle?.apply(engine.source.pod, events);
    if (this.#index !== null && events.length > 0) engine.underWay.push({ dueMs: this.#nowMs + eventDelayMs, events });
    this.#cachedTokens += cachedTokens;
    this.#promptTokens += promptTokens;
    return cachedTokens;
  }

  /** `null` where no index is asked. */
  #claimedBlocks({ source }: Engine, tokens: Uint32Array): number | null {
    if (this.#index === null) return null;
    const [match] = this.#index.matchPrefix(MODEL, -1, tokens, new Set([source.pod]));
    return match?.ranks[0]?.matchedBlocks ?? 0;
  }

  #deliver({ source, underWay }: Engine): void {
    const index = this.#index;
    if (index === null) return;
    while (underWay.length > 0 && underWay[0]!.dueMs <= this.#nowMs) {
      for (const event of underWay.shift()!.events) {
        if (event.type === "BlockStored") index.processBlockStored(source, event);
        else if (event.type === "BlockRemoved") index.processBlockRemoved(source, event);
        else index.processAllBlocksCleared(source);
      }
    }
  }
}

function podInfo(key: string): PodInfo {
  return { pod: { key, modelName: MODEL, loraId: -1, routingGroup: "default", topic: "", ranks: [] }, streams: [] };
}
