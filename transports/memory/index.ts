import { ConfigurationError } from "../../src/errors.ts";
import type {
  Dealer,
  Publisher,
  PublisherOptions,
  Router,
  RouterOptions,
  SocketOptions,
  Subscriber,
  Transport,
} from "../../src/transport.ts";
import { DealerSocket } from "./dealer.ts";
import type { MemoryFaults } from "./fault-control.ts";
import { type MemoryNetwork, type MemoryNetworkOptions, Network } from "./network.ts";
import { type MemoryOptions, resolveOptions } from "./options.ts";
import { PublisherSocket } from "./publisher.ts";
import { RouterSocket } from "./router.ts";
import { SubscriberSocket } from "./subscriber.ts";

export type { MemoryFaults } from "./fault-control.ts";
export type { FaultScope, LinkFaults, SocketKind } from "./faults.ts";
export type { MemoryNetwork, MemoryNetworkOptions } from "./network.ts";
export type { MemoryOptions } from "./options.ts";

/** A transport within this process. */
export interface MemoryTransport extends Transport {
  /** To be shared with further transports: `memory({ network })`. */
  readonly network: MemoryNetwork;
  /** The network's faults. */
  readonly faults: MemoryFaults;
}

/** A network for several memory transports to share. */
export function memoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  return new Network(options);
}

/**
 * Sockets within this process that behave as ZeroMQ's over TCP, with faults on demand.
 *
 * Any endpoint with a scheme will do, such as `inproc://engine` or `tcp://10.0.0.7:5557`: the name is all that counts.
 * For `tcp`, port 0 and host `*` mean to bind what they mean elsewhere, and the names of this machine are one. A
 * connection that is refused or lost is tried again after a jittered back-off, as over TCP; that somebody binds in the
 * meantime changes nothing. Without latency everything happens in microtasks, and nothing but the back-off, latency
 * and linger ever asks the clock for a timer: with a `clock` and a `random` of its own a test sees the same order of
 * events at every run.
 *
 * What a sender has queued for a peer and what is under way count against its high-water mark together; both are lost
 * with the connection.
 *
 * ```ts
 * const transport = memory({ clock, random });
 * const { faults } = transport;
 * faults.set({ latencyMs: [1, 20] });                                   // everywhere
 * faults.set({ drop: 0.01, reorder: { probability: 0.1, window: 4 } }, { from: "publisher" });
 * faults.set({ drop: ([, sequence]) => isOdd(sequence) }, { endpoint: "tcp://10.0.0.7:5557", from: "publisher" });
 * faults.dropNext(3, { from: "router" });                               // three replies of a replay
 * faults.cut({ endpoint: "tcp://10.0.0.7:5557" }, { forMs: 5_000 });    // a partition
 * faults.clear();
 * ```
 *
 * Throws ConfigurationError `invalid-option`.
 */
export function memory(options: MemoryOptions = {}): MemoryTransport {
  const resolved = resolveOptions(options);
  const network = networkOf(options);
  return {
    name: "memory",
    capabilities: {
      schemes: ["inproc", "memory", "tcp", "ipc", "ws"],
      subscriberBinds: true,
      connectionStates: true,
      subscriptionEvents: true,
    },
    network,
    faults: network.faults,
    subscriber: (socket: SocketOptions = {}): Subscriber => new SubscriberSocket(network, resolved, socket),
    dealer: (socket: SocketOptions = {}): Dealer => new DealerSocket(network, resolved, socket),
    publisher: (socket: PublisherOptions = {}): Publisher => new PublisherSocket(network, resolved, socket),
    router: (socket: RouterOptions = {}): Router => new RouterSocket(network, resolved, socket),
  };
}

function networkOf({ network, clock, random }: MemoryOptions): Network {
  if (network === undefined) return new Network({ ...(clock && { clock }), ...(random && { random }) });
  if (!(network instanceof Network)) {
    throw new ConfigurationError("invalid-option", "memory: network is not one; make it with memoryNetwork()");
  }
  if (clock !== undefined || random !== undefined) {
    const text = "memory: clock and random are the network's where one is shared; pass them to memoryNetwork()";
    throw new ConfigurationError("invalid-option", text);
  }
  return network;
}
