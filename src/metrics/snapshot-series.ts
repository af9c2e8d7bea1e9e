import { Counter, Gauge, type Registry } from "prom-client";
import type { SnapshotObserver } from "../snapshot/observer.ts";

/** Whether starts are warm, and whether the next one can be. */
export function registerSnapshotSeries(registry: Registry, prefix: string): SnapshotObserver {
  const registers = [registry];
  const writes = new Counter({
    name: `${prefix}kvcache_snapshot_writes_total`,
    help: "Snapshots, by whether they could be written.",
    labelNames: ["outcome"],
    registers,
  });
  const bytes = new Gauge({ name: `${prefix}kvcache_snapshot_bytes`, help: "Size of the last snapshot.", registers });
  const seconds = new Gauge({
    name: `${prefix}kvcache_snapshot_duration_seconds`,
    help: "Time that the last snapshot took.",
    registers,
  });
  const restored = new Gauge({
    name: `${prefix}kvcache_restored_blocks`,
    help: "Blocks that the start took over from a peer or a snapshot.",
    registers,
  });
  const refused = new Counter({
    name: `${prefix}kvcache_restores_refused_total`,
    help: "Peers and snapshots that the start could not use.",
    registers,
  });
  return {
    onRestored: (_origin, { blocks }) => restored.set(blocks),
    onRefused: () => refused.inc(),
    onWritten: (_path, size, durationSeconds) => {
      writes.inc({ outcome: "success" });
      bytes.set(size.bytes);
      seconds.set(durationSeconds);
    },
    onWriteFailed: () => writes.inc({ outcome: "failure" }),
  };
}
