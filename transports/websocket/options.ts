import { type Clock, systemClock } from "../../src/clock.ts";
import { ConfigurationError } from "../../src/errors.ts";
import type { SocketOptions } from "../../src/transport.ts";

/** Options of the WebSocket transport; they hold for all of its sockets. Sizes in bytes, times in milliseconds. */
export interface WebSocketOptions {
  /**
   * Largest message taken, all frames together. A frame that a server sends is held whole before it is refused, up to
   * the 100 MiB of the package.
   * @default 67_108_864 // 64 MiB: far above any batch of KV events, far below the memory of a gateway
   */
  readonly maxMessageBytes?: number;
  /**
   * Most frames in a message taken.
   * @default 1_024 // engines send three or four
   */
  readonly maxFrames?: number;
  /**
   * Received messages held per socket before its peers are held back, where the socket names no other number.
   * @default 100_000 // as many as vLLM's publisher holds
   */
  readonly receiveHighWaterMark?: number;
  /**
   * Received bytes held per socket, with 100 per frame for what surrounds it.
   * @default 67_108_864 // 64 MiB: a second or so of one busy engine
   */
  readonly receiveHighWaterMarkBytes?: number;
  /**
   * Messages queued per peer before `send` drops or throws, where the socket names no other number.
   * @default 100_000 // as many as vLLM's publisher holds
   */
  readonly sendHighWaterMark?: number;
  /**
   * Bytes queued per peer before `send` drops or throws.
   * @default 67_108_864 // 64 MiB
   */
  readonly sendHighWaterMarkBytes?: number;
  /**
   * Time to connect and to upgrade from HTTP, host name included.
   * @default 5_000 // the system's own limit is minutes
   */
  readonly connectTimeoutMs?: number;
  /**
   * Time for a peer to say who it is once it is connected; on the side that binds, for its HTTP request as well.
   * @default 5_000 // it takes one round trip
   */
  readonly handshakeTimeoutMs?: number;
  /**
   * First delay before a lost or refused connection is tried again; doubles at each failure. All delays are cut at
   * random by up to a half.
   * @default 100 // an engine that restarts is found as soon as it listens
   */
  readonly reconnectMinMs?: number;
  /**
   * Longest such delay.
   * @default 30_000 // a pod that comes back is found within half a minute, hundreds that are gone cost nothing
   */
  readonly reconnectMaxMs?: number;
  /**
   * First delay after a peer that broke the protocol or refused us; doubles as above.
   * @default 10_000 // it will not get better by itself, but a rollout may repair it
   */
  readonly protocolRetryMs?: number;
  /**
   * Time that a connection has to stay ready before the next loss starts from `reconnectMinMs` again.
   * @default 10_000 // a peer that accepts and closes in a loop is still backed off from
   */
  readonly stableAfterMs?: number;
  /**
   * Silence after which the system begins to ask whether the peer's machine is still there. ZWS 2.0 has no heartbeat.
   * @default 5_000 // a dead node says nothing
   */
  readonly keepAliveMs?: number;
  /**
   * Connections that one bound endpoint holds.
   * @default 10_000 // below the usual limit of open files
   */
  readonly maxConnections?: number;
  /**
   * Memory that the subscriptions of one peer may take at a publisher, with 200 bytes per topic for what surrounds it.
   * @default 1_048_576 // 1 MiB: some 5,000 short topics; each length of a topic costs a look at every message
   */
  readonly maxSubscriptionBytes?: number;
  /**
   * Time that closing waits for peers to take what was sent.
   * @default 200 // a healthy peer needs a few milliseconds, a dead one must not hold up an exit
   */
  readonly lingerMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** In [0, 1), for the jitter of delays. @default Math.random */
  readonly random?: () => number;
}

/** `WebSocketOptions` with every default in place. */
export type ResolvedOptions = Readonly<Required<WebSocketOptions>>;

type NumericOption = Exclude<keyof WebSocketOptions, "clock" | "random">;

const DEFAULTS: Readonly<Record<NumericOption, number>> = {
  maxMessageBytes: 67_108_864,
  maxFrames: 1_024,
  receiveHighWaterMark: 100_000,
  receiveHighWaterMarkBytes: 67_108_864,
  sendHighWaterMark: 100_000,
  sendHighWaterMarkBytes: 67_108_864,
  connectTimeoutMs: 5_000,
  handshakeTimeoutMs: 5_000,
  reconnectMinMs: 100,
  reconnectMaxMs: 30_000,
  protocolRetryMs: 10_000,
  stableAfterMs: 10_000,
  keepAliveMs: 5_000,
  maxConnections: 10_000,
  maxSubscriptionBytes: 1_048_576,
  lingerMs: 200,
};

/** Options that are immediate when they are 0. */
const MAY_BE_ZERO: ReadonlySet<string> = new Set(["stableAfterMs", "lingerMs"]);

/** The longest delay that a timer takes; beyond it Node fires at once. */
const MAX_TIMER_MS = 2_147_483_647;

/** Fills in the defaults. Throws ConfigurationError `invalid-option` for a number that cannot be used. */
export function resolveOptions(options: WebSocketOptions = {}): ResolvedOptions {
  const numbers = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as NumericOption[]) numbers[name] = check(name, options[name]);
  if (numbers.reconnectMaxMs < numbers.reconnectMinMs) {
    throw new ConfigurationError(
      "invalid-option",
      `websocket: reconnectMaxMs ${numbers.reconnectMaxMs} is below reconnectMinMs ${numbers.reconnectMinMs}; raise it`,
    );
  }
  return { ...numbers, clock: options.clock ?? systemClock, random: options.random ?? Math.random };
}

/** The transport's options with the high-water marks that this socket asked for. Throws as `resolveOptions`. */
export function withSocketOptions(options: ResolvedOptions, socket: SocketOptions): ResolvedOptions {
  const mark = (name: keyof SocketOptions & NumericOption): number => check(name, socket[name] ?? options[name]);
  return {
    ...options,
    receiveHighWaterMark: mark("receiveHighWaterMark"),
    receiveHighWaterMarkBytes: mark("receiveHighWaterMarkBytes"),
    sendHighWaterMark: mark("sendHighWaterMark"),
    sendHighWaterMarkBytes: mark("sendHighWaterMarkBytes"),
  };
}

function check(name: NumericOption, value: number = DEFAULTS[name]): number {
  const lowest = MAY_BE_ZERO.has(name) ? 0 : 1;
  const highest = name.endsWith("Ms") ? MAX_TIMER_MS : Number.MAX_SAFE_INTEGER;
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw new ConfigurationError(
    "invalid-option",
    `websocket: ${name} is ${value}; it has to be a whole number from ${lowest} to ${highest}`,
  );
}
