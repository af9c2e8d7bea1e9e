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
import { loadJszmq } from "./jszmq.ts";
import { resolveOptions, type WebSocketOptions } from "./options.ts";
import { PublisherSocket } from "./publisher.ts";
import { RouterSocket } from "./router.ts";
import { SubscriberSocket } from "./subscriber.ts";

export type { WebSocketOptions } from "./options.ts";

/**
 * ZeroMQ over WebSocket (ZWS 2.0 without a mechanism, RFC 45), by way of the optional package `jszmq` 0.1.2, which is imported here and
 * nowhere else. Endpoints are `ws://host:port/path`; all sockets connect and bind. To bind is to run an HTTP server
 * that knows nothing but that path.
 *
 * What ZWS 2.0, or the package, does not let us do:
 *
 * - No encryption: `wss://` is refused. Put a proxy in front of the peer.
 * - Socket types are not told in the handshake, so a peer of the wrong kind is not found out.
 * - No heartbeat: a peer whose machine died is noticed by the keep-alive of TCP.
 * - A frame from a server is held up to the 100 MiB of the package before `maxMessageBytes` refuses it.
 * - Every frame is copied and sent as a WebSocket message of its own: this is the slowest of the transports.
 * - It speaks to jszmq and other peers of ZWS 2.0, not to ZMTP.
 *
 * Of the package only the framing is used. Connecting again, back-off, marks, limits and errors are this transport's:
 * jszmq's own sockets end the process when nobody listens or a peer cancels what it had not subscribed to, and keep
 * what they cannot send without a bound.
 *
 * Rejects with TransportError `missing-package` when the package is not installed, and with ConfigurationError
 * `invalid-option`.
 */
export async function websocket(options: WebSocketOptions = {}): Promise<Transport> {
  const resolved = resolveOptions(options);
  const jszmq = await loadJszmq();
  return {
    name: "websocket",
    capabilities: {
      schemes: ["ws"],
      subscriberBinds: true,
      connectionStates: true,
      subscriptionEvents: true,
      socketTypes: false,
    },
    subscriber: (socket: SocketOptions = {}): Subscriber => new SubscriberSocket(jszmq, resolved, socket),
    dealer: (socket: SocketOptions = {}): Dealer => new DealerSocket(jszmq, resolved, socket),
    publisher: (socket: PublisherOptions = {}): Publisher => new PublisherSocket(jszmq, resolved, socket),
    router: (socket: RouterOptions = {}): Router => new RouterSocket(jszmq, resolved, socket),
  };
}
