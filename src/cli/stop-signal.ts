const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const MAX_TIMER_MS = 2_147_483_647;
/** As a shell tells of SIGINT. */
const INTERRUPTED = 130;

/**
 * Waits for SIGINT or SIGTERM, or until `seconds` are over. A second signal ends the process at once: whoever sends it
 * does not want to wait for a clean end. Disposing lets go of the signals.
 */
export class StopSignal implements Disposable {
  readonly stopped: Promise<void>;
  /** Aborts then. */
  readonly signal: AbortSignal;
  readonly #onSignal: () => void;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(seconds?: number) {
    const controller = new AbortController();
    const stop = (): void => controller.abort();
    this.signal = controller.signal;
    this.stopped = new Promise((resolve) => controller.signal.addEventListener("abort", () => resolve()));
    this.#onSignal = () => {
      if (controller.signal.aborted) process.exit(INTERRUPTED);
      stop();
    };
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    this.#timer = seconds === undefined ? undefined : setTimeout(stop, Math.min(seconds * 1_000, MAX_TIMER_MS));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }
}
