import { type Clock, systemClock } from "../clock.ts";
import { ConfigurationError } from "../errors.ts";
import type { EncodeOptions } from "../events/encode.ts";
import type { Transport } from "../transport.ts";
import { endpointsOf } from "./ports.ts";
import { deriveSeed } from "./random.ts";
import type { ReplayFraming } from "./replay-service.ts";
import { SimulatedPod } from "./simulated-pod.ts";
import { ConversationWorkload, type WorkloadOptions } from "./workload.ts";

export interface SimulationOptions {
  readonly transport: Transport;
  /** Default 3. */
  readonly engines?: number;
  /** Data-parallel ranks of each engine. Default 1. */
  readonly ranks?: number;
  /** To bind. Default `127.0.0.1`. */
  readonly host?: string;
  /** Of the first engine; see `endpointsOf` for the others. 0 takes free ports. Default 5557, as vLLM. */
  readonly port?: number;
  /** From a rank's PUB port to its ROUTER port. Default `ranks`: with one rank 5558, as vLLM. */
  readonly replayPortOffset?: number;
  /** Default `simulated`. */
  readonly model?: string;
  /** Tokens per block. Default 16. */
  readonly blockSize?: number;
  /** Blocks on the GPU, of each rank. Default 1,024: full within a minute or two at the default rate, so that evictions show. */
  readonly capacityBlocks?: number;
  /** Blocks in the CPU tier, of each rank. Default 0: none. */
  readonly cpuCapacityBlocks?: number;
  /** Over all engines; 0 sends none but those of `step()`. Default 10. */
  readonly requestsPerSecond?: number;
  /** Of the events. Default `map`, as vLLM since 0.24. */
  readonly encoding?: EncodeOptions["encoding"];
  /** Default `topic`, as vLLM since 0.26. */
  readonly replayFraming?: ReplayFraming;
  /** First frame of every message. Default empty. */
  readonly topic?: string;
  /** Determines requests and hashes. Default 0. */
  readonly seed?: number;
  /** What is asked. Its seed is the simulation's. */
  readonly workload?: Omit<WorkloadOptions, "seed">;
  /** Default the machine's. */
  readonly clock?: Clock;
}

/** What happened since the start, over all engines. */
export interface SimulationCounters {
  readonly requests: number;
  /** Requests that found their engine stopped. */
  readonly refusedRequests: number;
  readonly batches: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly storedBlocks: number;
  readonly removedBlocks: number;
}

/** Running engines. Disposing equals `close()`. */
export interface Simulation extends AsyncDisposable {
  /** `simulation/engine-0`, …; may be stopped, restarted and asked directly. */
  readonly pods: readonly SimulatedPod[];
  /** As of now. */
  readonly counters: SimulationCounters;
  /** Sends the next request of the workload at once. */
  step(): void;
  /** Ends the requests and stops all engines. Idempotent. */
  close(): Promise<void>;
}

/** Requests are sent in bursts of this rhythm; fewer timers than requests. */
const TICK_MS = 20;
/** After a pause of the process nobody catches up on more. */
const MAX_BURST_REQUESTS = 100;

/**
 * Starts engines that publish as vLLM does, and sends them conversations. A conversation stays with one rank of one
 * engine, so that engines share system prompts and nothing else.
 *
 * @throws ConfigurationError `invalid-option`; TransportError where an endpoint cannot be bound. Nothing runs then.
 */
export async function startSimulation(options: SimulationOptions): Promise<Simulation> {
  const resolved = resolveOptions(options);
  const simulation = new RunningSimulation(resolved);
  try {
    await Promise.all(simulation.pods.map((pod) => pod.start()));
  } catch (error) {
    await simulation.close();
    throw error;
  }
  simulation.run();
  return simulation;
}

class RunningSimulation implements Simulation {
  readonly pods: readonly SimulatedPod[];
  readonly #options: Required<SimulationOptions>;
  readonly #workload: ConversationWorkload;
  #counters: SimulationCounters = {
    requests: 0,
    refusedRequests: 0,
    batches: 0,
    promptTokens: 0,
    cachedTokens: 0,
    storedBlocks: 0,
    removedBlocks: 0,
  };
  #timer: unknown;
  #closing: Promise<void> | undefined;

  constructor(options: Required<SimulationOptions>) {
    this.#options = options;
    this.#workload = new ConversationWorkload({ ...options.workload, seed: options.seed });
    this.#checkCapacity();
    this.pods = endpointsOf(options).map((endpoints, engine) => this.#createPod(engine, endpoints));
  }

  get counters(): SimulationCounters {
    return this.#counters;
  }

  /** Sends requests at their rate until closed. */
  run(): void {
    const { clock, requestsPerSecond } = this.#options;
    if (requestsPerSecond === 0) return;
    let dueRequests = 0;
    let last = clock.now();
    const tick = (): void => {
      const now = clock.now();
      dueRequests = Math.min(MAX_BURST_REQUESTS, dueRequests + ((now - last) / 1_000) * requestsPerSecond);
      last = now;
      for (; dueRequests >= 1; dueRequests--) this.step();
      this.#timer = clock.setTimeout(tick, TICK_MS);
    };
    this.#timer = clock.setTimeout(tick, TICK_MS);
  }

  step(): void {
    const { conversation, tokens, outputTokens } = this.#workload.next();
    const pod = this.pods[conversation % this.pods.length]!;
    const rank = Math.floor(conversation / this.pods.length) % this.#options.ranks;
    const { requests, refusedRequests, ...rest } = this.#counters;
    if (!pod.isRunning) {
      this.#counters = { requests: requests + 1, refusedRequests: refusedRequests + 1, ...rest };
      return;
    }
    const result = pod.request({ tokens, outputTokens }, rank);
    this.#counters = {
      requests: requests + 1,
      refusedRequests,
      batches: rest.batches + (result.sequence === null ? 0 : 1),
      promptTokens: rest.promptTokens + tokens.length,
      cachedTokens: rest.cachedTokens + result.cachedTokens,
      storedBlocks: rest.storedBlocks + result.storedBlocks,
      removedBlocks: rest.removedBlocks + result.removedBlocks,
    };
  }

  close(): Promise<void> {
    this.#options.clock.clearTimeout(this.#timer);
    this.#closing ??= Promise.all(this.pods.map((pod) => pod.stop())).then(() => undefined);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #createPod(engine: number, endpoints: ReturnType<typeof endpointsOf>[number]): SimulatedPod {
    const { transport, model, blockSize, capacityBlocks, cpuCapacityBlocks, encoding } = this.#options;
    const { replayFraming, topic, seed, clock } = this.#options;
    return new SimulatedPod({
      key: `simulation/engine-${engine}`,
      modelName: model,
      endpoints,
      transport,
      blockSize,
      capacityBlocks,
      cpuCapacityBlocks,
      encode: { encoding },
      replayFraming,
      topic,
      seed: deriveSeed(seed, engine),
      clock,
    });
  }

  /** Before anything starts: a request that does not fit would fail much later. */
  #checkCapacity(): void {
    const { blockSize, capacityBlocks, cpuCapacityBlocks } = this.#options;
    const wanted = Math.ceil(this.#workload.maxRequestTokens / blockSize);
    for (const [name, capacity] of Object.entries({ capacityBlocks, cpuCapacityBlocks })) {
      if (capacity >= wanted || (name === "cpuCapacityBlocks" && capacity === 0)) continue;
      throw new ConfigurationError(
        "invalid-option",
        `simulation: ${name} is ${capacity}; the workload's longest request takes ${wanted}, raise it or shorten the workload`,
      );
    }
  }
}

function resolveOptions(options: SimulationOptions): Required<SimulationOptions> {
  const ranks = options.ranks ?? 1;
  const resolved = {
    engines: 3,
    ranks,
    host: "127.0.0.1",
    port: 5557,
    replayPortOffset: ranks,
    model: "simulated",
    blockSize: 16,
    capacityBlocks: 1_024,
    cpuCapacityBlocks: 0,
    requestsPerSecond: 10,
    encoding: "map",
    replayFraming: "topic",
    topic: "",
    seed: 0,
    workload: {},
    clock: systemClock,
    ...options,
  } satisfies Required<SimulationOptions>;
  const least = { engines: 1, ranks: 1, port: 0, replayPortOffset: 1, blockSize: 1, capacityBlocks: 1 };
  for (const [name, minimum] of Object.entries(least)) {
    const value = resolved[name as keyof typeof least];
    if (Number.isSafeInteger(value) && value >= minimum) continue;
    throw invalidOption(name, value, `an integer from ${minimum}`);
  }
  const { requestsPerSecond } = resolved;
  if (Number.isFinite(requestsPerSecond) && requestsPerSecond >= 0) return resolved;
  throw invalidOption("requestsPerSecond", requestsPerSecond, "a number from 0");
}

function invalidOption(name: string, value: number, expected: string): ConfigurationError {
  return new ConfigurationError("invalid-option", `simulation: ${name} is ${value}; expected ${expected}`);
}
