import { type Clock, systemClock } from "../../src/clock.ts";
import { ConfigurationError } from "../../src/errors.ts";
import type { SocketOptions } from "../../src/transport.ts";

/** Options of the libzmq transport; they hold for all of its sockets. Sizes in bytes, times in milliseconds. */
export interface LibzmqOptions {
  /**
   * Largest frame taken; libzmq has no limit for a whole message. A larger one ends the connection.
   * @default 67_108_864 // 64 MiB: far above any batch of KV events, far below the memory of a gateway
   */
  readonly maxMessageBytes?: number;
  /**
   * Received messages held per socket before its peers are held back, where the socket names no other number; libzmq
   * holds as many again for each connection.
   * @default 10_000 // as many as vLLM keeps for a replay; as libzmq counts no bytes, memory is bounded by this alone
   */
  readonly receiveHighWaterMark?: number;
  /**
   * Received bytes held per socket, without what libzmq itself holds.
   * @default 67_108_864 // 64 MiB: a second or so of one busy engine
   */
  readonly receiveHighWaterMarkBytes?: number;
  /**
   * Messages queued per peer before `send` drops or throws, where the socket names no other number.
   * @default 10_000 // as above
   */
  readonly sendHighWaterMark?: number;
  /**
   * Bytes that a dealer queues before there is a peer, and a router for a peer that is full; what libzmq itself holds
   * does not count.
   * @default 67_108_864 // 64 MiB
   */
  readonly sendHighWaterMarkBytes?: number;
  /**
   * Time for TCP to connect; looking up a host name comes on top.
   * @default 5_000 // the system's own limit is minutes
   */
  readonly connectTimeoutMs?: number;
  /**
   * Time for a peer to finish its handshake, on either side.
   * @default 5_000 // it takes two round trips
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
   * First delay after a peer that broke the protocol, is of another kind or refused us; doubles as above.
   * @default 10_000 // it will not get better by itself, but a rollout may repair it
   */
  readonly protocolRetryMs?: number;
  /**
   * Time that a connection has to stay ready before the next loss starts from `reconnectMinMs` again.
   * @default 10_000 // a peer that accepts and closes in a loop is still backed off from
   */
  readonly stableAfterMs?: number;
  /**
   * Silence after which the system asks whether the peer's machine is still there; three questions without an answer,
   * as far apart, end the connection. Counted in whole seconds; 0 never asks.
   * @default 5_000 // a dead node says nothing, and libzmq's own heartbeat kills whoever pauses reading (libzmq#4767)
   */
  readonly keepAliveMs?: number;
  /**
   * Time that closing waits for peers to take what was sent.
   * @default 200 // a healthy peer needs a few milliseconds, a dead one must not hold up an exit
   */
  readonly lingerMs?: number;
  /**
   * Threads of libzmq for input and output. A host name that is slow to resolve stalls all sockets of its thread.
   * @default 1 // enough for a gigabyte per second
   */
  readonly ioThreads?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** In [0, 1), for the jitter of delays. @default Math.random */
  readonly random?: () => number;
}

/** `LibzmqOptions` with every default in place. */
export type ResolvedOptions = Readonly<Required<LibzmqOptions>>;

type NumericOption = Exclude<keyof LibzmqOptions, "clock" | "random">;

const DEFAULTS: Readonly<Record<NumericOption, number>> = {
  maxMessageBytes: 67_108_864,
  receiveHighWaterMark: 10_000,
  receiveHighWaterMarkBytes: 67_108_864,
  sendHighWaterMark: 10_000,
  sendHighWaterMarkBytes: 67_108_864,
  connectTimeoutMs: 5_000,
  handshakeTimeoutMs: 5_000,
  reconnectMinMs: 100,
  reconnectMaxMs: 30_000,
  protocolRetryMs: 10_000,
  stableAfterMs: 10_000,
  keepAliveMs: 5_000,
  lingerMs: 200,
  ioThreads: 1,
};

/** Options that switch something off, or make it immediate, when they are 0. */
const MAY_BE_ZERO: ReadonlySet<string> = new Set(["stableAfterMs", "keepAliveMs", "lingerMs"]);

/** What fits into a C `int`, as libzmq takes most options, and the longest delay of a timer. */
const MAX_INT = 2_147_483_647;

/** Fills in the defaults. Throws ConfigurationError `invalid-option` for a number that cannot be used. */
export function resolveOptions(options: LibzmqOptions = {}): ResolvedOptions {
  const numbers = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as NumericOption[]) numbers[name] = check(name, options[name]);
  if (numbers.reconnectMaxMs < numbers.reconnectMinMs) {
    throw new ConfigurationError(
      "invalid-option",
      `libzmq: reconnectMaxMs ${numbers.reconnectMaxMs} is below reconnectMinMs ${numbers.reconnectMinMs}; raise it`,
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
  const highest = name.endsWith("Bytes") ? Number.MAX_SAFE_INTEGER : MAX_INT;
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw new ConfigurationError(
    "invalid-option",
    `libzmq: ${name} is ${value}; it has to be a whole number from ${lowest} to ${highest}`,
  );
}
