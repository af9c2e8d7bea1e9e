import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { readCorpus } from "./corpus.ts";
import { Generator } from "./generator.ts";
import type { OpenTarget, Target } from "./target.ts";

/** What may stay of all of a target's slices but the first, which warms code and pools up. */
const MAX_GROWTH_BYTES = 48 * 1_048_576;

/** Runs between two looks at the clock, at the least. */
const SLICE_MS = 250;

export interface LoopOptions {
  readonly targets: readonly Target[];
  /** Of the first run of each target; the next ones count up. */
  readonly seed: number;
  /** Ends after so long, or after so many runs of each target, whichever is first. */
  readonly seconds: number;
  readonly runs: number;
  /** Called before each run, so that somebody else knows it when it does not return. */
  readonly onRun: (target: number, seed: number) => void;
}

/** What a campaign found: nothing, or the run that failed. */
export interface LoopResult {
  readonly runs: number;
  readonly failure?: { readonly target: string; readonly seed: number; readonly runs: number; readonly error: string };
}

/** Gives each target a slice of time in turn, until the time or the runs are over, or one fails. */
export async function loop(options: LoopOptions): Promise<LoopResult> {
  const endAt = performance.now() + options.seconds * 1_000;
  const places: Place[] = [];
  let failure: LoopResult["failure"];
  try {
    for (const [index, target] of options.targets.entries()) {
      places.push(new Place(index, target, await target.open(), options));
    }
    for (let open = [...places]; failure === undefined && open.length > 0 && performance.now() < endAt; ) {
      for (const place of open) {
        failure = await place.slice(Math.min(SLICE_MS, endAt - performance.now()));
        if (failure !== undefined) break;
      }
      open = open.filter((place) => !place.isOver);
    }
  } finally {
    await Promise.all(places.map((place) => place.close()));
  }
  const runs = places.reduce((sum, place) => sum + place.runs, 0);
  return failure === undefined ? { runs } : { runs, failure };
}

/** One target, and how far it is. */
class Place {
  runs = 0;
  readonly #index: number;
  readonly #target: Target;
  readonly #open: OpenTarget;
  readonly #options: LoopOptions;
  readonly #kept: readonly Buffer[];
  #grownBytes = 0;

  constructor(index: number, target: Target, open: OpenTarget, options: LoopOptions) {
    this.#index = index;
    this.#target = target;
    this.#open = open;
    this.#options = options;
    this.#kept = readCorpus(target.name);
  }

  get isOver(): boolean {
    return this.runs >= this.#options.runs;
  }

  async slice(ms: number): Promise<LoopResult["failure"]> {
    const endAt = performance.now() + ms;
    const first = this.runs;
    const before = restBytes();
    while (!this.isOver && performance.now() < endAt) {
      const seed = this.#seed;
      this.#options.onRun(this.#index, seed);
      try {
        await this.#open.run(new Generator(seed), { kept: this.#kept });
      } catch (error) {
        return this.#failure(seed, 1, error);
      }
      this.runs += 1;
    }
    try {
      await this.#open.check?.();
      if (first > 0) this.#weigh(restBytes() - before);
    } catch (error) {
      return this.#failure((this.#options.seed + first) >>> 0, this.runs - first, error);
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.#open[Symbol.asyncDispose]();
  }

  get #seed(): number {
    return (this.#options.seed + this.runs) >>> 0;
  }

  /** Adds what a slice left behind. */
  #weigh(bytes: number): void {
    this.#grownBytes += bytes;
    if (this.#grownBytes <= MAX_GROWTH_BYTES) return;
    throw new Error(`memory grew by ${this.#grownBytes} bytes in ${this.runs} runs, and was not given back`);
  }

  #failure(seed: number, runs: number, error: unknown): LoopResult["failure"] {
    const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
    return { target: this.#target.name, seed, runs: Math.max(1, runs), error: text };
  }
}

let collect: (() => void) | null = null;

/** Bytes in use after a garbage collection, on the heap and beside it. */
function restBytes(): number {
  if (collect === null) {
    setFlagsFromString("--expose_gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
