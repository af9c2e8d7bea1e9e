import type { Logger } from "pino";

const SIGNAL = "SIGUSR2";

/**
 * Each SIGUSR2 changes from the level that was configured to `debug`, or back; where that is `debug` or `trace` itself,
 * to `info`. Disposing lets go of the signal, and restores the level.
 */
export class LevelSwitch implements Disposable {
  readonly #logger: Logger;
  readonly #configured: string;
  readonly #onSignal = (): void => this.#toggle();

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#configured = logger.level;
    // Windows has no such signal.
    if (process.platform !== "win32") process.on(SIGNAL, this.#onSignal);
  }

  [Symbol.dispose](): void {
    process.off(SIGNAL, this.#onSignal);
    this.#logger.level = this.#configured;
  }

  #toggle(): void {
    const isVerbose = this.#configured === "debug" || this.#configured === "trace";
    const other = isVerbose ? "info" : "debug";
    const level = this.#logger.level === other ? this.#configured : other;
    // Told at the one of the two that lets it through.
    if (level === "debug" || level === "trace") this.#logger.level = level;
    this.#logger.info({ level }, `log level is ${level} from now on, by ${SIGNAL}`);
    this.#logger.level = level;
  }
}
