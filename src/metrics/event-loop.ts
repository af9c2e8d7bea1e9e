import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import type { Registry } from "prom-client";
import { pulledGauge, type Sample } from "./pulled.ts";

const RESOLUTION_MS = 10;
const NANOSECONDS = 1e9;

/**
 * How late timers came since the last scrape. Disposing stops the monitor, which is a timer of its own (it keeps no
 * process alive).
 */
export function registerEventLoopSeries(registry: Registry, prefix: string): Disposable {
  const monitor = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  pulledGauge(registry, {
    name: `${prefix}kvcache_event_loop_delay_seconds`,
    help: "How late the event loop ran its timers since the last scrape.",
    labelNames: ["stat"],
    read: () => {
      const samples = delays(monitor);
      monitor.reset();
      return samples;
    },
  });
  monitor.enable();
  return {
    [Symbol.dispose]: () => {
      monitor.disable();
    },
  };
}

function delays(monitor: IntervalHistogram): readonly Sample<"stat">[] {
  const sample = (stat: string, nanoseconds: number): Sample<"stat"> => ({
    labels: { stat },
    value: seconds(monitor.count === 0 ? 0 : nanoseconds),
  });
  return [sample("p50", monitor.percentile(50)), sample("p99", monitor.percentile(99)), sample("max", monitor.max)];
}

/** Node measures from one tick of its timer to the next: the interval itself is no delay. */
function seconds(nanoseconds: number): number {
  return Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1_000);
}
