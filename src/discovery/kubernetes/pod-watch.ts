import type { Clock } from "../../clock.ts";
import type { WatchObserver, WatchTrouble } from "./observer.ts";
import type { KubernetesPod } from "./pod.ts";
import { ApiError, type PodApi, type WatchEvent } from "./pod-api.ts";

/** Receives what is listed and watched. */
export interface PodSink {
  replace(pods: readonly KubernetesPod[]): void;
  set(pod: KubernetesPod): void;
  delete(pod: KubernetesPod): void;
}

/** Times of a watch. */
export interface WatchTimes {
  /** A list that takes longer is given up, page by page. @default 30_000 */
  readonly listTimeoutMs: number;
  /** The server ends a watch after so long, and it is begun anew. @default 300_000, as client-go's shortest */
  readonly watchTimeoutMs: number;
  /**
   * A watch on which nothing comes for so long is taken for dead. Servers send a bookmark about every minute.
   * @default 90_000
   */
  readonly idleTimeoutMs: number;
  /** First delay after a failure; doubles up to `retryMaxMs`. @default 1_000 */
  readonly retryMinMs: number;
  /** @default 30_000 */
  readonly retryMaxMs: number;
}

const HTTP_GONE = 410;

/** The server no longer has the changes from there on. */
class ExpiredError extends Error {}

/**
 * Lists all pods, watches their changes, and does so again, from where it stopped or from a new list, whatever the
 * server does, until the signal ends it. Each failure waits longer than the one before, and a watch that ends at once
 * counts as one: a server that flaps is not stormed.
 */
export class PodWatch {
  readonly #api: PodApi;
  readonly #sink: PodSink;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #times: WatchTimes;
  readonly #observer: WatchObserver;
  #failures = 0;

  constructor(parts: {
    readonly api: PodApi;
    readonly sink: PodSink;
    readonly clock: Clock;
    readonly random: () => number;
    readonly times: WatchTimes;
    readonly observer: WatchObserver;
  }) {
    this.#api = parts.api;
    this.#sink = parts.sink;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#times = parts.times;
    this.#observer = parts.observer;
  }

  /** Resolves when the signal ends it; never rejects. `onListed` hears of each list that was taken over. */
  async run(signal: AbortSignal, onListed: () => void): Promise<void> {
    while (!signal.aborted) {
      let version: string;
      try {
        version = await this.#list(signal);
      } catch (error) {
        await this.#failed("list", error, signal);
        continue;
      }
      onListed();
      await this.#follow(version, signal);
    }
  }

  async #list(signal: AbortSignal): Promise<string> {
    const pods: KubernetesPod[] = [];
    let next: string | undefined;
    for (;;) {
      const page = await this.#within(this.#times.listTimeoutMs, signal, "a page of the list", (limited) =>
        this.#api.list(next, limited),
      );
      pods.push(...page.items);
      next = page.next;
      if (next !== undefined && next !== "") continue;
      this.#sink.replace(pods);
      this.#observer.onList?.(pods.length);
      return page.resourceVersion;
    }
  }

  /** Watches from this version on, again and again; returns when only a new list helps. */
  async #follow(version: string, signal: AbortSignal): Promise<void> {
    let from = version;
    const onEvent = (event: WatchEvent): void => {
      from = event.object.metadata?.resourceVersion ?? from;
    };
    while (!signal.aborted) {
      const startedMs = this.#clock.now();
      try {
        await this.#watchOnce(from, signal, onEvent);
      } catch (error) {
        if (signal.aborted) return;
        if (isExpired(error)) {
          await this.#failed("expired", error, signal);
          return;
        }
        // A server that has nothing to tell may send no bookmarks either: the time that has passed is pause enough.
        if (error instanceof IdleError) this.#observer.onTrouble?.("idle", error);
        else await this.#failed("watch", error, signal);
        continue;
      }
      // A server that ends each watch as soon as it is there would be asked all the time.
      if (this.#clock.now() - startedMs >= this.#times.retryMinMs) this.#failures = 0;
      else await this.#pause(signal);
    }
  }

  async #watchOnce(version: string, signal: AbortSignal, onEvent: (event: WatchEvent) => void): Promise<void> {
    const timeoutSeconds = Math.ceil((this.#times.watchTimeoutMs * (1 + this.#random())) / 1_000);
    const watchdog = new Watchdog(this.#clock, signal, this.#times.idleTimeoutMs);
    try {
      for await (const event of this.#api.watch(version, timeoutSeconds, watchdog.signal)) {
        watchdog.feed();
        if (event.type === "ERROR") throw statusError(event);
        this.#apply(event);
        onEvent(event);
        // It works: what failed before is past.
        this.#failures = 0;
      }
    } catch (error) {
      throw watchdog.isIdle && !signal.aborted ? new IdleError(this.#times.idleTimeoutMs, error) : error;
    } finally {
      watchdog.end();
    }
  }

  #apply({ type, object }: WatchEvent): void {
    if (type === "ADDED" || type === "MODIFIED") this.#sink.set(object);
    else if (type === "DELETED") this.#sink.delete(object);
  }

  async #failed(trouble: WatchTrouble, error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#observer.onTrouble?.(trouble, asError(error));
    await this.#pause(signal);
  }

  /** Half the delay at least, so that clients of a server that restarts do not come back in step. */
  #pause(signal: AbortSignal): Promise<void> {
    const { retryMinMs, retryMaxMs } = this.#times;
    const ceiling = Math.min(retryMaxMs, retryMinMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 30);
    return sleep(this.#clock, ceiling * (0.5 + this.#random() / 2), signal);
  }

  async #within<T>(
    ms: number,
    signal: AbortSignal,
    what: string,
    run: (limited: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const watchdog = new Watchdog(this.#clock, signal, ms);
    try {
      return await run(watchdog.signal);
    } catch (error) {
      throw watchdog.isIdle ? new Error(`${what} did not come within ${ms} ms`, { cause: error }) : error;
    } finally {
      watchdog.end();
    }
  }
}

class IdleError extends Error {
  constructor(idleTimeoutMs: number, cause: unknown) {
    super(`nothing came for ${idleTimeoutMs} ms, not even a bookmark: the connection is taken for dead`, { cause });
  }
}

/** Ends a call on which nothing happens for too long. */
class Watchdog {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #controller = new AbortController();
  readonly #unlink: () => void;
  #timer: unknown;
  isIdle = false;

  constructor(clock: Clock, outer: AbortSignal, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    const abort = (): void => this.#controller.abort(outer.reason);
    if (outer.aborted) abort();
    outer.addEventListener("abort", abort, { once: true });
    this.#unlink = () => outer.removeEventListener("abort", abort);
    this.feed();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  feed(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => {
      this.isIdle = true;
      this.#controller.abort();
    }, this.#timeoutMs);
  }

  end(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#unlink();
  }
}

function statusError({ object: { code = 0, message = "no message" } }: WatchEvent): Error {
  if (code === HTTP_GONE) return new ExpiredError(message);
  return new ApiError(code, `the watch ended with status ${code}: ${message}`);
}

function isExpired(error: unknown): boolean {
  return error instanceof ExpiredError || (error instanceof ApiError && error.status === HTTP_GONE);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Resolves after the time, or when the signal comes. */
function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clock.clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
