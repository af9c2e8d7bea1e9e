/**
 * `npm run churn -- [--pods 1000] [--seconds 600] [--json]`: simulated pods in this process, a daemon in its own that
 * follows them over TCP. They come and go, restart and publish all the time; once a minute, or ten times in all, the
 * daemon's memory and the delay of its event loop are told, which have to stay flat.
 */
import { parseArgs } from "node:util";
import { createTransport } from "../../src/container.ts";
import { SimulatedPod } from "../../src/simulator/simulated-pod.ts";
import { Daemon } from "../interop/support/daemon.ts";
import { until } from "../interop/support/until.ts";
import { seededRandom } from "../support/random.ts";

const CAPACITY_BLOCKS = 200;
const TICK_MS = 100;
/** Of the pods, in each tick: how many publish, go and come, and start anew. */
const PUBLISHING = 0.1;
const MOVING = 0.004;
const RESTARTING = 0.001;

const { values } = parseArgs({
  options: {
    pods: { type: "string", default: "1000" },
    seconds: { type: "string", default: "600" },
    json: { type: "boolean", default: false },
  },
});
const [podCount, seconds] = [Number(values.pods), Number(values.seconds)];
const random = seededRandom(1);
const counts = { requests: 0, moves: 0, restarts: 0 };

/** What the daemon tells of itself. */
interface Reading {
  readonly second: number;
  readonly rss_bytes: number;
  readonly heap_bytes: number;
  readonly delay_p99_ms: number;
  readonly delay_max_ms: number;
  readonly streams: number;
  readonly blocks: number;
}

async function read(daemon: Daemon, second: number): Promise<Reading> {
  const metrics = await daemon.metrics();
  const milliseconds = (stat: string): number =>
    Math.round((metrics.get(`aibrix_kvcache_event_loop_delay_seconds{stat="${stat}"}`) ?? 0) * 10_000) / 10;
  return {
    second,
    rss_bytes: metrics.get("process_resident_memory_bytes") ?? 0,
    heap_bytes: metrics.get("nodejs_heap_size_used_bytes") ?? 0,
    delay_p99_ms: milliseconds("p99"),
    delay_max_ms: milliseconds("max"),
    streams: [...metrics].reduce(
      (sum, [name, value]) => sum + (name.startsWith("aibrix_kvcache_zmq_stream_status{") ? value : 0),
      0,
    ),
    blocks: metrics.get("aibrix_kvcache_index_blocks") ?? 0,
  };
}

function tell(reading: Reading): void {
  if (values.json) return;
  const megabytes = (bytes: number): number => Math.round(bytes / 1_048_576);
  console.log(
    `${reading.second} s: RSS ${megabytes(reading.rss_bytes)} MiB, heap ${megabytes(reading.heap_bytes)} MiB, loop delay p99 ${reading.delay_p99_ms} ms, at most ${reading.delay_max_ms} ms, ${reading.streams} streams, ${reading.blocks} blocks`,
  );
}

/** A prompt that shares its start with some of the others. */
function prompt(): number[] {
  const subject = Math.floor(random() * 500);
  return Array.from({ length: 16 * (4 + Math.floor(random() * 12)) }, (_, at) => (at < 64 ? at : subject * 1_000 + at));
}

async function churn(daemon: Daemon, pods: readonly SimulatedPod[]): Promise<void> {
  for (const pod of pods) {
    if (pod.isRunning && random() < PUBLISHING) {
      pod.request({ tokens: prompt() });
      counts.requests++;
    }
    const dice = random();
    if (dice < MOVING) {
      await daemon.unregister(pod.key);
      await daemon.register(pod.key, pod.ranks);
      counts.moves++;
    } else if (dice < MOVING + RESTARTING) {
      await pod.stop();
      await pod.start();
      counts.restarts++;
    }
  }
}

async function main(): Promise<boolean> {
  await using daemon = await Daemon.start();
  const transport = await createTransport("zmtp");
  const pods = Array.from({ length: podCount }, (_, at) => {
    const endpoints = [{ endpoint: "tcp://127.0.0.1:0", replayEndpoint: "tcp://127.0.0.1:0" }];
    const common = { modelName: "interop", transport, capacityBlocks: CAPACITY_BLOCKS };
    return new SimulatedPod({ ...common, key: `ns/pod-${at}`, endpoints, seed: at });
  });
  try {
    for (const pod of pods) await pod.start();
    for (const pod of pods) await daemon.register(pod.key, pod.ranks);
    const startMs = performance.now();
    const passed = (): number => Math.round((performance.now() - startMs) / 1_000);
    const everySeconds = Math.min(60, seconds / 10);
    const readings: Reading[] = [];
    while (passed() < seconds) {
      await churn(daemon, pods);
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      if (passed() < (readings.length + 1) * everySeconds) continue;
      readings.push(await read(daemon, passed()));
      tell(readings.at(-1)!);
    }
    for (const pod of pods) {
      await until(
        `${pod.key} is followed to its end`,
        () => daemon.streams(pod.key),
        ([stream]) => stream?.status === "live" && (stream.lastSequence ?? -1) === pod.nextSequence(0) - 1,
      );
    }
    const held = pods.reduce((sum, pod) => sum + [...pod.pool(0)].length, 0);
    const holders = await daemon.metric("aibrix_kvcache_index_holders");
    for (const pod of pods) await daemon.unregister(pod.key);
    const left = await daemon.metric("aibrix_kvcache_index_holders");
    console.log(JSON.stringify({ pods: podCount, seconds, ...counts, held, holders, left, readings }));
    return holders === held && left === 0;
  } finally {
    await Promise.all(pods.map((pod) => pod.stop()));
  }
}

process.exit((await main()) ? 0 : 1);
