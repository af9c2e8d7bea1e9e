import type { Clock } from "../clock.ts";
import { KVEventSyncError } from "../errors.ts";
import type { Lora, PodMatch, PrefixIndexer, PromptIdentity } from "../indexer/indexer.ts";
import type { RoutingMetrics, RoutingSelection } from "../metrics.ts";
import { engineUrlOf } from "../reconciler/probe.ts";
import type { PodDirectory, PodInfo } from "../sync/status.ts";
import type { Prompt, Tokenizer } from "../tokenizer/tokenizer.ts";
import { LeastRequestStrategy, RandomStrategy, RoundRobinStrategy } from "./baselines.ts";
import { CostAwareStrategy, expectedTtftMs } from "./cost-aware.ts";
import type { EngineLoads } from "./engine-loads.ts";
import { type ActiveRequest, ActiveRequests, loadOf } from "./load.ts";
import type { RoutingOptions } from "./options.ts";
import { PrefixCacheStrategy } from "./prefix-cache.ts";
import type { Choice, RandomSource, RouteCandidate, RoutingStrategy, Selection, StrategyName } from "./strategy.ts";

/** Where should this go? */
export interface RouteRequest {
  readonly model: string;
  /** The prompt's tokens, or the prompt as people send it, for a router with a tokenizer. */
  readonly prompt: Uint32Array | readonly number[] | Prompt;
  /** Default `default`. */
  readonly routingGroup?: string;
  /** By name or id. Default the base model. */
  readonly lora?: Lora;
  readonly identity?: PromptIdentity;
  /** Only these pods. Default all of the model and group that can take requests. */
  readonly pods?: readonly string[];
  /** Default the router's. */
  readonly strategy?: StrategyName;
  /** By pod, where the caller knows better. */
  readonly loads?: Readonly<Record<string, { readonly running?: number; readonly waiting?: number }>>;
  readonly signal?: AbortSignal;
}

/** All that could be sent there, each with what speaks for it. */
export interface Scores {
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Who made them of the prompt; `null` where they were given. */
  readonly tokenizedBy: string | null;
  /** The most of the prompt first, then the lowest cost, then by name. */
  readonly candidates: readonly RouteCandidate[];
}

/** Where it should go, and why. */
export interface RouteDecision extends Scores {
  readonly pod: string;
  readonly address: string | null;
  readonly strategy: StrategyName;
  readonly selection: Selection;
  /** A sentence that begins with the pod. */
  readonly reason: string;
}

/** What a router stands on. */
export interface RequestRouterParts {
  readonly indexer: Pick<PrefixIndexer, "matchPrefix" | "getPrefixHashes" | "addPrefix">;
  readonly directory: PodDirectory;
  readonly tokenizer: Tokenizer | null;
  readonly metrics: RoutingMetrics;
  /** What engines say of their load; `null`: they are not asked. */
  readonly engineLoads: EngineLoads | null;
  readonly options: RoutingOptions;
  readonly clock: Clock;
  readonly random: RandomSource;
}

/** What the choice of a decision was made of, for `begin`. */
interface Chosen {
  readonly request: RouteRequest;
  readonly tokens: Uint32Array | readonly number[];
  readonly blockSize: number;
}

/** Finds for each request the pod that should take it. */
export class RequestRouter {
  readonly #parts: RequestRouterParts;
  readonly #active = new ActiveRequests();
  readonly #strategies: ReadonlyMap<StrategyName, RoutingStrategy>;
  readonly #chosen = new WeakMap<RouteDecision, Chosen>();

  constructor(parts: RequestRouterParts) {
    this.#parts = parts;
    const { options, random } = parts;
    const all: readonly RoutingStrategy[] = [
      new PrefixCacheStrategy(options, random),
      new CostAwareStrategy(random),
      new LeastRequestStrategy(random),
      new RoundRobinStrategy(),
      new RandomStrategy(random),
    ];
    this.#strategies = new Map(all.map((strategy) => [strategy.name, strategy]));
  }

  /**
   * Rejects with KVEventSyncError `unknown-model` where no pod of the group serves it, `no-pod` where none that is asked
   * for can take requests; as `Tokenizer.tokenize`, and `no-tokenizer` where the prompt needs one; with the signal's reason.
   */
  async route(request: RouteRequest): Promise<RouteDecision> {
    const startedMs = this.#parts.clock.now();
    const { tokens, by } = await this.#tokensOf(request).catch((error: unknown) =>
      this.#counted(request, () => {
        throw error;
      }),
    );
    return this.#counted(request, () => this.#decide(request, tokens, by, startedMs));
  }

  /** The same at once, for who has the tokens. Throws what `route` rejects with. */
  routeTokens(request: RouteRequest, tokens: Uint32Array | readonly number[]): RouteDecision {
    return this.#counted(request, () => this.#decide(request, tokens, null, this.#parts.clock.now()));
  }

  /** All candidates, without a choice. Rejects as `route`. */
  async score(request: RouteRequest): Promise<Scores> {
    const { tokens, by } = await this.#tokensOf(request);
    return { ...this.scoreTokens(request, tokens), tokenizedBy: by };
  }

  /** The same at once, for who has the tokens. Throws what `route` rejects with. */
  scoreTokens(request: RouteRequest, tokens: Uint32Array | readonly number[]): Scores {
    const { candidates } = this.#candidates(request, tokens);
    return { promptTokens: tokens.length, tokenizedBy: null, candidates };
  }

  /**
   * The request is sent to the pod of this decision, or to another one of its candidates: it counts as running there
   * until it has ended, and its prompt is believed to be there for a while (`speculativeTtlMs`).
   */
  begin(decision: RouteDecision, pod: string = decision.pod): ActiveRequest {
    const candidate = decision.candidates.find((each) => each.pod === pod);
    const uncached = decision.promptTokens - Math.min(decision.promptTokens, candidate?.matchedTokens ?? 0);
    const chosen = this.#chosen.get(decision);
    if (chosen !== undefined) this.#believe(chosen, pod);
    return this.#active.begin(pod, uncached);
  }

  /** Requests that were begun and have not ended, of this pod. */
  runningOn(pod: string): number {
    return this.#active.of(pod).runningRequests;
  }

  /** An error is counted by its code. */
  #counted<T>({ model }: RouteRequest, step: () => T): T {
    try {
      return step();
    } catch (error) {
      const reason = error instanceof KVEventSyncError ? error.code : "error";
      this.#parts.metrics.failed({ model, usingKvSync: true }, reason);
      throw error;
    }
  }

  #decide(
    request: RouteRequest,
    tokens: Uint32Array | readonly number[],
    tokenizedBy: string | null,
    startedMs: number,
  ): RouteDecision {
    const { metrics, options, clock } = this.#parts;
    const { candidates, blockSizes } = this.#candidates(request, tokens);
    const strategy = this.#strategies.get(request.strategy ?? options.strategy)!;
    const choice = strategy.choose(candidates, tokens.length);
    const { pod, address, matchPercent } = choice.candidate;
    const subject = { model: request.model, usingKvSync: true };
    if (choice.isImbalanced) metrics.imbalanced(subject);
    const selection = selectionSeries(choice);
    metrics.decided(subject, selection, matchPercent, (clock.now() - startedMs) / 1_000);
    const decision: RouteDecision = {
      pod,
      address,
      strategy: strategy.name,
      selection: choice.selection,
      reason: `${pod} ${choice.reason}`,
      promptTokens: tokens.length,
      tokenizedBy,
      candidates,
    };
    this.#chosen.set(decision, { request, tokens, blockSize: blockSizes.get(pod) ?? options.blockSize });
    return decision;
  }

  async #tokensOf({
    model,
    prompt,
    signal,
  }: RouteRequest): Promise<{ readonly tokens: Uint32Array | readonly number[]; readonly by: string | null }> {
    if (prompt instanceof Uint32Array || Array.isArray(prompt)) return { tokens: prompt, by: null };
    const { tokenizer } = this.#parts;
    if (tokenizer === null) {
      throw new KVEventSyncError("no-tokenizer", "router: there is no tokenizer; give tokens, or configure one");
    }
    const options = { model, ...(signal !== undefined && { signal }) };
    const { tokens, servedBy } = await tokenizer.tokenize(prompt as Prompt, options);
    return { tokens, by: servedBy };
  }

  /** Those that can take the request, and how many tokens their blocks have. */
  #candidates(
    request: RouteRequest,
    tokens: Uint32Array | readonly number[],
  ): { readonly candidates: RouteCandidate[]; readonly blockSizes: ReadonlyMap<string, number> } {
    const { indexer, options } = this.#parts;
    const pods = this.#podsOf(request);
    const matches = new Map<string, PodMatch>();
    const names = new Set(pods.map(({ pod }) => pod.key));
    for (const match of indexer.matchPrefix(request.model, request.lora ?? -1, tokens, names, request.identity)) {
      matches.set(match.pod, match);
    }
    const blockSizes = new Map<string, number>();
    const candidates = pods.map((info) => {
      const match = matches.get(info.pod.key);
      blockSizes.set(info.pod.key, match?.blockSize ?? info.pod.blockSize ?? options.blockSize);
      return this.#candidate(info, match, request, tokens.length);
    });
    candidates.sort(
      (left, right) =>
        right.matchedTokens - left.matchedTokens ||
        left.expectedTtftMs - right.expectedTtftMs ||
        (left.pod < right.pod ? -1 : 1),
    );
    return { candidates, blockSizes };
  }

  #candidate(
    { pod, streams }: PodInfo,
    match: PodMatch | undefined,
    { loads }: RouteRequest,
    promptTokens: number,
  ): RouteCandidate {
    const { options, engineLoads } = this.#parts;
    const load = loadOf(this.#active.of(pod.key), engineLoads?.of(pod.key), loads?.[pod.key]);
    const matchedTokens = match?.matchedTokens ?? 0;
    const weightedTokens = match === undefined ? 0 : weighted(match);
    const known = { matchedTokens, matchPercent: match?.matchPercent ?? 0, weightedTokens, ...load };
    return {
      pod: pod.key,
      address: pod.httpUrl ?? engineUrlOf(pod, options.engineHttpPort),
      ...known,
      expectedTtftMs: expectedTtftMs(known, promptTokens, options.cost),
      streams: Object.fromEntries(
        streams.map(({ rank, status, lastSequence, idleMs }) => [rank, { status, lastSequence, idleMs }]),
      ),
    };
  }

  #podsOf({ model, routingGroup = "default", pods }: RouteRequest): PodInfo[] {
    const known = this.#parts.directory
      .pods()
      .filter(({ pod }) => pod.modelName === model && pod.routingGroup === routingGroup);
    if (known.length === 0) {
      throw new KVEventSyncError(
        "unknown-model",
        `model is ${JSON.stringify(model)}: no pod of routing group "${routingGroup}" serves it`,
      );
    }
    const wanted = pods === undefined ? null : new Set(pods);
    const able = known.filter(({ pod }) => (pod.isRoutable ?? true) && (wanted?.has(pod.key) ?? true));
    if (able.length > 0) return able;
    const asked = pods === undefined ? "" : ` of ${pods.length} that are asked for`;
    throw new KVEventSyncError("no-pod", `model ${JSON.stringify(model)}: no pod${asked} can take requests now`);
  }

  #believe({ request, tokens, blockSize }: Chosen, pod: string): void {
    const { indexer, options } = this.#parts;
    if (options.speculativeTtlMs === 0) return;
    const { model, lora = -1, identity } = request;
    const hashes = indexer.getPrefixHashes(model, lora, tokens, blockSize, identity);
    if (hashes.length > 0) indexer.addPrefix(model, lora, pod, hashes, blockSize, options.speculativeTtlMs);
  }
}

/** What is believed has no tier yet: it counts as on the GPU, where the engine will compute it. */
function weighted({ matchedBlocks, blockSize, ranks }: PodMatch): number {
  let best = 0;
  for (const rank of ranks) best = Math.max(best, rank.weightedBlocks + matchedBlocks - rank.matchedBlocks);
  return (ranks.length === 0 ? matchedBlocks : best) * blockSize;
}

/** The series know AIBrix's selections. */
function selectionSeries({ selection, candidate }: Choice): RoutingSelection {
  if (selection === "prefix_match" || selection === "prefix_match_skipped") return selection;
  if (selection === "lowest_cost" && candidate.matchedTokens > 0) return "prefix_match";
  return "least_request_fallback";
}
