import { type ChildProcessByStdio, spawn } from "node:child_process";
import { closeSync, openSync, readSync } from "node:fs";
import { type IntervalHistogram, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";

/** Of a stretch of time: how long the event loop was kept from its next turn, and by whom. */
export interface PauseReport {
  /** The longest gap, as a timer of one millisecond sees it. */
  readonly maxPauseMs: number;
  /** The longest one without what the thread waited for a processor that others had; null where the system (not Linux) does not tell. */
  readonly ownPauseMs: number | null;
  /** The longest gap of a process beside this one that does nothing: what the machine did to everybody. */
  readonly idlePauseMs: number;
  readonly gcs: number;
  /** The longest stop for garbage collection; a wait for a processor is part of it. */
  readonly maxGcMs: number;
}

const IDLE_PROGRAM = `
const delay = require("node:perf_hooks").monitorEventLoopDelay({ resolution: 1 });
delay.enable();
process.stdin.resume().on("end", () => process.stdout.write(String(delay.max / 1e6)));
`;

/** Watches the event loop from its making to `stop`. */
export class Pauses {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: 1 });
  readonly #idle: ChildProcessByStdio<Writable, Readable, null> = spawn(process.execPath, ["-e", IDLE_PROGRAM], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  readonly #waits = openWaits();
  readonly #observer: PerformanceObserver;
  #gcs = 0;
  #maxGcMs = 0;
  #turnedAtMs: number = performance.now();
  #waitedMs: number;
  #ownPauseMs = 0;

  constructor() {
    this.#waitedMs = this.#waits?.read() ?? 0;
    this.#observer = new PerformanceObserver((list) => this.#count(list.getEntries()));
    this.#observer.observe({ entryTypes: ["gc"] });
    this.#delay.enable();
  }

  /** To be called once in each turn of the event loop. */
  turn(): void {
    if (this.#waits === undefined) return;
    const nowMs = performance.now();
    const waitedMs = this.#waits.read();
    this.#ownPauseMs = Math.max(this.#ownPauseMs, nowMs - this.#turnedAtMs - (waitedMs - this.#waitedMs));
    this.#waitedMs = waitedMs;
    this.#turnedAtMs = nowMs;
  }

  async stop(): Promise<PauseReport> {
    this.#delay.disable();
    this.#count(this.#observer.takeRecords());
    this.#observer.disconnect();
    this.#waits?.close();
    this.#idle.stdin.end();
    return {
      maxPauseMs: this.#delay.max / 1e6,
      ownPauseMs: this.#waits === undefined ? null : this.#ownPauseMs,
      idlePauseMs: Number(await text(this.#idle.stdout)),
      gcs: this.#gcs,
      maxGcMs: this.#maxGcMs,
    };
  }

  #count(entries: readonly { readonly duration: number }[]): void {
    this.#gcs += entries.length;
    for (const { duration } of entries) this.#maxGcMs = Math.max(this.#maxGcMs, duration);
  }
}

interface Waits {
  /** Milliseconds in which this thread could have run and had no processor, since its beginning. */
  read(): number;
  close(): void;
}

/** The second number of Linux's `schedstat`, in nanoseconds (`Documentation/scheduler/sched-stats.rst`). */
function openWaits(): Waits | undefined {
  let file: number;
  try {
    file = openSync("/proc/thread-self/schedstat", "r");
  } catch {
    return undefined;
  }
  const buffer = Buffer.alloc(128);
  return {
    read: () => Number(buffer.toString("latin1", 0, readSync(file, buffer, 0, buffer.length, 0)).split(" ")[1]) / 1e6,
    close: () => closeSync(file),
  };
}
