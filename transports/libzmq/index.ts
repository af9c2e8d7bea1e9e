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
import { Library } from "./library.ts";
import { loadZeromq } from "./load.ts";
import { type LibzmqOptions, resolveOptions } from "./options.ts";
import { PublisherSocket } from "./publisher.ts";
import { RouterSocket } from "./router.ts";
import { SubscriberSocket } from "./subscriber.ts";

export type { LibzmqOptions } from "./options.ts";

/**
 * ZeroMQ's own library, by way of the optional package `zeromq` 6.8, which is imported here and nowhere else.
 * Endpoints are `tcp://host:port` and, where the system has Unix sockets, `ipc://path`; all sockets connect and bind.
 *
 * What libzmq, or the package, does not let us do:
 *
 * - High-water marks in bytes: libzmq counts messages. Bytes are counted only of what waits outside of it.
 * - Connections that a bound socket accepted are not told apart: they are reported under the bound endpoint, messages
 *   carry the number of the latest one, and a router knows a peer from its first message until sending to it fails.
 * - Why a connection could not be made is read from how it went: `refused` may be a route that is closed, and
 *   `unreachable` a refusal that was heard of late. Why one ended is `disconnected` when a keep-alive did it, too.
 * - A socket type that does not fit, and a frame above the limit, are what is left when libzmq names no fault.
 * - `ipc://` takes a path from whoever is bound there already. Host names are looked up by libzmq's thread, which does
 *   nothing else meanwhile. That thread ends with the process, not with the last socket.
 *
 * Connections are made again by this transport, not by libzmq: with jitter, back-off until stable, and after faults too.
 *
 * Rejects with TransportError `missing-package` when the package is not installed or has no binary for this platform,
 * and with ConfigurationError `invalid-option`.
 */
export async function libzmq(options: LibzmqOptions = {}): Promise<Transport> {
  const resolved = resolveOptions(options);
  const zeromq = await loadZeromq();
  const library = new Library(zeromq, resolved.ioThreads);
  return {
    name: "libzmq",
    capabilities: {
      schemes: zeromq.capability.ipc ? ["tcp", "ipc"] : ["tcp"],
      subscriberBinds: true,
      connectionStates: true,
      subscriptionEvents: true,
      acceptedConnections: false,
      highWaterMarkBytes: false,
    },
    subscriber: (socket: SocketOptions = {}): Subscriber => new SubscriberSocket(library, resolved, socket),
    dealer: (socket: SocketOptions = {}): Dealer => new DealerSocket(library, resolved, socket),
    publisher: (socket: PublisherOptions = {}): Publisher => new PublisherSocket(library, resolved, socket),
    router: (socket: RouterOptions = {}): Router => new RouterSocket(library, resolved, socket),
  };
}
