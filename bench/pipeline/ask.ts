import { Worker } from "node:worker_threads";

/** Microseconds from when an answer was due to when it was there. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * Sends the time at a steady pace. It is a thread of its own, so that a question is asked when it is due, and not when
 * the loop that is measured has time for it.
 */
const METRONOME = `
  const { parentPort, workerData } = require("node:worker_threads");
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let dueMs = performance.now(); ; dueMs += workerData) {
    const leftMs = dueMs - performance.now();
    if (leftMs > 0) Atomics.wait(cell, 0, 0, leftMs);
    parentPort.postMessage(process.hrtime.bigint());
  }
`;

/** Lets `answer` be called so many times a second until it is stopped, and measures how long that took. */
export class Asker {
  readonly #latencies: number[] = [];
  readonly #worker: Worker;
  #count = 0;

  constructor(perSecond: number, answer: (count: number) => void) {
    this.#worker = new Worker(METRONOME, { eval: true, workerData: 1_000 / perSecond, execArgv: [] });
    this.#worker.on("message", (dueNs: bigint) => {
      answer(this.#count++);
      this.#latencies.push(Number(process.hrtime.bigint() - dueNs) / 1_000);
    });
  }

  async stop(): Promise<Latency> {
    await this.#worker.terminate();
    const sorted = this.#latencies.sort((left, right) => left - right);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
  }
}
