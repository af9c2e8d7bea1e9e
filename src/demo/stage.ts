import type { StaticEndpoint } from "../discovery/static.ts";
import type { BlockSource, PrefixIndexer } from "../indexer/indexer.ts";
import type { PooledBlock } from "../simulator/engine.ts";
import type { SimulatedPod } from "../simulator/simulated-pod.ts";
import { type Simulation, startSimulation } from "../simulator/simulation.ts";
import type { PodDirectory, StreamInfo } from "../sync/status.ts";
import type { Transport } from "../transport.ts";
import type { PublishedRank } from "./quiet.ts";
import { Rate } from "./rate.ts";
import { type Relay, startRelay } from "./relay.ts";
import { writeScript } from "./script.ts";
import { shortName } from "./story.ts";
import type { PodRow } from "./view.ts";

/** So small that blocks are evicted, from both tiers, within seconds. */
const CAPACITY_BLOCKS = 384;
const CPU_CAPACITY_BLOCKS = 896;
export const BLOCK_SIZE = 16;
export const MODEL = "simulated";

/** The engines, and the cable to one of them. Disposing ends them all. */
export class Stage implements AsyncDisposable {
  readonly simulation: Simulation;
  readonly relay: Relay;
  /** As options would name them. */
  readonly endpoints: readonly StaticEndpoint[];
  readonly #rates = new Map<string, Rate>();

  constructor(simulation: Simulation, relay: Relay, cutEngine: number) {
    this.simulation = simulation;
    this.relay = relay;
    this.endpoints = simulation.pods.map(({ key, modelName, ranks: [rank] }, engine) => ({
      ...rank!,
      ...(engine === cutEngine && { endpoint: relay.endpoint }),
      name: key,
      model: modelName,
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.simulation.close(), this.relay.close()]);
  }

  engine(index: number): SimulatedPod {
    return this.simulation.pods[index]!;
  }

  /** Of the engines that run. */
  published(): readonly PublishedRank[] {
    return this.simulation.pods
      .filter((pod) => pod.isRunning)
      .map((pod) => ({ pod: pod.key, rank: 0, nextSequence: pod.nextSequence() }));
  }

  /** What the view shows of each engine now. */
  rows(directory: PodDirectory, indexer: PrefixIndexer, nowMs: number): readonly PodRow[] {
    const streams = new Map(directory.pods().flatMap((pod) => pod.streams.map((stream) => [stream.pod, stream])));
    return this.simulation.pods.flatMap((pod) => {
      const stream = streams.get(pod.key);
      return stream === undefined ? [] : [this.#row(pod, stream, count(indexer.heldBlocks(sourceOf(pod))), nowMs)];
    });
  }

  #row(pod: SimulatedPod, stream: StreamInfo, indexBlocks: number, nowMs: number): PodRow {
    const rate = this.#rates.get(pod.key) ?? new Rate();
    this.#rates.set(pod.key, rate);
    return {
      name: shortName(pod.key),
      status: stream.status,
      lastSequence: stream.lastSequence,
      publishedSequence: pod.isRunning ? pod.nextSequence() - 1 : null,
      indexBlocks,
      engineBlocks: pod.isRunning ? count(pod.pool()) : null,
      eventsPerSecond: rate.perSecond(stream.events, nowMs),
      replays: stream.replays,
      restarts: stream.restarts,
    };
  }
}

/** Starts the engines on free ports; the one whose connection will be cut gets a relay before it. */
export async function openStage(transport: Transport, engines: number): Promise<Stage> {
  const simulation = await startSimulation({
    transport,
    engines,
    port: 0,
    model: MODEL,
    blockSize: BLOCK_SIZE,
    capacityBlocks: CAPACITY_BLOCKS,
    cpuCapacityBlocks: CPU_CAPACITY_BLOCKS,
    requestsPerSecond: 0,
  });
  const cutEngine = writeScript(engines).find(({ deed }) => deed === "cut")!.engine;
  try {
    return new Stage(simulation, await startRelay(simulation.pods[cutEngine]!.ranks[0]!.endpoint), cutEngine);
  } catch (error) {
    await simulation.close();
    throw error;
  }
}

/** Under which the index keeps an engine's blocks. */
export function sourceOf({ key, modelName }: SimulatedPod): BlockSource {
  return { model: modelName, pod: key, rank: 0, loraId: -1 };
}

/** A prompt that goes on where the longest one in any cache ends. */
export function nextPrompt(pools: Iterable<Iterable<PooledBlock>>, newTokens: number): Uint32Array {
  let longest: Uint32Array = new Uint32Array();
  for (const pool of pools) {
    for (const block of pool) {
      const tokens = block.prefixTokens();
      if (tokens.length > longest.length) longest = tokens;
    }
  }
  const prompt = new Uint32Array(longest.length + newTokens);
  prompt.set(longest);
  for (let index = longest.length; index < prompt.length; index++) prompt[index] = index % BLOCK_SIZE;
  return prompt;
}

function count(items: Iterable<unknown>): number {
  let total = 0;
  for (const _item of items) total++;
  return total;
}
