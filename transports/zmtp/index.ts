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
import { resolveOptions, type ZmtpOptions } from "./options.ts";
import { PublisherSocket } from "./publisher.ts";
import { RouterSocket } from "./router.ts";
import { resolveSecurity } from "./security.ts";
import { SubscriberSocket } from "./subscriber.ts";

export type { Authenticate, CurveRequest, PlainRequest } from "./authentication.ts";
export type { Secretbox } from "./curve/box.ts";
export { generateCurveKeys } from "./curve/keys.ts";
export type { ZmtpOptions } from "./options.ts";
export type {
  CurveClientSecurity,
  CurveKey,
  CurveServerSecurity,
  NullSecurity,
  PlainClientSecurity,
  PlainServerSecurity,
  ZmtpSecurity,
} from "./security.ts";

/**
 * ZMTP 3.1 (RFC 23 to 26, 28, 29 and 37 of ZeroMQ) over TCP and Unix sockets, in plain JavaScript: speaks to libzmq and every
 * other peer of ZMTP 3. Endpoints are `tcp://host:port` and `ipc://path`; all sockets connect and bind.
 * Throws ConfigurationError `invalid-option`.
 */
export function zmtp(options: ZmtpOptions = {}): Transport {
  const resolved = resolveOptions(options);
  const mechanism = resolveSecurity(options.security);
  return {
    name: "zmtp",
    capabilities: {
      schemes: ["tcp", "ipc"],
      subscriberBinds: true,
      connectionStates: true,
      subscriptionEvents: true,
    },
    subscriber: (socket: SocketOptions = {}): Subscriber => new SubscriberSocket(mechanism, resolved, socket),
    dealer: (socket: SocketOptions = {}): Dealer => new DealerSocket(mechanism, resolved, socket),
    publisher: (socket: PublisherOptions = {}): Publisher => new PublisherSocket(mechanism, resolved, socket),
    router: (socket: RouterOptions = {}): Router => new RouterSocket(mechanism, resolved, socket),
  };
}
