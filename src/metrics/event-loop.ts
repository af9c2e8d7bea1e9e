import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import type { Registry } from "prom-client";
import { pulledGauge, type Sample } from "./pulled.ts";

const RESOLUTION_MS = 10;
const NANOSECONDS = 1e9;

/** Measures between the two, by a timer that keeps no process alive. */
export interface EventLoopMeter {
  start(): void;
  stop(): void;
}

/** How late timers came since the last scrape. */
export function registerEventLoopSeries(registry: Registry, prefix: string): EventLoopMeter {
  let monitor: IntervalHistogram | null = null;
  pulledGauge(registry, {
    name: `${prefix}kvcache_event_loop_delay_seconds`,
    help: "How late the event loop ran its timers since the last scrape.",
    labelNames: ["stat"],
    read: () => {
      if (monitor === null) return [];
      const samples = delays(monitor);
      monitor.reset();
      return samples;
    },
  });
  return {
    start: () => {
      if (monitor !== null) return;
      monitor = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      monitor.enable();
    },
    stop: () => {
      monitor?.disable();
      monitor = null;
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
