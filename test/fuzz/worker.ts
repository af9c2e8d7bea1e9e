import { parentPort, workerData } from "node:worker_threads";
import type { WorkerOrder } from "./campaign.ts";
import { loop } from "./loop.ts";
import type { Target } from "./target.ts";

const { module, names, seed, seconds, runs, progress } = workerData as WorkerOrder;
const { targets } = (await import(module)) as { readonly targets: readonly Target[] };
const shared = new Int32Array(progress);
// A run that waits for nothing that is still to come would else end the thread, and look like a crash.
const alive = setInterval(() => {}, 60_000);
const result = await loop({
  targets: targets.filter(({ name }) => names.includes(name)),
  seed,
  seconds,
  runs,
  onRun: (target, runSeed) => {
    Atomics.store(shared, 0, target);
    Atomics.store(shared, 1, runSeed | 0);
    Atomics.add(shared, 2, 1);
  },
});
clearInterval(alive);
parentPort!.postMessage(result);
