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
import { nullMechanism } from "./null.ts";
import { resolveOptions, type ZmtpOptions } from "./options.ts";
import { PublisherSocket } from "./publisher.ts";
import { RouterSocket } from "./router.ts";
import { SubscriberSocket } from "./subscriber.ts";

export type { ZmtpOptions } from "./options.ts";

/**
 * ZMTP 3.1 (RFC 23, 28, 29 and 37 of ZeroMQ) over TCP and Unix sockets, in plain JavaScript: speaks to libzmq and every
 * other peer of ZMTP 3. Endpoints are `tcp://host:port` and `ipc://path`; all sockets connect and bind.
 * Throws ConfigurationError `invalid-option`.
 */
export function zmtp(options: ZmtpOptions = {}): Transport {
  const resolved = resolveOptions(options);
  return {
    name: "zmtp",
    capabilities: {
      schemes: ["tcp", "ipc"],
      subscriberBinds: true,
      connectionStates: true,
      subscriptionEvents: true,
    },
    subscriber: (socket: SocketOptions = {}): Subscriber => new SubscriberSocket(nullMechanism, resolved, socket),
    dealer: (socket: SocketOptions = {}): Dealer => new DealerSocket(nullMechanism, resolved, socket),
    publisher: (socket: PublisherOptions = {}): Publisher => new PublisherSocket(nullMechanism, resolved, socket),
    router: (socket: RouterOptions = {}): Router => new RouterSocket(nullMechanism, resolved, socket),
  };
}
