/**
 * `npm run chaos -- [--engines 100] [--seconds 60] [--seed n] [--json]`: engines in Python, each behind proxies that
 * cut, delay, split, throttle and half-open its connections, and one daemon that follows them. In the end the faults
 * stop, and what the daemon answers is compared with what the engines hold; then all engines are taken away, and the
 * daemon is to be as it was. Ends with exit code 1 where anything differs.
 */
import { parseArgs } from "node:util";
import { Daemon } from "../interop/support/daemon.ts";
import { compare } from "../interop/support/divergence.ts";
import type { Truth } from "../interop/support/engine.ts";
import { findPython } from "../interop/support/python.ts";
import { caughtUp } from "../interop/support/scenario.ts";
import { until } from "../interop/support/until.ts";
import { seededRandom } from "../support/random.ts";
import { Fleet, type Pod } from "./fleet.ts";

const RANKS = 5;
const SERVE_MS = 500;
const SETTLE_MS = 180_000;

const { values } = parseArgs({
  options: {
    engines: { type: "string", default: "100" },
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    json: { type: "boolean", default: false },
  },
});
const [engines, seconds, seed] = [values.engines, values.seconds, values.seed].map(Number) as [number, number, number];
const random = seededRandom(seed);
const faults: Record<string, number> = {};
const count = (fault: string): void => {
  faults[fault] = (faults[fault] ?? 0) + 1;
};

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** Faults and work until the time is over. */
async function disturb(pods: readonly Pod[], past: Truth[]): Promise<void> {
  const endMs = performance.now() + seconds * 1_000;
  const working = pods.map(async (pod) => {
    while (performance.now() < endMs) {
      await pod.serve(3 + Math.floor(random() * 8));
      await new Promise((resolve) => setTimeout(resolve, SERVE_MS * (0.5 + random())));
    }
  });
  while (performance.now() < endMs) {
    const pod = pods[Math.floor(random() * pods.length)]!;
    const dice = random();
    if (dice < 0.02) {
      past.push(await pod.truth());
      await pod.restart();
      count("restart");
    } else if (dice < 0.05) {
      await pod.reset(Math.floor(random() * pod.ranks));
      count("clear");
    } else count(pod.disturb(random));
    progress(`${Math.ceil((endMs - performance.now()) / 1_000)} s left, ${total()} faults`);
    await new Promise((resolve) => setTimeout(resolve, 4_000 / engines));
  }
  await Promise.all(working);
}

function total(): number {
  return Object.values(faults).reduce((sum, each) => sum + each, 0);
}

/** Handles and timers of the daemon, without those that asking for them takes. */
async function busyWith(daemon: Daemon): Promise<number> {
  return daemon.metric("nodejs_active_resources_total");
}

async function main(python: string): Promise<boolean> {
  await using daemon = await Daemon.start();
  let peakBytes = 0;
  const watchMemory = async (): Promise<number> => {
    const bytes = await daemon.metric("process_resident_memory_bytes");
    peakBytes = Math.max(peakBytes, bytes);
    return bytes;
  };
  const baselineBytes = await watchMemory();
  const baseline = await busyWith(daemon);
  await using fleet = new Fleet();
  await fleet.start(python, engines, RANKS);
  const { pods } = fleet;
  for (const pod of pods) await pod.register(daemon);
  const sampling = setInterval(() => void watchMemory().catch(() => {}), 1_000);
  const past: Truth[] = [];
  try {
    await disturb(pods, past);
  } finally {
    clearInterval(sampling);
  }
  for (const pod of pods) pod.heal();
  progress("the faults are over; waiting for the streams");
  const settledMs = performance.now();
  // One more batch, on each rank: without it nobody can know that the last one is missing.
  for (const pod of pods) await caughtUp(daemon, pod.name, await pod.serve(0), ["live"]);
  const settleSeconds = (performance.now() - settledMs) / 1_000;
  const truths = new Map<string, Truth>();
  for (const pod of pods) truths.set(pod.name, await pod.truth());
  progress("comparing");
  const { prompts, blocks, divergence, differing } = await compare(daemon.query, truths, past);
  for (const difference of divergence.slice(0, 10)) console.error(difference);
  await watchMemory();
  const batches = [...truths.values()].flatMap(({ ranks }) => ranks).reduce((sum, rank) => sum + rank.nextSequence, 0);
  for (const pod of pods) await daemon.unregister(pod.name);
  const resources = await until(
    "the daemon is busy with no more than at the start",
    () => busyWith(daemon),
    (left) => left <= baseline,
    SETTLE_MS,
  );
  const held = await daemon.metric("aibrix_kvcache_index_blocks");
  const result = {
    engines,
    seconds,
    seed,
    faults: total(),
    kinds: faults,
    batches,
    blocks,
    prompts,
    diverged: differing.size,
    settle_seconds: Number(settleSeconds.toFixed(1)),
    baseline_rss_bytes: baselineBytes,
    peak_rss_bytes: peakBytes,
    final_rss_bytes: await watchMemory(),
    baseline_resources: baseline,
    final_resources: resources,
    blocks_left: held,
  };
  progress("");
  if (!values.json) {
    const megabytes = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MiB`;
    console.log(
      `${engines} engines, ${total()} faults in ${seconds} s, ${batches} batches, ${blocks} blocks in the end`,
    );
    console.log(`${differing.size} engines differ over ${prompts} prompts; settled after ${result.settle_seconds} s`);
    console.log(`memory ${megabytes(baselineBytes)}, at most ${megabytes(peakBytes)}; ${held} blocks left`);
  }
  console.log(JSON.stringify(result));
  return differing.size === 0 && held === 0 && blocks > 0;
}

const python = findPython();
if (python === null) {
  console.error("no Python with pyzmq and msgspec: python3 -m venv .venv && .venv/bin/pip install pyzmq msgspec");
  process.exit(1);
}
process.exit((await main(python)) ? 0 : 1);
