interface Flight<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  callers: number;
}

/** Callers who want the same at the same time share one call of it. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** Calls that are under way. */
  get size(): number {
    return this.#flights.size;
  }

  /**
   * The result of `call`, or of the same key's call that is under way. A caller's abort ends its own waiting with the
   * signal's reason; the call's signal aborts when the last one has gone.
   */
  async run(key: string, call: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#begin(key, call);
    flight.callers += 1;
    let abort: () => void = () => {};
    const aborted = new Promise<never>((_, reject) => {
      abort = () => reject(signal?.reason);
    });
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([flight.result, aborted]);
    } finally {
      signal?.removeEventListener("abort", abort);
      flight.callers -= 1;
      if (flight.callers === 0) this.#end(key, flight);
    }
  }

  #begin(key: string, call: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const abort = new AbortController();
    const flight = { result: call(abort.signal), abort, callers: 0 };
    // Whoever comes when it is done begins anew; whoever has gone hears of no failure.
    const end = (): void => this.#end(key, flight);
    flight.result.then(end, end);
    this.#flights.set(key, flight);
    return flight;
  }

  #end(key: string, flight: Flight<T>): void {
    flight.abort.abort();
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}
