import { Counter, Gauge, type Registry } from "prom-client";
import type { WatchObserver } from "../discovery/kubernetes/observer.ts";

/** How the watch of a cluster's pods fares. */
export function registerWatchSeries(registry: Registry, prefix: string): WatchObserver {
  const registers = [registry];
  const lists = new Counter({
    name: `${prefix}kvcache_kubernetes_lists_total`,
    help: "Lists of all pods: one at the start, and one whenever changes may have been missed.",
    registers,
  });
  const pods = new Gauge({
    name: `${prefix}kvcache_kubernetes_listed_pods`,
    help: "Pods of the last list, eligible or not.",
    registers,
  });
  const errors = new Counter({
    name: `${prefix}kvcache_kubernetes_errors_total`,
    help: "Lists and watches that failed, by what failed; each is tried again.",
    labelNames: ["error_type"],
    registers,
  });
  return {
    onList: (listed) => {
      lists.inc();
      pods.set(listed);
    },
    onTrouble: (trouble) => errors.inc({ error_type: trouble }),
  };
}
