import type { Clock } from "../clock.ts";
import { KVEventSyncError } from "../errors.ts";

/** Time for a peer to say something; one that follows its engines writes without a pause. */
const SILENCE_MS = 5_000;

/** Nothing more is asked of a peer. */
const CLOSING = { connection: "close" };

/**
 * What another daemon's `GET /dump` answers; `url` is the daemon's, without the path.
 *
 * @throws KVEventSyncError `peer-refused` where it answers something else, `peer-silent` where it pauses for 5 s,
 *   `peer-unreachable` where it does not answer, or no longer.
 */
export async function* readPeer(url: string, clock: Clock, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  const silence = new Silence(clock);
  const target = new URL("dump", url.endsWith("/") ? url : `${url}/`);
  try {
    const request = { headers: CLOSING, signal: AbortSignal.any([signal, silence.signal]) };
    const response = await silence.guard(fetch(target, request));
    if (response.status !== 200 || response.body === null) {
      throw new KVEventSyncError(
        "peer-refused",
        `peer answers ${response.status} to GET ${target.pathname}; see its log`,
      );
    }
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await silence.guard(reader.read());
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (error instanceof KVEventSyncError || signal.aborted) throw signal.aborted ? signal.reason : error;
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new KVEventSyncError("peer-unreachable", `peer: ${reason}; check that it runs and can be reached`, {
      cause: error,
    });
  } finally {
    silence.end();
  }
}

/** Ends a request whose peer says nothing. */
class Silence {
  readonly #clock: Clock;
  readonly #controller = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async guard<T>(answer: Promise<T>): Promise<T> {
    const timer = this.#clock.setTimeout(() => this.#controller.abort(silent()), SILENCE_MS);
    try {
      return await answer;
    } finally {
      this.#clock.clearTimeout(timer);
    }
  }

  /** Also where the reader went away in the middle. */
  end(): void {
    this.#controller.abort(silent());
  }
}

function silent(): KVEventSyncError {
  return new KVEventSyncError("peer-silent", `peer said nothing for ${SILENCE_MS} ms; check that it is not overloaded`);
}
