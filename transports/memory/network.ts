import { type Clock, systemClock } from "../../src/clock.ts";
import { TransportError } from "../../src/errors.ts";
import type { ConnectionSide } from "./connection.ts";
import { type Endpoint, endpointKey } from "./endpoint.ts";
import { FaultControl, type MemoryFaults } from "./fault-control.ts";
import { type FaultTable, Lane, type SocketKind } from "./faults.ts";
import { Link, type LinkNetwork } from "./link.ts";

/** The first port that bind takes where it may choose: where those for private use begin (RFC 6335). */
const FIRST_FREE_PORT = 49_152;

/** Options of a network. */
export interface MemoryNetworkOptions {
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** In [0, 1): for faults and the jitter of delays. @default Math.random */
  readonly random?: () => number;
}

/** What the sockets of one memory transport, or of several, have in common: endpoints, time and faults. */
export interface MemoryNetwork {
  readonly faults: MemoryFaults;
}

/** A bound endpoint. */
export interface Binding {
  readonly key: string;
  /** What to connect to. */
  readonly endpoint: string;
  readonly kind: SocketKind;
  /** The accepting side of a new connection; `peer` is the address of the other. */
  accept(peer: string): ConnectionSide;
}

/** Who is bound where, and all connections. */
export class Network implements MemoryNetwork, LinkNetwork {
  readonly clock: Clock;
  readonly random: () => number;
  readonly links: Set<Link> = new Set();
  readonly faults: FaultControl;
  readonly #bindings = new Map<string, Binding>();
  #lastPort = FIRST_FREE_PORT - 1;
  #lastNumber = 0;

  constructor({ clock = systemClock, random = Math.random }: MemoryNetworkOptions) {
    this.clock = clock;
    this.random = random;
    this.faults = new FaultControl(clock, random, this.links);
  }

  get table(): FaultTable {
    return this.faults.table;
  }

  /** A number that this network has not given before. */
  nextNumber(): number {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  /** Throws TransportError `address-in-use`. `text` is the endpoint as it was given. */
  bind(text: string, wanted: Endpoint, listener: Pick<Binding, "kind" | "accept">): Binding {
    const endpoint = this.#choose(wanted);
    if (this.#isTaken(endpoint)) {
      throw new TransportError("address-in-use", `memory ${text}: somebody else is bound there; choose another`);
    }
    const isWildcard = endpoint.port !== null && endpoint.name === "*";
    const reachable = isWildcard ? { ...endpoint, name: "127.0.0.1" } : endpoint;
    const { kind, accept } = listener;
    const binding: Binding = { key: endpointKey(endpoint), endpoint: endpointKey(reachable), kind, accept };
    this.#bindings.set(binding.key, binding);
    return binding;
  }

  unbind(binding: Binding): void {
    this.#bindings.delete(binding.key);
  }

  /** Time until an attempt to connect arrives. */
  dialLatencyMs(endpoint: Endpoint, kind: SocketKind): number {
    return new Lane(this.table, this.#keys(endpoint, this.#find(endpoint)), kind).latencyMs();
  }

  /** Begins the handshake with who is bound there, or says why that is impossible now. */
  dial(endpoint: Endpoint, dialer: ConnectionSide): Link | TransportError {
    const binding = this.#find(endpoint);
    const keys = this.#keys(endpoint, binding);
    const kinds = binding === undefined ? [dialer.host.kind] : [dialer.host.kind, binding.kind];
    if (this.faults.isPartitioned(keys, kinds)) {
      const text = `memory ${dialer.endpoint}: cut off by a fault; heal it, or wait for its end`;
      return new TransportError("unreachable", text);
    }
    if (binding === undefined) {
      const text = `memory ${dialer.endpoint}: nobody is bound there; check the endpoint and whether the peer is up`;
      return new TransportError("refused", text);
    }
    const link = new Link(this, keys, dialer, binding.accept(`memory://peer-${this.nextNumber()}`));
    link.start();
    return link;
  }

  #find(endpoint: Endpoint): Binding | undefined {
    const exact = this.#bindings.get(endpointKey(endpoint));
    return exact ?? (endpoint.port === null ? undefined : this.#bindings.get(everyHost(endpoint)));
  }

  /** Of all spellings under which a fault may name a connection to there. */
  #keys(endpoint: Endpoint, binding: Binding | undefined): ReadonlySet<string> {
    const own = endpointKey(endpoint);
    return new Set(binding === undefined ? [own] : [own, binding.key, binding.endpoint]);
  }

  #choose(wanted: Endpoint): Endpoint {
    let endpoint = wanted;
    if (wanted.port === 0) {
      do {
        this.#lastPort += 1;
        endpoint = { ...wanted, port: this.#lastPort };
      } while (this.#isTaken(endpoint));
    } else if (wanted.port === null && wanted.name === "*") {
      do {
        endpoint = { ...wanted, name: `free-${this.nextNumber()}` };
      } while (this.#isTaken(endpoint));
    }
    return endpoint;
  }

  /** A port on every host excludes the same port on any one, as with TCP. */
  #isTaken(endpoint: Endpoint): boolean {
    if (this.#find(endpoint) !== undefined) return true;
    if (endpoint.port === null || endpoint.name !== "*") return false;
    const suffix = `:${endpoint.port}`;
    return [...this.#bindings.keys()].some((key) => key.startsWith("tcp://") && key.endsWith(suffix));
  }
}

function everyHost(endpoint: Endpoint): string {
  return endpointKey({ ...endpoint, name: "*" });
}
