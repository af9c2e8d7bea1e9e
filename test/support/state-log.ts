import type { ConnectionListener, ConnectionState } from "../../src/transport.ts";

type Status = ConnectionState["status"];
type StateOf<S extends Status> = Extract<ConnectionState, { readonly status: S }>;

export interface StateEntry {
  readonly endpoint: string;
  readonly state: ConnectionState;
}

/** Records connection states, and lets a test wait for them. */
export interface StateLog {
  /** For `onConnection`. */
  readonly listener: ConnectionListener;
  readonly entries: readonly StateEntry[];
  /** Those of all endpoints, in order. */
  readonly statuses: readonly Status[];
  /** The next of that status after those which earlier calls gave. */
  next<S extends Status>(status: S): Promise<StateOf<S>>;
  /** Resolves when the predicate is true of all entries so far. */
  until(predicate: (entries: readonly StateEntry[]) => boolean): Promise<void>;
}

/** An empty log. */
export function stateLog(): StateLog {
  const entries: StateEntry[] = [];
  let asked = 0;
  let wake: (() => void)[] = [];
  const more = (): Promise<void> =>
    new Promise((resolve) => {
      wake.push(resolve);
    });
  return {
    entries,
    get statuses() {
      return entries.map(({ state }) => state.status);
    },
    listener(endpoint, state) {
      entries.push({ endpoint, state });
      const waiting = wake;
      wake = [];
      for (const resolve of waiting) resolve();
    },
    async next<S extends Status>(status: S): Promise<StateOf<S>> {
      for (;;) {
        while (asked < entries.length) {
          const { state } = entries[asked]!;
          asked += 1;
          if (state.status === status) return state as StateOf<S>;
        }
        await more();
      }
    },
    async until(predicate) {
      while (!predicate(entries)) await more();
    },
  };
}
