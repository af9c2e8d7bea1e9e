import { Worker } from "node:worker_threads";
import type { LoopResult } from "./loop.ts";

/** Beyond it a run counts as hung; none takes more than a few seconds, time-outs included. */
const HANG_MS = 15_000;
const LOOK_MS = 100;

/** Until the first run: modules are read, sockets bound. */
const START_MS = 60_000;

/** More than any target needs: what exceeds it has lost its bounds. */
const HEAP_MB = 512;

export interface CampaignOptions {
  /** URL of a module that exports `targets`, and the names of those to run. */
  readonly module: string;
  readonly names: readonly string[];
  readonly seed: number;
  readonly seconds: number;
  /** Of each target. */
  readonly runs: number;
  readonly hangMs?: number;
  readonly heapMb?: number;
}

export interface WorkerOrder extends Pick<CampaignOptions, "module" | "names" | "seed" | "seconds" | "runs"> {
  /** Where the worker writes which run it is at: target, seed, count. */
  readonly progress: SharedArrayBuffer;
}

/** As `LoopResult`; `how` it failed, and the run that was under way where the worker could not say it itself. */
export interface CampaignResult {
  readonly runs: number;
  readonly failure?: NonNullable<LoopResult["failure"]> & { readonly how: "fault" | "crash" | "hang" };
}

/**
 * Runs a campaign in a thread of its own: whoever hangs, exhausts the memory, throws in a callback or leaves a rejection
 * unhandled ends that thread alone, and is named by its seed.
 */
export async function campaign(options: CampaignOptions): Promise<CampaignResult> {
  const { hangMs = HANG_MS, heapMb = HEAP_MB, names, ...order } = options;
  const progress = new SharedArrayBuffer(12);
  const shared = new Int32Array(progress);
  const worker = new Worker(workerUrl(), {
    workerData: { ...order, names, progress } satisfies WorkerOrder,
    resourceLimits: { maxOldGenerationSizeMb: heapMb },
  });
  const current = (how: "crash" | "hang", error: string): CampaignResult => ({
    runs: Atomics.load(shared, 2),
    failure: { target: names[Atomics.load(shared, 0)]!, seed: Atomics.load(shared, 1) >>> 0, runs: 1, error, how },
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<CampaignResult>((resolve) => {
      worker.on("message", ({ runs, failure }: LoopResult) => {
        resolve(failure === undefined ? { runs } : { runs, failure: { ...failure, how: "fault" } });
      });
      worker.on("error", (error: Error) => resolve(current("crash", error.stack ?? String(error))));
      worker.on("exit", (code) => resolve(current("crash", `the worker ended by itself, with code ${code}`)));
      let seen = { count: 0, at: performance.now() };
      timer = setInterval(() => {
        const count = Atomics.load(shared, 2);
        if (count !== seen.count) seen = { count, at: performance.now() };
        else if (performance.now() - seen.at > (count === 0 ? START_MS : hangMs)) {
          resolve(current("hang", `no end after ${hangMs} ms`));
        }
      }, LOOK_MS);
    });
  } finally {
    clearInterval(timer);
    // Not waited for: a thread that hangs outside of JavaScript does not end before the process does.
    worker.removeAllListeners().unref();
    void worker.terminate();
  }
}

/** Ends the process with 0 or 1; by a signal where a thread hangs outside of JavaScript, for an exit waits for its end. */
export function endProcess({ failure }: CampaignResult): void {
  if (failure?.how === "hang") process.kill(process.pid, "SIGKILL");
  else process.exit(failure === undefined ? 0 : 1);
}

/** Node's threads do not take `--import tsx` over: this one registers it itself, and then becomes the worker. */
function workerUrl(): URL {
  const tsx = import.meta.resolve("tsx/esm/api");
  const worker = new URL("worker.ts", import.meta.url).href;
  const source = `import { register } from "${tsx}"; register(); await import("${worker}");`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}
