import type { TransportError } from "./errors.ts";

/** One ZeroMQ message: its frames in order. A frame may be a view into a larger chunk: copy what is kept for long. */
export type Message = readonly Uint8Array[];

/** Messages that arrived together over one connection, in order. A reconnect gets a new, higher `connectionId`. */
export interface MessageBatch {
  readonly connectionId: number;
  readonly messages: readonly Message[];
}

/**
 * What a connection is doing. `ready` means that the handshake finished, never less; `waiting` means that the next
 * attempt comes in `retryInMs`; `closed` is final. A connection that a bound socket accepted goes from `handshaking`.
 */
export type ConnectionState =
  | { readonly status: "connecting"; readonly attempt: number }
  | { readonly status: "handshaking" }
  | { readonly status: "ready"; readonly connectionId: number }
  | { readonly status: "waiting"; readonly cause: TransportError; readonly attempt: number; readonly retryInMs: number }
  | { readonly status: "closed"; readonly cause?: TransportError };

/** `endpoint` is the one given to `connect`, or the peer's address for a connection that was accepted. */
export type ConnectionListener = (endpoint: string, state: ConnectionState) => void;

export interface SocketOptions {
  /** Called at every change of state, in order with the messages: never after a later connection's first batch. */
  readonly onConnection?: ConnectionListener;
  /** Received messages and bytes held per socket before its peers are held back. Defaults of the transport. */
  readonly receiveHighWaterMark?: number;
  readonly receiveHighWaterMarkBytes?: number;
  /** Messages and bytes queued per peer before `send` drops (publisher, router) or throws (dealer). */
  readonly sendHighWaterMark?: number;
  readonly sendHighWaterMarkBytes?: number;
  /** Whether a batch may be gone when the next one is asked for: its memory is used again, where the transport can. @default false */
  readonly reusesMemory?: boolean;
}

/** What all four sockets share. Disposing equals `close()`; both are idempotent and leave no timer or socket behind. */
export interface Socket extends AsyncDisposable {
  /** Starts to connect and to stay connected; returns at once. Throws `invalid-endpoint`, `unsupported`, `closed`. */
  connect(endpoint: string): void;
  /** Ends what `connect` started there; an unknown endpoint is ignored. */
  disconnect(endpoint: string): void;
  /** Listens; port 0 or `*` takes a free one. Resolves to the endpoint to connect to. Rejects as `connect` throws, or `address-in-use`. */
  bind(endpoint: string, options?: { readonly signal?: AbortSignal }): Promise<string>;
  close(): Promise<void>;
}

/** A socket that receives. One consumer at a time; ends when the socket closes; rejects with the signal's reason. */
export interface Receiver extends Socket {
  receive(options?: { readonly signal?: AbortSignal }): AsyncIterable<MessageBatch>;
}

/** SUB. Subscriptions are counted, survive reconnects, and match a prefix of the first frame. */
export interface Subscriber extends Receiver {
  subscribe(topic: string | Uint8Array): void;
  unsubscribe(topic: string | Uint8Array): void;
}

/** DEALER. Messages queue until a peer is ready. Throws `high-water-mark` when full, `closed`. */
export interface Dealer extends Receiver {
  send(message: Message): void;
}

/** PUB. At a slow peer's high-water mark whole messages are dropped for that peer alone. Throws `closed`. */
export interface Publisher extends Socket {
  send(message: Message): void;
}

/** ROUTER. The first frame is the peer's identity. `send` tells whether the message was queued; when mandatory, an unknown peer throws `host-unreachable`. */
export interface Router extends Receiver {
  send(message: Message): boolean;
}

export interface PublisherOptions extends SocketOptions {
  /** Called when a peer subscribes to, or cancels, a topic. Needs the capability `subscriptionEvents`. */
  readonly onSubscription?: (topic: Uint8Array, subscribed: boolean) => void;
}

export interface RouterOptions extends SocketOptions {
  readonly mandatory?: boolean;
}

/** What an implementation can do; what it cannot is said here, never skipped silently. */
export interface TransportCapabilities {
  /** Endpoint schemes, such as `tcp`, `ipc`, `inproc`. */
  readonly schemes: readonly string[];
  readonly subscriberBinds: boolean;
  /** `waiting` tells its true cause, `ready` is the end of the handshake. */
  readonly connectionStates: boolean;
  readonly subscriptionEvents: boolean;
  /** Connections that a bound socket accepted have an endpoint, states and a `connectionId` each. @default true */
  readonly acceptedConnections?: boolean;
  /** A peer of a kind that does not fit is refused, and told as `socket-type-mismatch`. @default true */
  readonly socketTypes?: boolean;
  /** High-water marks in bytes hold as those in messages do. @default true */
  readonly highWaterMarkBytes?: boolean;
}

/** The seam: everything that moves messages is behind it. */
export interface Transport {
  readonly name: string;
  readonly capabilities: TransportCapabilities;
  subscriber(options?: SocketOptions): Subscriber;
  dealer(options?: SocketOptions): Dealer;
  publisher(options?: PublisherOptions): Publisher;
  router(options?: RouterOptions): Router;
}
