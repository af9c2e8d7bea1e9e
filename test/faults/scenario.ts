import type { Pod } from "../../src/discovery/discovery.ts";
import type { SyncPrefixHashTable } from "../../src/indexer/sync-prefix-hash-table.ts";
import { type Random, randomInteger, SimulatedPod, seededRandom } from "../../src/simulator/index.ts";
import type { KVEventManager } from "../../src/sync/manager.ts";
import type { StreamInfo } from "../../src/sync/status.ts";
import { type MemoryTransport, memory } from "../../transports/memory/index.ts";
import { podOf } from "../support/pipeline.ts";
import { type VirtualClock, virtualClock } from "../support/virtual-clock.ts";
import { dumpOf, type Follower, follower, followerFrom } from "./hand-over.ts";

/** What one seed showed. */
export interface Outcome {
  readonly seed: number;
  /** Of each kind, how often it was done. */
  readonly faults: Readonly<Record<string, number>>;
  readonly blocks: number;
  /** Streams that could have all, and those that could not. */
  readonly live: number;
  readonly partial: number;
  /** In words; empty where the index is exact. */
  readonly divergence: readonly string[];
}

const MODEL = "m";
/** Tokens. */
const BLOCK_SIZE = 4;
/** Longer than any time-out, retry and check that a stream may still have to go through. */
const QUIET_MS = 180_000;

/** One engine, and whether discovery knows it. */
interface Engine {
  readonly pod: SimulatedPod;
  readonly hasReplay: boolean;
  announced: Pod | null;
}

/**
 * Some engines, a network that does what it wants, and the whole pipeline, on a clock and a random source that the seed
 * determines. After `actions` steps everything is repaired, time passes, and the index is compared with the engines.
 */
export async function runScenario(seed: number, actions = 60): Promise<Outcome> {
  const world = await World.make(seed);
  try {
    for (let i = 0; i < actions; i++) await world.step();
    return await world.finish();
  } finally {
    await world.close();
  }
}

class World {
  readonly #seed: number;
  readonly #random: Random;
  readonly #clock: VirtualClock;
  readonly #transport: MemoryTransport;
  #follower: Follower;
  /** Of an earlier moment. */
  #dump: string | null = null;
  readonly #falseAnswers: string[] = [];
  readonly #engines: Engine[] = [];
  readonly #faults: Record<string, number> = {};
  #nextPort = 1_000;

  private constructor(seed: number) {
    this.#seed = seed;
    this.#random = seededRandom(seed);
    this.#clock = virtualClock();
    const random = seededRandom(seed + 1);
    this.#transport = memory({ clock: this.#clock, random, reconnectMinMs: 20, reconnectMaxMs: 2_000 });
    this.#follower = follower({ transport: this.#transport, clock: this.#clock, seed: BigInt(seed) });
  }

  get #indexer(): SyncPrefixHashTable {
    return this.#follower.indexer;
  }

  get #manager(): KVEventManager {
    return this.#follower.manager;
  }

  static async make(seed: number): Promise<World> {
    const world = new World(seed);
    const engines = world.#pick(1, 3);
    for (let i = 0; i < engines; i++) world.#engines.push(await world.#startEngine(i));
    return world;
  }

  async step(): Promise<void> {
    const engine = this.#engines[this.#pick(0, this.#engines.length - 1)]!;
    const chance = this.#random();
    if (chance < 0.5) this.#ask(engine, this.#pick(1, 6));
    else if (chance < 0.58) this.#done("loss", () => this.#lose());
    else if (chance < 0.63) this.#done("repair", () => this.#transport.faults.clear());
    else if (chance < 0.69) this.#done("cut", () => this.#cut(engine));
    else if (chance < 0.75) await this.#doneAsync("restart", () => this.#restart(engine));
    else if (chance < 0.79) this.#done("reset", () => void (engine.pod.isRunning && engine.pod.reset()));
    else if (chance < 0.83) this.#done("remove", () => this.#remove(engine));
    else if (chance < 0.92) this.#done("announce", () => this.#announce(engine));
    else if (chance < 0.94) await this.#doneAsync("move", () => this.#move(engine));
    else if (chance < 0.96) await this.#doneAsync("snapshot", () => this.#snapshot());
    else if (chance < 0.98) await this.#doneAsync("hand over", () => this.#handOver());
    else this.#done("drop next", () => this.#transport.faults.dropNext(this.#pick(1, 3)));
    await this.#clock.advance(this.#random() < 0.2 ? this.#pick(100, 9_000) : this.#pick(0, 40));
  }

  /** Repairs all, announces all, and compares. */
  async finish(): Promise<Outcome> {
    this.#transport.faults.clear();
    for (const engine of this.#engines) {
      if (!engine.pod.isRunning) await this.#clock.run(engine.pod.start());
      this.#announce(engine);
    }
    await this.#clock.advance(QUIET_MS);
    const divergence = [...this.#falseAnswers, ...this.#engines.flatMap((engine) => this.#compare(engine))];
    const statuses = this.#streams().map(({ status }) => status);
    divergence.push(...this.#leaks());
    return {
      seed: this.#seed,
      faults: this.#faults,
      blocks: this.#engines.reduce((sum, { pod }) => sum + [...pod.pool()].length, 0),
      live: statuses.filter((status) => status === "live").length,
      partial: statuses.filter((status) => status === "partial").length,
      divergence,
    };
  }

  async close(): Promise<void> {
    await this.#clock.run(this.#manager.stop());
    for (const { pod } of this.#engines) await this.#clock.run(pod.stop());
  }

  async #startEngine(index: number): Promise<Engine> {
    const hasReplay = this.#random() < 0.8;
    const framing = this.#random() < 0.5 ? "topic" : "legacy";
    const port = this.#takePorts();
    const pod = new SimulatedPod({
      key: `ns/engine-${index}`,
      modelName: MODEL,
      endpoints: [
        { endpoint: `tcp://10.0.0.1:${port}`, ...(hasReplay && { replayEndpoint: `tcp://10.0.0.1:${port + 1}` }) },
      ],
      transport: this.#transport,
      blockSize: BLOCK_SIZE,
      capacityBlocks: this.#pick(8, 40),
      ...(this.#random() < 0.3 && { cpuCapacityBlocks: this.#pick(8, 60) }),
      bufferSteps: this.#random() < 0.5 ? 10_000 : this.#pick(4, 60),
      replayOverflow: this.#random() < 0.5 ? "pace" : "drop",
      replayHighWaterMark: this.#pick(2, 1_000),
      replayFraming: framing,
      encode: { encoding: this.#random() < 0.5 ? "map" : "array" },
      seed: this.#seed * 31 + index,
      clock: this.#clock,
      nowSeconds: () => this.#clock.now() / 1_000,
    });
    await this.#clock.run(pod.start());
    return { pod, hasReplay, announced: null };
  }

  #takePorts(): number {
    this.#nextPort += 2;
    return this.#nextPort;
  }

  #pick(least: number, most: number): number {
    return randomInteger(this.#random, least, most);
  }

  #done(kind: string, act: () => void): void {
    this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
    act();
  }

  async #doneAsync(kind: string, act: () => Promise<void>): Promise<void> {
    this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
    await act();
  }

  /** Prompts of a few families, so that prefixes are shared and evicted. */
  #ask({ pod }: Engine, requests: number): void {
    if (!pod.isRunning) return;
    for (let i = 0; i < requests; i++) {
      const family = this.#pick(0, 5);
      const tokens = Array.from({ length: this.#pick(4, 30) }, (_, at) =>
        at < 8 ? family : this.#pick(0, 2) * 10 + at,
      );
      const loraName = this.#random() < 0.2 ? "sql" : undefined;
      const cacheSalt = this.#random() < 0.1 ? "salt" : undefined;
      pod.request({
        tokens,
        ...(loraName !== undefined && { loraName }),
        ...(cacheSalt !== undefined && { cacheSalt }),
      });
    }
  }

  #lose(): void {
    const from = (["publisher", "router", "dealer"] as const)[this.#pick(0, 2)]!;
    this.#transport.faults.set(
      {
        drop: this.#random() * 0.4,
        duplicate: this.#random() * 0.3,
        reorder: { probability: this.#random() * 0.3, window: this.#pick(1, 4) },
        latencyMs: [0, this.#pick(0, 40)],
      },
      { from },
    );
  }

  #cut({ pod }: Engine): void {
    const [{ endpoint, replayEndpoint } = { endpoint: "", replayEndpoint: undefined }] = pod.ranks;
    const target = replayEndpoint !== undefined && this.#random() < 0.3 ? replayEndpoint : endpoint;
    this.#transport.faults.cut({ endpoint: target }, { forMs: this.#pick(0, 4_000) });
  }

  /** Often while nobody is connected, so that the new process has said something, or as much as the old one, before. */
  async #restart(engine: Engine): Promise<void> {
    const { pod } = engine;
    const [{ endpoint } = { endpoint: "" }] = pod.ranks;
    const before = pod.isRunning ? pod.nextSequence() : 0;
    const isUnseen = this.#random() < 0.5;
    if (isUnseen) this.#transport.faults.cut({ endpoint }, { forMs: this.#pick(500, 4_000) });
    await this.#clock.run(pod.restart());
    if (!isUnseen) return;
    const wanted = this.#random() < 0.5 ? before + this.#pick(-1, 2) : this.#pick(0, 20);
    while (pod.nextSequence() < wanted) pod.reset();
    this.#ask(engine, this.#pick(0, 3));
  }

  #announce(engine: Engine): void {
    const pod = podOf(engine.pod, { restartCount: 0 });
    if (engine.announced === null) this.#manager.onPodAdd(pod);
    else this.#manager.onPodUpdate(engine.announced, pod);
    engine.announced = pod;
  }

  #remove(engine: Engine): void {
    if (engine.announced === null) return;
    const { announced } = engine;
    engine.announced = null;
    this.#manager.onPodDelete(this.#random() < 0.5 ? announced : { key: announced.key, pod: announced });
  }

  /** Another engine takes the place of this one, under the same name and at another address. */
  async #move(engine: Engine): Promise<void> {
    const at = this.#engines.indexOf(engine);
    await this.#clock.run(engine.pod.stop());
    const { announced } = engine;
    this.#engines[at] = { ...(await this.#startEngine(at)), announced };
  }

  async #snapshot(): Promise<void> {
    this.#dump = await dumpOf(this.#follower);
  }

  /** Another daemon takes over: from a dump of this moment, or an earlier one, and soon or late. */
  async #handOver(): Promise<void> {
    if (this.#dump === null || this.#random() < 0.5) await this.#snapshot();
    await this.#clock.run(this.#manager.stop());
    if (this.#random() < 0.5) {
      const engine = this.#engines[this.#pick(0, this.#engines.length - 1)]!;
      if (this.#random() < 0.3) await this.#restart(engine);
      this.#ask(engine, this.#pick(1, 6));
      await this.#clock.advance(this.#pick(0, 5_000));
    }
    const parts = { transport: this.#transport, clock: this.#clock, seed: BigInt(this.#pick(0, 1_000_000)) };
    this.#follower = await followerFrom(this.#dump!, parts);
    for (const engine of this.#engines) if (engine.announced !== null) this.#manager.onPodAdd(engine.announced);
    this.#falseAnswers.push(...this.#engines.flatMap((engine) => this.#compareHidden(engine)));
  }

  /** Before any engine has said anything, nothing of it is answered. */
  #compareHidden({ pod }: Engine): string[] {
    const blocks = pod.isRunning ? [...pod.pool()] : [];
    const prompts = blocks.map((block) => ({ block, tokens: block.prefixTokens() }));
    const answered = prompts.filter(({ block: { loraName, cacheSalt }, tokens }) => {
      const identity = cacheSalt === null ? {} : { cacheSalt };
      return this.#indexer.matchPrefix(MODEL, loraName ?? -1, tokens, undefined, identity).length > 0;
    });
    return answered.length === 0 ? [] : [`${pod.key}: ${answered.length} prompts are answered without proof`];
  }

  #streams(): readonly StreamInfo[] {
    return this.#manager.pods().flatMap(({ streams }) => streams);
  }

  /** A live stream has all of its engine's blocks, a partial one has nothing that its engine lacks. */
  #compare({ pod, hasReplay }: Engine): string[] {
    const info = this.#streams().find((stream) => stream.pod === pod.key);
    if (info === undefined) return [`${pod.key}: has no stream`];
    const { status, lastSequence } = info;
    const expected = pod.nextSequence() - 1;
    const found: string[] = [];
    if (status !== "live" && status !== "partial") found.push(`${pod.key}: is ${status} after everything was repaired`);
    if (hasReplay && (lastSequence ?? -1) !== expected) {
      found.push(`${pod.key}: has applied up to ${lastSequence}, the engine published up to ${expected}`);
    }
    const isComplete = status === "live" && (lastSequence ?? -1) === expected;
    const pool = new Map([...pod.pool()].map((block) => [block.blockHash, block]));
    const source = { model: MODEL, pod: pod.key, rank: 0, loraId: -1 };
    const held = new Map([...this.#indexer.heldBlocks(source)].map(({ blockHash, places }) => [blockHash, places]));
    // Without a replay endpoint a batch that was lost at the end cannot be known of.
    if (!hasReplay && (lastSequence ?? -1) !== expected) return found;
    for (const [hash, places] of held) {
      const block = pool.get(hash);
      if (block === undefined) found.push(`${pod.key}: block ${hash} is indexed, and not held`);
      else if (places.some((place) => !block.tiers.includes(place)))
        found.push(`${pod.key}: block ${hash} is not in ${places}`);
    }
    for (const [hash, block] of isComplete ? pool : []) {
      const places = held.get(hash);
      if (places === undefined) found.push(`${pod.key}: block ${hash} is held, and not indexed`);
      else if (places.length !== block.tiers.length) {
        found.push(`${pod.key}: block ${hash} is in ${places}, not ${block.tiers}`);
      }
    }
    return [...found, ...this.#compareAnswers(pod, isComplete)];
  }

  /** What the index answers, for the prompts that the engine holds and for those that only look like them. */
  #compareAnswers(pod: SimulatedPod, isComplete: boolean): string[] {
    const blocks = [...pod.pool()];
    const truth = new Set(blocks.map((block) => promptKey(block.prefixTokens(), block)));
    const found: string[] = [];
    for (const block of blocks) {
      const { loraName, cacheSalt, tokenIds } = block;
      const tokens = block.prefixTokens();
      for (const prompt of [
        { tokens, loraName, cacheSalt },
        { tokens, loraName, cacheSalt: null },
        { tokens, loraName: null, cacheSalt },
        { tokens: tokenIds, loraName, cacheSalt },
      ]) {
        const identity = prompt.cacheSalt === null ? {} : { cacheSalt: prompt.cacheSalt };
        const lora = prompt.loraName ?? -1;
        const match = this.#indexer.matchPrefix(MODEL, lora, prompt.tokens, new Set([pod.key]), identity)[0];
        const said = match?.matchedBlocks ?? 0;
        const held = heldBlocks(prompt.tokens, prompt, truth);
        if (said > held || (isComplete && said < held)) {
          found.push(
            `${pod.key}: ${said} blocks are said to be held of ${promptKey(prompt.tokens, prompt)}, ${held} are`,
          );
        }
      }
    }
    return found;
  }

  /** Once all pods are gone, so is everything that was kept for them. */
  #leaks(): string[] {
    const before = this.#streams();
    const pods = this.#manager.pods().map(({ pod }) => pod);
    for (const pod of pods) this.#manager.onPodDelete(pod);
    const { blocks, holders, orphans, sources, contexts } = this.#indexer.stats();
    const left = { blocks, holders, orphans, sources, contexts };
    const kept = Object.entries(left).filter(([, count]) => count > 0);
    for (const engine of this.#engines) engine.announced = null;
    for (const pod of pods) this.#manager.onPodAdd(pod);
    if (before.length !== pods.length) return ["more streams than pods"];
    return kept.length === 0 ? [] : [`after all pods went ${JSON.stringify(left)} was left`];
  }
}

interface Identity {
  readonly loraName: string | null;
  readonly cacheSalt: string | null;
}

function promptKey(tokens: Uint32Array, { loraName, cacheSalt }: Identity): string {
  return `${loraName} ${cacheSalt} ${tokens.join(" ")}`;
}

/** The oracle: of a prompt, the blocks from its start that are in the engine's pool. */
function heldBlocks(tokens: Uint32Array, identity: Identity, truth: ReadonlySet<string>): number {
  let blocks = 0;
  while ((blocks + 1) * BLOCK_SIZE <= tokens.length) {
    if (!truth.has(promptKey(tokens.subarray(0, (blocks + 1) * BLOCK_SIZE), identity))) break;
    blocks++;
  }
  return blocks;
}
