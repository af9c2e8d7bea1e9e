import type { Clock } from "../../src/clock.ts";
import { ConfigurationError } from "../../src/errors.ts";
import { covers, type FaultScope, FaultTable, type LinkFaults, readScope, type SocketKind } from "./faults.ts";
import type { Link } from "./link.ts";

/**
 * Faults on demand, at run time. Where several scopes apply, each fault is as the most specific scope that names it
 * says: endpoint and sender, then endpoint, then sender, then everywhere. A call without a scope means everywhere.
 */
export interface MemoryFaults {
  /**
   * Sets the faults of a scope, in place of those set for it before; `{}` takes them away. They hold for what is sent
   * from now on. Throws ConfigurationError `invalid-option`, TransportError `invalid-endpoint`.
   */
  set(faults: LinkFaults, scope?: FaultScope): void;
  /** Loses the next `count` messages, beside what `set` loses. Throws as `set`. */
  dropNext(count: number, scope?: FaultScope): void;
  /**
   * Breaks the connections of a scope now, and loses what is under way on them. With `forMs` it is a partition: new
   * attempts fail as `unreachable` for so long (`Infinity`: until `heal`). Throws as `set`.
   */
  cut(scope?: FaultScope, options?: { readonly forMs?: number }): void;
  /** Ends all partitions; who waits finds out at its next attempt. */
  heal(): void;
  /** Ends all faults, partitions included. */
  clear(): void;
}

interface Partition {
  readonly scope: ReturnType<typeof readScope>;
  /** On the clock. */
  readonly until: number;
}

/** Faults of one network: those of traffic in a table that channels read, those of connections here. */
export class FaultControl implements MemoryFaults {
  readonly table: FaultTable;
  readonly #clock: Clock;
  readonly #links: ReadonlySet<Link>;
  #partitions: Partition[] = [];

  constructor(clock: Clock, random: () => number, links: ReadonlySet<Link>) {
    this.table = new FaultTable(random);
    this.#clock = clock;
    this.#links = links;
  }

  set(faults: LinkFaults, scope: FaultScope = {}): void {
    this.table.set(faults, scope);
  }

  dropNext(count: number, scope: FaultScope = {}): void {
    this.table.dropNext(count, scope);
  }

  cut(at: FaultScope = {}, { forMs = 0 }: { readonly forMs?: number } = {}): void {
    if (!(forMs >= 0)) {
      throw new ConfigurationError("invalid-option", `memory: cut for ${forMs} ms; it has to be 0 or more`);
    }
    const scope = readScope(at);
    const now = this.#clock.now();
    this.#partitions = this.#partitions.filter(({ until }) => until > now);
    if (forMs > 0) this.#partitions.push({ scope, until: now + forMs });
    for (const link of [...this.#links]) {
      if (covers(scope, link.keys, link.kinds)) link.cut();
    }
  }

  heal(): void {
    this.#partitions = [];
  }

  clear(): void {
    this.table.clear();
    this.heal();
  }

  /** Whether no connection can be made there now. */
  isPartitioned(keys: ReadonlySet<string>, kinds: readonly SocketKind[]): boolean {
    const now = this.#clock.now();
    return this.#partitions.some(({ scope, until }) => until > now && covers(scope, keys, kinds));
  }
}
