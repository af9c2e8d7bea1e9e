import { ConfigurationError } from "../../src/errors.ts";
import type { Message } from "../../src/transport.ts";
import { endpointKey, parseEndpoint } from "./endpoint.ts";

/** Which of the four sockets sends: with an endpoint it names a direction. */
export type SocketKind = "subscriber" | "dealer" | "publisher" | "router";

/** What a fault applies to. Left out: to everything. */
export interface FaultScope {
  /** As bound, or as connected to. */
  readonly endpoint?: string;
  /** Faults of traffic: the sender. `cut`: either end of the connection. */
  readonly from?: SocketKind;
}

/** What may happen to the traffic of a scope. */
export interface LinkFaults {
  /** Time under way, in milliseconds, for connecting and shaking hands too: fixed, or drawn between two bounds. Order is kept. */
  readonly latencyMs?: number | readonly [minMs: number, maxMs: number];
  /**
   * Loses messages, whole: by probability, or those for which the function is true. It gets the frames as they travel,
   * without a router's identity.
   */
  readonly drop?: number | ((message: Message) => boolean);
  /** Probability that a message comes twice in a row. */
  readonly duplicate?: number;
  /**
   * Lets a message, by probability, overtake up to `window` of those that are under way on its connection. With no
   * latency only messages sent in one go are under way together.
   */
  readonly reorder?: { readonly probability: number; readonly window: number };
  /** Instead of what the sending socket asked for. */
  readonly sendHighWaterMark?: number;
}

interface Scope {
  readonly key: string | null;
  readonly from: SocketKind | null;
}

interface Setting extends Scope {
  readonly faults: LinkFaults;
}

/** The faults that are set, and what they say about a lane: one direction of one connection. */
export class FaultTable {
  readonly random: () => number;
  #settings: Setting[] = [];
  #drops: { readonly scope: Scope; left: number }[] = [];
  #version = 0;

  /** `random` is in [0, 1). */
  constructor(random: () => number) {
    this.random = random;
  }

  /** Grows when settings change. */
  get version(): number {
    return this.#version;
  }

  /** Throws ConfigurationError `invalid-option`, TransportError `invalid-endpoint`. */
  set(faults: LinkFaults, at: FaultScope): void {
    checkFaults(faults);
    const scope = readScope(at);
    this.#settings = this.#settings.filter((each) => !isSame(each, scope));
    this.#settings.push({ ...scope, faults });
    // The most specific comes first: endpoint and sender, endpoint, sender, all.
    this.#settings.sort((a, b) => rank(b) - rank(a));
    this.#version += 1;
  }

  dropNext(count: number, at: FaultScope): void {
    check("count", count, Number.isInteger(count) && count >= 0, "a whole number from 0");
    this.#drops.push({ scope: readScope(at), left: count });
  }

  clear(): void {
    this.#settings = [];
    this.#drops = [];
    this.#version += 1;
  }

  /** What holds for a lane: per fault, what the most specific scope says that names it. */
  resolve(keys: ReadonlySet<string>, from: SocketKind): LinkFaults {
    const matching = this.#settings.filter((setting) => covers(setting, keys, [from]));
    return Object.assign({}, ...matching.reverse().map(({ faults }) => faults)) as LinkFaults;
  }

  /** Whether a `dropNext` takes this message; counts it. */
  takesNext(keys: ReadonlySet<string>, from: SocketKind): boolean {
    if (this.#drops.length === 0) return false;
    const drop = this.#drops.find(({ scope, left }) => left > 0 && covers(scope, keys, [from]));
    if (drop === undefined) return false;
    drop.left -= 1;
    this.#drops = this.#drops.filter(({ left }) => left > 0);
    return true;
  }
}

/** One direction of one connection as the faults see it. */
export class Lane {
  readonly #table: FaultTable;
  readonly #keys: ReadonlySet<string>;
  readonly #from: SocketKind;
  #version = -1;
  #faults: LinkFaults = {};

  constructor(table: FaultTable, keys: ReadonlySet<string>, from: SocketKind) {
    this.#table = table;
    this.#keys = keys;
    this.#from = from;
  }

  latencyMs(): number {
    const { latencyMs = 0 } = this.#current();
    if (typeof latencyMs === "number") return latencyMs;
    const [minMs, maxMs] = latencyMs;
    return minMs + this.#table.random() * (maxMs - minMs);
  }

  drops(message: Message): boolean {
    if (this.#table.takesNext(this.#keys, this.#from)) return true;
    const { drop } = this.#current();
    return typeof drop === "function" ? drop(message) : this.#happens(drop);
  }

  duplicates(): boolean {
    return this.#happens(this.#current().duplicate);
  }

  /** How many of those under way the next one overtakes. */
  overtakes(): number {
    const { reorder } = this.#current();
    return this.#happens(reorder?.probability) ? 1 + Math.floor(this.#table.random() * reorder!.window) : 0;
  }

  sendHighWaterMark(own: number): number {
    return this.#current().sendHighWaterMark ?? own;
  }

  #current(): LinkFaults {
    if (this.#version !== this.#table.version) {
      this.#version = this.#table.version;
      this.#faults = this.#table.resolve(this.#keys, this.#from);
    }
    return this.#faults;
  }

  /** Draws only where there is something to decide: a fault that is not set does not change what others draw. */
  #happens(probability: number | undefined): boolean {
    return probability !== undefined && probability > 0 && this.#table.random() < probability;
  }
}

/** Throws TransportError `invalid-endpoint`. */
export function readScope({ endpoint, from }: FaultScope): Scope {
  return {
    key: endpoint === undefined ? null : endpointKey(parseEndpoint(endpoint, "bind")),
    from: from ?? null,
  };
}

/** Whether something at these places, with these kinds, is within the scope. */
export function covers(scope: Scope, keys: ReadonlySet<string>, kinds: readonly SocketKind[]): boolean {
  return (scope.key === null || keys.has(scope.key)) && (scope.from === null || kinds.includes(scope.from));
}

function rank(scope: Scope): number {
  return (scope.key === null ? 0 : 2) + (scope.from === null ? 0 : 1);
}

function isSame(a: Scope, b: Scope): boolean {
  return a.key === b.key && a.from === b.from;
}

function checkFaults({ latencyMs = 0, drop, duplicate, reorder, sendHighWaterMark }: LinkFaults): void {
  const [minMs, maxMs] = typeof latencyMs === "number" ? [latencyMs, latencyMs] : latencyMs;
  check("latencyMs", `${latencyMs}`, minMs >= 0 && minMs <= maxMs && maxMs < Infinity, "from 0, the lower bound first");
  checkProbability("drop", typeof drop === "number" ? drop : undefined);
  checkProbability("duplicate", duplicate);
  checkProbability("reorder.probability", reorder?.probability);
  const places = reorder?.window ?? 1;
  check("reorder.window", places, Number.isInteger(places) && places >= 1, "a whole number from 1");
  const mark = sendHighWaterMark ?? 1;
  check("sendHighWaterMark", mark, Number.isInteger(mark) && mark >= 1, "a whole number from 1");
}

function checkProbability(name: string, value: number | undefined): void {
  check(name, value, value === undefined || (value >= 0 && value <= 1), "a probability from 0 to 1");
}

function check(name: string, value: unknown, isFine: boolean, wanted: string): void {
  if (isFine) return;
  throw new ConfigurationError("invalid-option", `memory: fault ${name} is ${value}; it has to be ${wanted}`);
}
