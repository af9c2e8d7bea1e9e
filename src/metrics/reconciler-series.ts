import { Counter, type Registry } from "prom-client";
import type { ReconcilerObserver } from "../reconciler/reconciler.ts";

/** What asking engines for the state of their caches finds. */
export function registerReconcilerSeries(registry: Registry, prefix: string): ReconcilerObserver {
  const registers = [registry];
  const dropped = new Counter({
    name: `${prefix}kvcache_reconciler_dropped_total`,
    help: "Pods whose engine was found to have dropped its cache without an event, by how that was seen.",
    labelNames: ["reason"],
    registers,
  });
  const failures = new Counter({
    name: `${prefix}kvcache_reconciler_probe_failures_total`,
    help: "Engines that did not answer over HTTP when they were asked for the state of their cache.",
    registers,
  });
  return {
    onDropped: (_pod, reason) => dropped.inc({ reason }),
    onProbeFailed: () => failures.inc(),
  };
}
